//! What usernames, e-mail addresses, names and passwords must look like.

use parlance_schema::Fault;
use parlance_schema::limits::{
    EMAIL_BYTES_MAX, FULL_NAME_CHARS_MAX, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, USERNAME_CHARS_MAX,
};

use super::Secret;

/// Unicode scalar values that a username has at least.
const USERNAME_CHARS_MIN: usize = 3;
/// Bytes of an e-mail address before the `@` (RFC 5321, 4.5.3.1.1).
const EMAIL_LOCAL_BYTES_MAX: usize = 64;
/// Bytes of one label of a domain (RFC 1035, 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// Checks a username: 3 to 50 letters and digits of any script, dots, underscores and hyphens, and not a plain number.
pub(crate) fn username(text: &str) -> Result<(), Fault> {
    let chars = text.chars().count();
    if !(USERNAME_CHARS_MIN..=USERNAME_CHARS_MAX).contains(&chars) {
        return Err(Fault::invalid(format!(
            "a username has {USERNAME_CHARS_MIN} to {USERNAME_CHARS_MAX} characters, this one {chars}"
        )));
    }
    if let Some(bad) = text.chars().find(|c| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        return Err(Fault::invalid(format!(
            "a username is made of letters, digits, '.', '_' and '-'; this one has {bad:?}"
        )));
    }
    // A number would be taken for an id, and punctuation alone can't be read out.
    if text.chars().all(char::is_numeric) || !text.chars().any(char::is_alphanumeric) {
        return Err(Fault::invalid("a username is not a number, and has a letter or a digit"));
    }
    Ok(())
}

/// Checks that an e-mail address is one as far as its letters can tell; whether mail arrives is another question.
pub(crate) fn email(text: &str) -> Result<(), Fault> {
    let refuse = |why: &str| Err(Fault::invalid(format!("not an e-mail address: {why}")));
    if text.len() > EMAIL_BYTES_MAX {
        return refuse(&format!("over {EMAIL_BYTES_MAX} bytes"));
    }
    let Some((local, domain)) = text.split_once('@') else { return refuse("there is no '@'") };
    if local.is_empty() || local.len() > EMAIL_LOCAL_BYTES_MAX {
        return refuse(&format!("1 to {EMAIL_LOCAL_BYTES_MAX} bytes stand before the '@'"));
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || "\"(),:;<>@[\\]".contains(c);
    if local.chars().any(odd) || local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return refuse("the part before the '@' has a character out of place");
    }
    let label = |l: &str| {
        (1..=LABEL_BYTES_MAX).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    if !domain.split('.').all(label) {
        return refuse("the part after the '@' is not a domain");
    }
    Ok(())
}

/// Checks a name to show: up to 100 characters, none of them a control character.
pub(crate) fn full_name(text: &str) -> Result<(), Fault> {
    let chars = text.chars().count();
    if chars > FULL_NAME_CHARS_MAX {
        return Err(Fault::invalid(format!(
            "a full name has up to {FULL_NAME_CHARS_MAX} characters, this one {chars}"
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::invalid("a full name has no control characters"));
    }
    Ok(())
}

/// Checks what was sent for a text that is trimmed before it is kept: its bound is that of the documentation.
pub(super) fn sent(text: &str, chars_max: usize) -> Result<(), Fault> {
    if text.chars().count() > chars_max {
        return Err(Fault::invalid(format!("over {chars_max} characters")));
    }
    Ok(())
}

/// Checks a new password's length; what else makes one good, its owner knows best.
pub(super) fn password(secret: &Secret) -> Result<(), Fault> {
    if fits(secret) {
        return Ok(());
    }
    Err(Fault::invalid(format!("a password has {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes")))
}

/// Whether a password could be somebody's: those that came from elsewhere may be shorter than new ones.
pub(super) fn may_be(secret: &Secret) -> bool {
    (1..=PASSWORD_BYTES_MAX).contains(&secret.reveal().len())
}

/// Whether a password is long enough to be a new one, and no longer than any.
fn fits(secret: &Secret) -> bool {
    (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&secret.reveal().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: fn(&str) -> Result<(), Fault>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(rule(text).is_ok(), "{text:?} was refused: {:?}", rule(text));
        }
        for text in bad {
            assert_eq!(rule(text).map_err(|f| f.code), Err(parlance_schema::Code::Invalid), "{text:?} was let in");
        }
    }

    #[test]
    fn usernames() {
        let longest = "ä".repeat(50);
        let longer = "ä".repeat(51);
        check(
            username,
            &["bob", "Anna.Maria_2-x", "żółw", "Ωμέγα", "李小龙", "дмитрий", "a11", "_x_", &longest],
            &["", "ab", "123", "٣٤٥", "...", "a b c", "bob@x", "a\u{200b}bc", "abc\n", "<script>", &longer],
        );
    }

    #[test]
    fn emails() {
        let longest = format!("{}@{}.{}.example", "a".repeat(64), "b".repeat(63), "c".repeat(63));
        let long_local = format!("{}@example.org", "a".repeat(65));
        let labels = ["d"; 126].join(".");
        let too_long = format!("abc@{labels}");
        check(
            email,
            &["a@b.org", "first.last+tag@sub.example.co", "user@localhost", "jürgen@müller.example", &longest],
            &[
                "",
                "a",
                "@b.org",
                "a@",
                "a@b@c.org",
                "a b@c.org",
                ".a@b.org",
                "a..b@c.org",
                "a@-b.org",
                "a@b..org",
                "a\n@b.org",
                "<a>@b.org",
                &long_local,
                &too_long,
            ],
        );
    }

    #[test]
    fn full_names() {
        let longest = "é".repeat(100);
        let longer = "é".repeat(101);
        check(full_name, &["", "Ada Lovelace", "محمد", &longest], &["a\nb", "\u{7}", &longer]);
    }

    #[test]
    fn passwords_count_bytes() {
        check(
            |text| password(&Secret::from(text)),
            &["12345678", "ääää", &"x".repeat(256)],
            &["1234567", "", &"x".repeat(257)],
        );
    }
}
