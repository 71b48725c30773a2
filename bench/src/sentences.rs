//! The messages of every measurement: real sentences in many languages, brought to one length.

/// Bytes of a message's text.
pub const TEXT_BYTES: usize = 200;

/// The sentences of `sentences.txt`, joined and cut at character boundaries to [`TEXT_BYTES`] bytes each, padded with
/// spaces where the boundary falls short.
pub fn texts() -> Vec<String> {
    let lines: Vec<&str> =
        include_str!("../sentences.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let mut texts = Vec::with_capacity(lines.len());
    for at in 0..lines.len() {
        let mut text = String::with_capacity(TEXT_BYTES * 2);
        for line in lines.iter().cycle().skip(at) {
            text.push_str(line);
            if text.len() >= TEXT_BYTES {
                break;
            }
            text.push(' ');
        }
        let mut end = TEXT_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.extend(std::iter::repeat_n(' ', TEXT_BYTES - end));
        texts.push(text);
    }
    texts
}

/// The same as JSON string literals, quotes included.
pub fn literals() -> Vec<String> {
    texts().into_iter().map(|text| serde_json::Value::String(text).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_many_and_of_one_length() {
        let texts = texts();
        assert!(texts.len() >= 200);
        assert!(texts.iter().all(|t| t.len() == TEXT_BYTES));
        for script in ['م', 'ש', 'ह', '語', '은', 'ж', 'ก', '\u{301}', '👩'] {
            assert!(texts.iter().any(|t| t.contains(script)), "{script} is missing");
        }
    }
}
