//! What usernames, e-mail addresses, names and passwords must look like.

use parlance_domain::content_rules::{is_blank, is_visible};
use parlance_schema::Fault;
use parlance_schema::limits::{
    EMAIL_BYTES_MAX, FULL_NAME_CHARS_MAX, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, USERNAME_CHARS_MAX,
};

use crate::secret::Secret;

/// Unicode scalar values that a username has at least.
const USERNAME_CHARS_MIN: usize = 3;
/// Bytes of an e-mail address before the `@` (RFC 5321, 4.5.3.1.1).
const EMAIL_LOCAL_BYTES_MAX: usize = 64;
/// Bytes of one label of a domain (RFC 1035, 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// How many times as long a password may be that is given as letters and marks, of which the kept form has one character.
const TAKEN_APART_MAX: usize = 4;

/// Checks a username, and gives it the form in which it is kept: 3 to 50 letters and digits of any script, dots, underscores
/// and hyphens, and not a plain number.
pub(crate) fn username(text: &str) -> Result<String, Fault> {
    // Preparing a text costs by its length, and hardly changes it.
    let name = sent("username", text, 4 * USERNAME_CHARS_MAX).and_then(|()| super::precis::username(text));
    let chars = text.chars().count().min(name.as_ref().map_or(usize::MAX, |name| name.chars().count()));
    if !(USERNAME_CHARS_MIN..=USERNAME_CHARS_MAX).contains(&chars) {
        return Err(Fault::invalid(format!(
            "a username must have {USERNAME_CHARS_MIN} to {USERNAME_CHARS_MAX} characters; this one has {chars} characters"
        )));
    }
    let name = name?;
    // A number would be taken for an id, and punctuation alone can't be read out.
    if name.chars().all(char::is_numeric) || !name.chars().any(char::is_alphanumeric) {
        return Err(Fault::invalid("a username must not be a plain number: add a letter"));
    }
    Ok(name)
}

/// The username that comes nearest to a text which may be none.
pub(crate) fn nearest_username(text: &str) -> String {
    let text: String = text.chars().take(4 * USERNAME_CHARS_MAX).collect();
    super::precis::nearest(&text).chars().take(USERNAME_CHARS_MAX).collect()
}

/// Checks that an e-mail address is one as far as its letters can tell; whether mail arrives is another question.
pub(crate) fn email(text: &str) -> Result<(), Fault> {
    if text.len() > EMAIL_BYTES_MAX {
        return Err(Fault::invalid(format!("`email` must have at most {EMAIL_BYTES_MAX} bytes")));
    }
    let Some((local, domain)) = text.split_once('@') else {
        return Err(Fault::invalid("an e-mail address must have an '@', as in anna@example.org"));
    };
    if local.is_empty() || local.len() > EMAIL_LOCAL_BYTES_MAX {
        return Err(Fault::invalid(format!(
            "an e-mail address must have 1 to {EMAIL_LOCAL_BYTES_MAX} bytes before the '@'"
        )));
    }
    let odd = |c: char| c.is_whitespace() || !is_visible(c) || "\"(),:;<>@[\\]".contains(c);
    if local.chars().any(odd) || local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return Err(Fault::invalid(
            "the part of an e-mail address before the '@' must have no spaces, brackets, quotes or invisible characters, and no dot at its beginning, at its end or twice in a row",
        ));
    }
    let label = |l: &str| {
        (1..=LABEL_BYTES_MAX).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.chars().all(|c| (c.is_alphanumeric() && is_visible(c)) || c == '-')
    };
    if !domain.split('.').all(label) {
        return Err(Fault::invalid(
            "the part of an e-mail address after the '@' must be a domain name, such as example.org",
        ));
    }
    Ok(())
}

