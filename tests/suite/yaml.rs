//! docs/asyncapi.yaml says the same to readers of YAML 1.1 (such as PyYAML) and of YAML 1.2.
//!
//! The two differ in what a plain scalar, one without quotes, is taken for: `on` is true to the one and text to the other.

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/asyncapi.yaml");

/// What a plain scalar is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Null,
    Bool,
    Int,
    Float,
    Time,
    Merge,
    Text,
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// As the core schema of YAML 1.2 has it (10.3.2).
fn taken_12(text: &str) -> Taken {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let hexadecimal = text.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    let octal = text.strip_prefix("0o").is_some_and(|rest| rest.bytes().all(|b| (b'0'..=b'7').contains(&b)));
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Taken::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Taken::Bool,
        _ if digits(unsigned) || hexadecimal || octal => Taken::Int,
        _ if matches!(unsigned.to_lowercase().as_str(), ".inf" | ".nan") => Taken::Float,
        _ if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') && unsigned.parse::<f64>().is_ok() => {
            Taken::Float
        }
        _ => Taken::Text,
    }
}

/// As the types of YAML 1.1 have it, with the `y` and `n` that some readers know and others don't.
fn taken_11(text: &str) -> Taken {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain: String = unsigned.chars().filter(|c| *c != '_').collect();
    let based = |prefix: &str, radix: u32| {
        plain.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
    };
    let sexagesimal = plain.contains(':')
        && plain.split(':').enumerate().all(|(at, part)| {
            let whole = part.split('.').next().unwrap_or("");
            digits(whole) && (at == 0 || whole.len() <= 2)
        });
    let date = {
        let parts: Vec<&str> = text.split(['T', 't', ' ']).next().unwrap_or("").split('-').collect();
        parts.len() == 3 && parts[0].len() == 4 && parts.iter().all(|part| digits(part))
    };
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Taken::Null,
        "<<" | "=" => Taken::Merge,
        _ if matches!(text.to_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false") => {
            Taken::Bool
        }
        _ if date => Taken::Time,
        _ if sexagesimal => Taken::Int,
        // A leading nought makes it octal: another number than in YAML 1.2, or none.
        _ if digits(&plain) && plain.len() > 1 && plain.starts_with('0') => Taken::Float,
        _ if digits(&plain) || based("0x", 16) || based("0b", 2) => Taken::Int,
        _ if matches!(unsigned.to_lowercase().as_str(), ".inf" | ".nan") => Taken::Float,
        // A float has a point there, and an exponent its sign.
        _ if plain.contains('.')
            && plain.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && plain.parse::<f64>().is_ok() =>
        {
            Taken::Float
        }
        _ => Taken::Text,
    }
}

/// The plain scalars of a document, each with its line: keys and values, in blocks and in `{…}` and `[…]`.
fn plain_scalars(document: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut literal: Option<usize> = None;
    for (number, line) in document.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if let Some(outer) = literal {
            if line.trim().is_empty() || indent > outer {
                continue;
            }
            literal = None;
        }
        if line.ends_with(": |") || line.ends_with(": >") || line.ends_with(": |-") || line.ends_with(": >-") {
            literal = Some(indent);
        }
        let (mut quote, mut word, mut flow) = (None, String::new(), 0);
        let mut chars = line.chars().peekable();
        let mut end = |word: &mut String| {
            let text = word.trim().trim_start_matches("- ").to_owned();
            if !text.is_empty() && !text.starts_with(['|', '>']) {
                found.push((number + 1, text));
            }
            word.clear();
        };
        while let Some(c) = chars.next() {
            match (quote, c) {
                (Some(q), _) if c == q => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') if word.trim().trim_start_matches("- ").is_empty() => {
                    word.clear();
                    quote = Some(c);
                }
                (None, '#') if word.is_empty() || word.ends_with(' ') => break,
                (None, '{' | '[') if word.trim().trim_start_matches("- ").is_empty() => {
                    word.clear();
                    flow += 1;
                }
                (None, '}' | ']') if flow > 0 => {
                    end(&mut word);
                    flow -= 1;
                }
                (None, ',') if flow > 0 => end(&mut word),
                (None, ':') if chars.peek().is_none_or(|next| *next == ' ') => end(&mut word),
                (None, _) => word.push(c),
            }
        }
        end(&mut word);
    }
    found
}

#[test]
fn both_versions_of_yaml_read_the_same() {
    let document = std::fs::read_to_string(PAGE).unwrap();
    let scalars = plain_scalars(&document);
    assert!(scalars.len() > 1_000, "only {} scalars were found", scalars.len());
    for (line, text) in scalars {
        assert_eq!(taken_11(&text), taken_12(&text), "asyncapi.yaml, line {line}: {text:?} needs quotes");
    }
}

#[test]
fn the_two_versions_are_told_apart() {
    for text in ["on", "off", "Yes", "n", "Y", "010", "12:30", "2026-01-02", "1_000", "0b1", "1e3", "<<"] {
        assert_ne!(taken_11(text), taken_12(text), "{text}");
    }
    for text in ["true", "null", "~", "12", "-3", "1.5", "0", "0x1f", "word", "3.0.0", "a b", "", ".inf"] {
        assert_eq!(taken_11(text), taken_12(text), "{text}");
    }
    let found =
        plain_scalars("on: { type: x, \"n\": [off, 'no', 1] } # yes\nlist:\n  - on\ntext: |\n  off: on\nlast: no\n");
    let texts: Vec<_> = found.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["on", "type", "x", "off", "1", "list", "on", "text", "last", "no"]);
}
