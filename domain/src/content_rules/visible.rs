//! What can be seen of a text, by Unicode's tables.

use icu_properties::props::{
    DefaultIgnorableCodePoint, GeneralCategory, NoncharacterCodePoint, PrependedConcatenationMark, WhiteSpace,
};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Whether a text shows nothing: it is empty, or has only white space and characters without a glyph.
///
/// Joiners and selectors inside emoji and words are no matter: one character that can be seen is enough.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    !text.chars().any(is_visible)
}

/// Whether a character has a glyph of its own, or shapes one.
#[must_use]
pub fn is_visible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic();
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    if matches!(category, GeneralCategory::Control | GeneralCategory::Surrogate) {
        return false;
    }
    // Of the characters that only shape others, some Arabic and Indic signs have a glyph.
    if category == GeneralCategory::Format {
        return CodePointSetData::new::<PrependedConcatenationMark>().contains(c);
    }
    !CodePointSetData::new::<WhiteSpace>().contains(c)
        && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        && !CodePointSetData::new::<NoncharacterCodePoint>().contains(c)
        && !is_blank_symbol(c)
}

/// Letters and symbols whose glyph is blank, which no property tells.
fn is_blank_symbol(c: char) -> bool {
    matches!(
        c,
        // Braille pattern blank, object replacement, musical null notehead.
        '\u{2800}' | '\u{fffc}' | '\u{1d159}'
        // Egyptian hieroglyph full and half blank, Khitan small script filler.
        | '\u{13441}' | '\u{13442}' | '\u{16fe4}'
    )
}

#[cfg(test)]
mod tests {
    use super::is_blank;

    #[test]
    fn what_shows_nothing_is_blank() {
        let blank = [
            "",
            " \t\n",
            "\u{a0}\u{2003}\u{3000}",
            "\u{200b}",
            "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}",
            "\u{ad}",
            "\u{34f}",
            "\u{61c}\u{200e}\u{202e}\u{2066}\u{2069}",
            "\u{fe0f}",
            "\u{e0041}\u{e007f}",
            "\u{115f}\u{1160}\u{3164}\u{ffa0}",
            "\u{17b4}\u{180e}",
            "\u{2800}",
            "\u{fff9}\u{fffb}",
            "\u{fffe}",
            "\0\u{7}\u{85}",
            "\u{1d159}\u{1d173}",
            " \u{200b}\u{2800} \u{3164}",
        ];
        for text in blank {
            assert!(is_blank(text), "{:?}", text.escape_unicode().to_string());
        }
    }

    #[test]
    fn what_shows_something_is_not() {
        let shown = [
            ".",
            "👩\u{200d}👩\u{200d}👧",
            "❤\u{fe0f}",
            "\u{200b}a",
            "क\u{94d}\u{200d}ष",
            "می\u{200c}خواهم",
            "ทำ",
            "e\u{301}",
            "\u{600}",
            "한",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "\u{e000}",
            "\u{2801}",
        ];
        for text in shown {
            assert!(!is_blank(text), "{text}");
        }
    }
}