/// Checks a name to show: up to 100 characters, none of them a control character.
pub(crate) fn full_name(text: &str) -> Result<(), Fault> {
    let chars = text.chars().count();
    if chars > FULL_NAME_CHARS_MAX {
        return Err(Fault::invalid(format!(
            "a full name must have at most {FULL_NAME_CHARS_MAX} characters; this one has {chars} characters"
        )));
    }
    if !text.is_empty() && is_blank(text) {
        return Err(Fault::invalid(
            "a full name must have at least one visible character: to give no name, leave the field out",
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::invalid("a full name must not contain control characters"));
    }
    Ok(())
}

/// Checks what was sent for a text that is trimmed before it is kept: its bound is that of the documentation.
pub(super) fn sent(field: &str, text: &str, chars_max: usize) -> Result<(), Fault> {
    if text.chars().count() > chars_max {
        return Err(Fault::invalid(format!("`{field}` must have at most {chars_max} characters")));
    }
    Ok(())
}

/// Checks a new password of somebody with these names: its length, its characters, and that it is not easily guessed.
pub(super) fn password<'a>(secret: &Secret, names: impl IntoIterator<Item = &'a str>) -> Result<(), Fault> {
    let prepared = if may_be(secret) { Some(super::precis::opaque(secret.reveal())?) } else { None };
    let Some(password) = prepared.filter(|password| fits(password)) else {
        return Err(Fault::invalid(format!(
            "a password must have at least {PASSWORD_CHARS_MIN} characters, and at most {PASSWORD_BYTES_MAX} bytes"
        )));
    };
    super::password_strength::check(&password, names)
}

/// Whether a password could be somebody's: those that came from elsewhere may be shorter than new ones, and taken apart into letters and
/// marks one is longer than in the form that is counted.
pub(super) fn may_be(secret: &Secret) -> bool {
    (1..=TAKEN_APART_MAX * PASSWORD_BYTES_MAX).contains(&secret.reveal().len())
}

/// Whether a password is long enough to be a new one, and no longer than any.
fn fits(password: &str) -> bool {
    password.len() <= PASSWORD_BYTES_MAX && password.chars().count() >= PASSWORD_CHARS_MIN
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
            |text| username(text).map(drop),
            &[
                "bob",
                "Anna.Maria_2-x",
                "żółw",
                "Ωμέγα",
                "李小龙",
                "дмитрий",
                "हिन्दी",
                "தமிழ்",
                "ภาษาไทย",
                "a11",
                "_x_",
                &longest,
            ],
            &[
                "",
                "ab",
                "123",
                "٣٤٥",
                "...",
                "a b c",
                "bob@x",
                "a\u{200b}bc",
                "abc\n",
                "<script>",
                "\u{3164}\u{3164}\u{3164}",
                "\u{13441}\u{13441}\u{13441}",
                "bob\u{13442}",
                "bob\u{16fe4}",
                &longer,
            ],
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
                "ada\u{200b}@b.org",
                "ada\u{202e}@b.org",
                "\u{3164}@b.org",
                "a@b\u{3164}.org",
                &long_local,
                &too_long,
            ],
        );
    }

    #[test]
    fn full_names() {
        let longest = "é".repeat(100);
        let longer = "é".repeat(101);
        check(
            full_name,
            &["", "Ada Lovelace", "محمد", &longest],
            &["a\nb", "\u{7}", "\u{200b}", "\u{2800} \u{3164}", &longer],
        );
    }

    #[test]
    fn passwords_count_characters_and_bytes() {
        // Thirty Korean syllables, each given as three letters: 270 bytes, of which 90 are kept.
        let taken_apart: String = "\u{1100}\u{1102}\u{1103}\u{1105}\u{1106}\u{1107}\u{1109}\u{110b}\u{110c}\u{1112}"
            .chars()
            .flat_map(|first| {
                [first, '\u{1161}', '\u{11a8}', first, '\u{1169}', '\u{11ab}', first, '\u{116e}', '\u{11af}']
            })
            .collect();
        assert_eq!(taken_apart.len(), 270);
        assert!(may_be(&Secret::from(taken_apart.as_str())));
        check(
            |text| password(&Secret::from(text), ["amirabella"]),
            &["12fh5678", "äöüßéàçñ", "四つの無関係な言葉", &"abcq-wz9".repeat(32), &taken_apart],
            &[
                "12fh567",
                "вася",
                "васяпет",
                "正确的马电池钉",
                "a\u{308}o\u{308}u\u{308}e\u{301}",
                "",
                &"xyzvw".repeat(52),
                "password",
                "aaaaaaaa",
                "amirabella1",
                "a\0bcdefghi",
                "\u{200b}abcxyz12",
            ],
        );
    }
}
