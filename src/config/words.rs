//! What is wrong with a setting that can't be read, in the words of those who write settings.

/// Puts what serde says of a setting into plain words. What types say themselves, such as that an address is none, stays as it
/// is.
pub(super) fn plain(error: &str) -> String {
    if error.starts_with("invalid value: integer") {
        return "the number is too large".to_owned();
    }
    // An object where a word is expected.
    if error.starts_with("invalid value: map") {
        return "it must be text".to_owned();
    }
    if let Some(rest) = error.strip_prefix("unknown field `") {
        let (name, known) = rest.split_once('`').unwrap_or((rest, ""));
        let known = names(known);
        let other = if known.is_empty() { String::new() } else { format!(", or use one of: {}", known.join(", ")) };
        return format!("there is no setting `{name}`: leave it out{other}");
    }
    if error.starts_with("unknown variant `")
        && let Some(at) = error.rfind("`, expected ")
    {
        return format!("it must be one of: {}", names(&error[at + 1..]).join(", "));
    }
    if let Some(name) = error.strip_prefix("missing field `") {
        return format!("the setting `{}` is missing: add it", name.trim_end_matches('`'));
    }
    match error.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((_, expected)) => format!("it must be {}", kind(expected)),
        None => error.to_owned(),
    }
}

/// What a setting is, by what serde expects there.
fn kind(expected: &str) -> &'static str {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| expected.starts_with(prefix));
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "bool" | "a boolean" => "true or false",
        "socket address" => "an IP address and a port, such as 127.0.0.1:8080",
        _ if begins(&["a sequence", "sequence"]) => "a list",
        _ if begins(&["a map", "map", "struct ", "internally tagged"]) => "a section with settings of its own",
        _ => "text",
    }
}

/// The words in backquotes of a list that serde made.
fn names(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
