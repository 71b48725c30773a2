//! Which new passwords are too easy to guess: the common ones, repetitions, rows of keys, and the user's own names.
//!
//! Only new passwords are asked. One that is in use, or came from another service, stays good until it is changed.

use std::collections::HashSet;
use std::sync::LazyLock;

use parlance_schema::Fault;

use crate::store::name_key;

/// Characters of a password besides a common one or the user's name, below which it is no more than that.
const ADDED_CHARS_MIN: usize = 5;
/// Characters of a name that is looked for in a password.
const NAME_CHARS_MIN: usize = 3;
/// Characters of what is repeated.
const REPEATED_CHARS_MAX: usize = 4;
/// Different characters of a password.
const DIFFERENT_CHARS_MIN: usize = 4;
/// Characters in a row that count as one step of a guess.
const ROW_CHARS_MIN: usize = 3;
/// The rows of usual keyboards.
const KEYBOARD: [&str; 6] = ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "azertyuiop"];

/// The common passwords, in lower case.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    include_str!("strength/common.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
});

/// Checks that a new password is not one of the first that somebody would try; `names` are the user's.
///
/// # Errors
/// Which rule it breaks, and what to do.
pub(super) fn check<'a>(password: &str, names: impl IntoIterator<Item = &'a str>) -> Result<(), Fault> {
    let folded = name_key(password);
    if is_common(&folded) {
        return Err(Fault::invalid(
            "this password is too common; choose one that others don't use, such as four unrelated words",
        ));
    }
    let chars: Vec<char> = folded.chars().collect();
    let different: HashSet<char> = chars.iter().copied().collect();
    if different.len() < DIFFERENT_CHARS_MIN || is_repeated(&chars) {
        return Err(Fault::invalid(
            "this password repeats the same few characters; choose a longer one with more variety",
        ));
    }
    if is_in_order(&chars) {
        return Err(Fault::invalid(
            "this password is a simple sequence of letters, digits or neighbouring keys; choose one that is hard to guess, such as four unrelated words",
        ));
    }
    if names.into_iter().any(|name| is_little_more_than(&folded, &name_key(name))) {
        return Err(Fault::invalid(
            "this password is little more than your name or e-mail address; choose one that doesn't contain them",
        ));
    }
    Ok(())
}

/// Whether a password is common, perhaps with look-alike digits in it or a few characters around it.
fn is_common(folded: &str) -> bool {
    let edge = |c: char| !c.is_alphabetic();
    let plain = |text: &str| -> String { text.chars().map(letter).collect() };
    let spelled = plain(folded);
    if COMMON.contains(folded) || COMMON.contains(spelled.as_str()) {
        return true;
    }
    [folded, spelled.as_str()].into_iter().any(|text| {
        let core = text.trim_matches(edge);
        let cores = [core, text.trim_start_matches(edge), text.trim_end_matches(edge)];
        cores.into_iter().any(|core| {
            let (core_chars, all) = (core.chars().count(), text.chars().count());
            // Trimmed before it is spelled: a digit at the end is an addition, within the word it stands for a letter.
            let known = || COMMON.contains(core) || COMMON.contains(plain(core).as_str());
            core_chars > NAME_CHARS_MIN && all - core_chars < ADDED_CHARS_MIN && known()
        })
    })
}

/// The letter that a digit or sign is often written for.
fn letter(c: char) -> char {
    match c {
        '@' | '4' => 'a',
        '3' => 'e',
        '1' | '!' => 'i',
        '0' => 'o',
        '$' | '5' => 's',
        '7' => 't',
        other => other,
    }
}

fn is_repeated(chars: &[char]) -> bool {
    let repeats = |length: usize| chars.len() >= 2 * length && chars.iter().zip(&chars[length..]).all(|(a, b)| a == b);
    (1..=REPEATED_CHARS_MAX).any(repeats)
}

