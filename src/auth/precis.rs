//! Usernames and passwords in any script, prepared as RFC 8265 says: UsernameCaseMapped and OpaqueString.
//!
//! The tables are ICU's, of the present Unicode. What is written in different ways and reads the same comes out the same:
//! composed and decomposed letters, wide and narrow forms. What can't be seen has no place in a name or a password.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{
    BidiClass, CanonicalCombiningClass, DefaultIgnorableCodePoint, GeneralCategory, HangulSyllableType, JoiningType,
};
use icu_properties::{CodePointMapData, CodePointSetData};
use parlance_domain::content_rules::is_visible;
use parlance_schema::Fault;

/// Marks that may follow one another in a name without a letter between them (UTS 39, 5.4).
const MARKS_IN_A_ROW_MAX: usize = 4;

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// A username in the form in which it is kept, its case as it is: wide and narrow letters are the usual ones, and letters with
/// marks are composed.
///
/// # Errors
/// What about it can't be in a username, and what to do.
pub(super) fn username(text: &str) -> Result<String, Fault> {
    let usual: String =
        text.chars().map(|c| if is_wide_or_narrow(c) { compatible(c) } else { c.to_string() }).collect();
    let name = composed(&usual);
    let chars: Vec<char> = name.chars().collect();
    if chars.first().copied().is_some_and(is_mark) {
        return Err(Fault::invalid("a username must not begin with a combining mark"));
    }
    if marks_in_a_row(&name) > MARKS_IN_A_ROW_MAX {
        return Err(Fault::invalid(format!(
            "a username must have at most {MARKS_IN_A_ROW_MAX} combining marks in a row"
        )));
    }
    for (at, c) in chars.iter().copied().enumerate() {
        if matches!(c, ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER) {
            if !joins(&chars, at) {
                return Err(Fault::invalid("a username must not contain invisible characters; remove them"));
            }
        } else if is_ignorable(c) {
            let code = u32::from(c);
            return Err(Fault::invalid(format!(
                "a username must not contain an invisible character (U+{code:04X}); remove it"
            )));
        } else if !matches!(c, '.' | '_' | '-') && !is_letter_or_digit(c) {
            return Err(Fault::invalid(format!(
                "a username may contain only letters, digits, '.', '_' and '-'; this one contains {c:?}"
            )));
        }
    }
    let has = |range: std::ops::RangeInclusive<char>| chars.iter().any(|c| range.contains(c));
    if has('\u{660}'..='\u{669}') && has('\u{6f0}'..='\u{6f9}') {
        return Err(Fault::invalid("a username must not mix Arabic-Indic and Extended Arabic-Indic digits"));
    }
    if !keeps_direction(&chars) {
        return Err(Fault::invalid(
            "a username with right-to-left letters must begin with a right-to-left letter, must end with a right-to-left \
             letter or a digit, and must not contain left-to-right letters",
        ));
    }
    Ok(name)
}

/// What of a text could be a username: compatibility forms are the usual letters, what can't be seen is left out, and an
/// underscore stands for everything else. Whether it is one, [`username`] says.
pub(super) fn nearest(text: &str) -> String {
    let usual = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
    let seen = usual.chars().filter(|c| !is_ignorable(*c));
    seen.map(|c| if matches!(c, '.' | '_' | '-') || is_letter_or_digit(c) { c } else { '_' }).collect()
}

/// A new password in the form in which it is hashed: composed, with every space the same.
///
/// # Errors
/// What about it can't be in a password, and what to do.
pub(super) fn opaque(text: &str) -> Result<String, Fault> {
    let password = prepared(text);
    for c in password.chars() {
        let code = u32::from(c);
        match general(c) {
            GeneralCategory::Control => {
                return Err(Fault::invalid(format!(
                    "a password must not contain a control character (U+{code:04X}); remove it"
                )));
            }
            GeneralCategory::Unassigned | GeneralCategory::PrivateUse | GeneralCategory::Surrogate => {
                return Err(Fault::invalid(format!(
                    "a password must not contain U+{code:04X}, which is not a valid character; remove it"
                )));
            }
            _ if is_ignorable(c) => {
                return Err(Fault::invalid(format!(
                    "a password must not contain an invisible character (U+{code:04X}); remove it"
                )));
            }
            _ => {}
        }
    }
    Ok(password)
}

