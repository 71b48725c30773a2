//! Whole numbers that are written with a fraction or an exponent: to JSON Schema `260.0` and `2.6e2` are integers.

/// The largest magnitude up to which floating point holds every integer.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Rewrites such numbers of a JSON text as plain integers; `None` where there are none. Strings stay as they are.
///
/// Meant for a text that could not be read as it is, so that those that can be pay nothing.
#[must_use]
pub fn rewritten(json: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut at, mut copied, mut quoted) = (0, 0, false);
    while at < json.len() {
        match json[at] {
            b'\\' if quoted => at += 2,
            b'"' => {
                quoted = !quoted;
                at += 1;
            }
            b'-' | b'0'..=b'9' if !quoted => {
                let length = json[at..].iter().take_while(|byte| in_number(**byte)).count();
                if let Some(whole) = whole(&json[at..at + length]) {
                    out.extend_from_slice(&json[copied..at]);
                    out.extend_from_slice(whole.to_string().as_bytes());
                    copied = at + length;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    (copied > 0).then(|| {
        out.extend_from_slice(&json[copied..]);
        out
    })
}

fn in_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// The integer that a token is, where it is written in another way.
fn whole(token: &[u8]) -> Option<i64> {
    if !token.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return None;
    }
    // What is no number in JSON stays what it is, for the parser to refuse.
    let value: f64 = serde_json::from_slice(token).ok()?;
    (value.fract() == 0.0 && value.abs() <= EXACT_MAX).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::rewritten;

    fn check(json: &str, expected: Option<&str>) {
        let found = rewritten(json.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(found.as_deref(), expected, "{json}");
    }

    #[test]
    fn whole_numbers_become_integers() {
        check(r#"{"seq": 260.0, "users": [7, 12.00, 1e3,-0.0]}"#, Some(r#"{"seq": 260, "users": [7, 12, 1000,0]}"#));
        check(r#"{"seq": 2.6E+2}"#, Some(r#"{"seq": 260}"#));
        check("9007199254740992.0", Some("9007199254740992"));
    }

    #[test]
    fn all_else_stays() {
        for json in
            [r#"{"seq": 260}"#, r#"{"text": "260.0 \" 1.0"}"#, "[1.5, 1e400, 1e30, -]", "", "\"\\", "[1.0.0, 1.]"]
        {
            check(json, None);
        }
    }
}