/// Whether all of a password is rows: of letters or digits that follow one another up or down, or of neighbouring keys.
fn is_in_order(chars: &[char]) -> bool {
    let mut once = chars.to_vec();
    once.dedup();
    let mut at = 0;
    while at < once.len() {
        let row = row(&once[at..]);
        if row < ROW_CHARS_MIN {
            return false;
        }
        at += row;
    }
    true
}

/// How many of the first characters follow one another.
fn row(chars: &[char]) -> usize {
    let steps: [fn(char, char) -> bool; 4] = [
        |a, b| a.is_alphanumeric() && u32::from(a) + 1 == u32::from(b),
        |a, b| b.is_alphanumeric() && u32::from(a) == u32::from(b) + 1,
        |a, b| KEYBOARD.iter().any(|keys| keys.contains(&String::from_iter([a, b]))),
        |a, b| KEYBOARD.iter().any(|keys| keys.contains(&String::from_iter([b, a]))),
    ];
    steps.iter().map(|step| 1 + chars.windows(2).take_while(|pair| step(pair[0], pair[1])).count()).max().unwrap_or(1)
}

/// Whether a password is a name, forwards or backwards, with a few characters more.
fn is_little_more_than(folded: &str, name: &str) -> bool {
    // Of an address, what stands before the sign is what people use.
    let parts = [name, name.split('@').next().unwrap_or_default()];
    let parts = parts.into_iter().flat_map(|part| [part.to_owned(), part.chars().rev().collect()]);
    parts.filter(|part| part.chars().count() >= NAME_CHARS_MIN && folded.contains(part.as_str())).any(|part| {
        let rest: String = folded.split(part.as_str()).collect();
        rest.chars().count() < ADDED_CHARS_MIN
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_first_is_refused() {
        for (password, why) in [
            ("password", "too common"),
            ("PassWord", "too common"),
            ("password1", "too common"),
            ("Password123!", "too common"),
            ("p@ssw0rd", "too common"),
            ("P@$$w0rd1", "too common"),
            ("12345678", "too common"),
            ("qwertyuiop", "too common"),
            ("letmein2024", "too common"),
            ("!!dragon!!", "too common"),
            ("ｐａｓｓｗｏｒｄ", "too common"),
            ("aaaaaaaa", ""),
            ("AaAaAaAaAa", "same few"),
            ("xyzxyzxyz", "same few"),
            ("äääääääääää", "same few"),
            ("wvutwvut", "same few"),
            ("zzzzyyyyxxxx", "same few"),
            ("cdefghijk", "simple sequence"),
            ("98765432109876", ""),
            ("hgfedcba", "simple sequence"),
            ("abcdef123456", "simple sequence"),
            ("абвгдежз", "simple sequence"),
            ("lkjhgfdsa", "simple sequence"),
            ("amirabella", "your name"),
            ("AmiraBella2024", "your name"),
            ("allebarima99", "your name"),
            ("a.bella@example.org", "your name"),
            ("a.bella!!", "your name"),
        ] {
            let said = check(password, ["amirabella", "a.bella@example.org", "Amira B."]).unwrap_err();
            assert!(said.detail.contains(why), "{password}: {said}");
        }
    }

    #[test]
    fn what_is_not_is_taken() {
        for password in [
            "correct horse",
            "correct horse battery",
            "a long enough one",
            "another horse battery",
            "Tr0ub4dor&3x",
            "hunter42-and-more",
            "äpfel und birnen",
            "正确的马电池钉",
            "abc-xyz-132-kqw",
            "bobbing for apples",
        ] {
            assert_eq!(check(password, ["amirabella", "bob", "", "a@b.org"]), Ok(()), "{password}");
        }
    }

    #[test]
    fn the_list_is_whole() {
        assert!(COMMON.len() > 9_900 && COMMON.contains("123456") && COMMON.contains("baseball"));
        assert!(COMMON.iter().all(|word| !word.contains(char::is_whitespace)));
    }
}