/// A password as OpaqueString has it, whatever is in it.
pub(super) fn prepared(text: &str) -> String {
    let space = |c: char| if general(c) == GeneralCategory::SpaceSeparator { ' ' } else { c };
    composed(&text.chars().map(space).collect::<String>())
}

/// A text with its letters taken apart, as some keyboards send them.
pub(super) fn decomposed(text: &str) -> String {
    icu_normalizer::DecomposingNormalizerBorrowed::new_nfd().normalize(text).into_owned()
}

pub(super) fn composed(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned()
}

/// A character's compatibility form, of one or more characters.
fn compatible(c: char) -> String {
    let mut buffer = [0; 4];
    ComposingNormalizerBorrowed::new_nfkc().normalize(c.encode_utf8(&mut buffer)).into_owned()
}

/// Whether a character is a wide or narrow form of another one (decompositions `<wide>` and `<narrow>`, UAX 11).
fn is_wide_or_narrow(c: char) -> bool {
    matches!(c, '\u{ff01}'..='\u{ffee}')
}

fn general(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

fn is_mark(c: char) -> bool {
    matches!(
        general(c),
        GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark | GeneralCategory::EnclosingMark
    )
}

/// The most marks that follow one another, of letters that are taken apart.
fn marks_in_a_row(name: &str) -> usize {
    decomposed(name).split(|c| !is_mark(c)).map(|marks| marks.chars().count()).max().unwrap_or(0)
}

fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// LetterDigits (RFC 8264, 9.1) that are not disallowed for another reason: compatibility forms, single parts of Korean
/// syllables, and the exceptions of RFC 5892, 2.6.
fn is_letter_or_digit(c: char) -> bool {
    let category = matches!(
        general(c),
        GeneralCategory::LowercaseLetter
            | GeneralCategory::UppercaseLetter
            | GeneralCategory::OtherLetter
            | GeneralCategory::ModifierLetter
            | GeneralCategory::DecimalNumber
            | GeneralCategory::NonspacingMark
            | GeneralCategory::SpacingMark
    );
    let part = !matches!(
        CodePointMapData::<HangulSyllableType>::new().get(c),
        HangulSyllableType::NotApplicable | HangulSyllableType::LVSyllable | HangulSyllableType::LVTSyllable
    );
    let exception = matches!(c, '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}');
    category && !part && !exception && is_visible(c) && is_its_own_form(c)
}

/// Whether a character is no compatibility form of others. The Thai and Lao vowel AM are by their tables, but belong to
/// everyday words; names are compared by their parts.
fn is_its_own_form(c: char) -> bool {
    matches!(c, '\u{e33}' | '\u{eb3}') || compatible(c).chars().eq([c])
}

/// Whether a joiner has something to join (RFC 5892, A.1 and A.2): it follows a virama, or stands between letters that
/// would be written as one without it.
fn joins(chars: &[char], at: usize) -> bool {
    let class = CodePointMapData::<CanonicalCombiningClass>::new();
    if at > 0 && class.get(chars[at - 1]) == CanonicalCombiningClass::Virama {
        return true;
    }
    if chars[at] == ZERO_WIDTH_JOINER {
        return false;
    }
    let joining = CodePointMapData::<JoiningType>::new();
    let visible = |c: &&char| joining.get(**c) != JoiningType::Transparent;
    let before = chars[..at].iter().rev().find(visible).map(|c| joining.get(*c));
    let after = chars[at + 1..].iter().find(visible).map(|c| joining.get(*c));
    matches!(before, Some(JoiningType::LeftJoining | JoiningType::DualJoining))
        && matches!(after, Some(JoiningType::RightJoining | JoiningType::DualJoining))
}

/// The Bidi Rule (RFC 5893, 2) for a name with right-to-left letters: it reads the same way from end to end.
fn keeps_direction(chars: &[char]) -> bool {
    let classes = CodePointMapData::<BidiClass>::new();
    let class = |c: &char| classes.get(*c);
    let leftward = |c: BidiClass| matches!(c, BidiClass::RightToLeft | BidiClass::ArabicLetter);
    if !chars.iter().map(class).any(|c| leftward(c) || c == BidiClass::ArabicNumber) {
        return true;
    }
    let may_be = |c: BidiClass| {
        matches!(
            c,
            BidiClass::RightToLeft
                | BidiClass::ArabicLetter
                | BidiClass::ArabicNumber
                | BidiClass::EuropeanNumber
                | BidiClass::EuropeanSeparator
                | BidiClass::CommonSeparator
                | BidiClass::EuropeanTerminator
                | BidiClass::OtherNeutral
                | BidiClass::BoundaryNeutral
                | BidiClass::NonspacingMark
        )
    };
    let ends = |c: BidiClass| leftward(c) || matches!(c, BidiClass::EuropeanNumber | BidiClass::ArabicNumber);
    let first = chars.first().map(class);
    let last = chars.iter().rev().map(class).find(|c| *c != BidiClass::NonspacingMark);
    let has = |wanted: BidiClass| chars.iter().map(class).any(|c| c == wanted);
    first.is_some_and(leftward)
        && chars.iter().map(class).all(may_be)
        && last.is_some_and(ends)
        && !(has(BidiClass::EuropeanNumber) && has(BidiClass::ArabicNumber))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_all_living_scripts_are_usernames() {
        for name in [
            "Anna.Maria_2-x",
            "żółw",
            "Ωμέγα",
            "дмитрий",
            "李小龙",
            "한국인",
            "हिन्दी",
            "मुस्कान",
            "தமிழ்",
            "ภาษาไทย",
            "น้ำฝน",
            "ນ້ຳ1",
            "বাংলা",
            "ქართული",
            "አማርኛ",
            "ខ្មែរ",
            "မြန်မာ",
            "محمد",
            "محمد2024",
            "שלום",
            "ශ්\u{200d}රී",
            "می\u{200c}خواهم",
            "𞤀𞤣𞤤𞤢𞤥",
            "Nguyễn",
        ] {
            assert_eq!(username(name).as_deref(), Ok(composed(name).as_str()), "{name}");
        }
    }

    #[test]
    fn what_is_written_in_another_way_is_the_same_name() {
        for (one, other) in [("한국인", "한국인"), ("ａｄａ", "ada"), ("é", "e\u{301}"), ("カナ", "ｶﾅ"), ("ガ", "ｶﾞ")]
        {
            for text in [one, other, &decomposed(one), &decomposed(other)] {
                assert_eq!(username(text).unwrap(), username(one).unwrap(), "{text}");
            }
        }
    }

    #[test]
    fn what_can_not_be_seen_is_no_part_of_a_username() {
        for hidden in [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2800}',
            '\u{3000}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{1d173}',
            '\u{e0041}',
            '\u{e0100}',
            '\0',
            '\t',
            '\n',
            ' ',
            '\u{a0}',
        ] {
            for name in [
                format!("ab{hidden}cd"),
                format!("{hidden}abcd"),
                format!("abcd{hidden}"),
                hidden.to_string().repeat(3),
            ] {
                assert!(username(&name).is_err(), "{name:?}");
            }
        }
    }

    #[test]
    fn what_looks_like_others_by_its_form_is_no_username() {
        for name in ["ﬁona", "x²y", "ⅷab", "①②③", "𝐚𝐝𝐚", "ⓐⓓⓐ", "ſam", "abc\u{fdfa}", "ᄀᄂᄃ"]
        {
            assert!(username(name).is_err(), "{name}");
        }
        for name in ["\u{301}abc", "a\u{300}\u{301}\u{302}\u{303}\u{304}b", "abcمحمد", "محمدabc", "1محمد", "٣۳ابج"]
        {
            assert!(username(name).is_err(), "{name}");
        }
    }

    #[test]
    fn passwords_are_opaque_strings() {
        assert_eq!(opaque("pässwörd").unwrap(), opaque(&decomposed("pässwörd")).unwrap());
        assert_eq!(opaque("a\u{a0}b\u{3000}c").unwrap(), "a b c");
        assert_eq!(opaque("Ａb ﬁ 🐴").unwrap(), "Ａb ﬁ 🐴", "case and forms stay");
        for bad in ["a\0b", "a\tb", "a\u{200b}b", "a\u{feff}b", "a\u{3164}b", "a\u{e000}b", "a\u{378}b"] {
            assert!(opaque(bad).is_err(), "{bad:?}");
        }
    }
}
