//! Bounds and shapes of what people write.

use icu_normalizer::ComposingNormalizerBorrowed;
use parlance_schema::Fault;
use parlance_schema::content::{Content, Meta, Part};
use parlance_schema::limits::{
    CODE_LANGUAGE_BYTES_MAX, ID_MAX, MESSAGE_CHARS_MAX, META_BYTES_MAX, META_KEYS_MAX, PART_FIELD_BYTES_MAX, PARTS_MAX,
    REACTION_BYTES_MAX, ROOM_NAME_CHARS_MAX,
};

mod visible;

/// Bytes from which a reaction may be composed: in NFC, text gets shorter by a factor of 3 at most.
const COMPOSED_FROM_BYTES_MAX: usize = 4 * REACTION_BYTES_MAX;

pub use visible::{is_blank, is_visible};

/// Checks what a message says: something that can be seen, and not too much.
///
/// # Errors
/// `invalid` when it is empty, too long (Unicode scalar values), or a part is malformed.
pub fn check_content(content: &Content) -> Result<(), Fault> {
    if content.chars() > MESSAGE_CHARS_MAX {
        return Err(too_long());
    }
    if content.parts.len() > PARTS_MAX {
        return Err(Fault::invalid(format!(
            "a message must have at most {PARTS_MAX} parts: split it into several messages"
        )));
    }
    if is_blank(&content.text) && !content.parts.iter().any(shows_something) {
        return Err(empty());
    }
    check_nul("text", &content.text)?;
    content.parts.iter().try_for_each(check_part)
}

/// Checks what a message without parts says.
///
/// # Errors
/// `invalid`, saying what is wrong.
pub fn check_text(text: &str) -> Result<(), Fault> {
    if is_blank(text) {
        return Err(empty());
    }
    if text.chars().count() > MESSAGE_CHARS_MAX {
        return Err(too_long());
    }
    check_nul("text", text)
}

fn empty() -> Fault {
    Fault::invalid("the message is empty: add text with at least one visible character, or add a part")
}

fn too_long() -> Fault {
    Fault::invalid(format!("the message is too long: it must have at most {MESSAGE_CHARS_MAX} characters"))
}

/// Whether a part shows its reader anything: a link always does.
fn shows_something(part: &Part) -> bool {
    match part {
        Part::Image { .. } | Part::File { .. } => true,
        Part::Code { text, .. } | Part::Data { text, .. } => !is_blank(text),
    }
}

fn check_nul(field: &str, text: &str) -> Result<(), Fault> {
    if text.contains('\0') {
        return Err(Fault::invalid(format!("`{field}` must not contain the character NUL (U+0000)")));
    }
    Ok(())
}

fn check_part(part: &Part) -> Result<(), Fault> {
    match part {
        Part::Code { language, text } => {
            check_short("language", language, CODE_LANGUAGE_BYTES_MAX)?;
            check_nul("text", text)
        }
        Part::Image { url, alt } => {
            check_link(url)?;
            check_short("alt", alt, PART_FIELD_BYTES_MAX)
        }
        Part::File { url, name, mime, size } => {
            check_link(url)?;
            check_shown("name", name)?;
            check_short("mime", mime, PART_FIELD_BYTES_MAX)?;
            if *size > ID_MAX {
                return Err(Fault::invalid(format!("a file's `size` must be at most {ID_MAX} bytes")));
            }
            Ok(())
        }
        Part::Data { mime, text } => {
            check_shown("mime", mime)?;
            check_nul("text", text)
        }
    }
}

fn check_link(url: &str) -> Result<(), Fault> {
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(Fault::invalid("the `url` of a part must begin with https:// or http://"));
    }
    check_short("url", url, PART_FIELD_BYTES_MAX)
}

fn check_shown(field: &str, text: &str) -> Result<(), Fault> {
    if is_blank(text) {
        return Err(Fault::invalid(format!("the `{field}` of a part must not be empty")));
    }
    check_short(field, text, PART_FIELD_BYTES_MAX)
}

fn check_short(field: &str, text: &str, bytes_max: usize) -> Result<(), Fault> {
    if text.len() > bytes_max {
        return Err(Fault::invalid(format!("the `{field}` of a part must have at most {bytes_max} bytes")));
    }
    check_nul(field, text)
}

/// Checks the small facts beside a message.
///
/// # Errors
/// `invalid` when there are too many, or they are too long.
pub fn check_meta(meta: &Meta) -> Result<(), Fault> {
    let bytes: usize = meta.iter().map(|(k, v)| k.len() + v.len()).sum();
    if meta.len() > META_KEYS_MAX || bytes > META_BYTES_MAX {
        return Err(Fault::invalid(format!(
            "`meta` must have at most {META_KEYS_MAX} keys, and at most {META_BYTES_MAX} bytes in total (keys and values)"
        )));
    }
    Ok(())
}

/// Checks a room's name: 1 to 100 characters, no control characters, something that can be seen.
///
/// # Errors
/// `invalid`.
pub fn check_room_name(name: &str) -> Result<(), Fault> {
    if is_blank(name) {
        return Err(Fault::invalid("the room's name is empty: it must have at least one visible character"));
    }
    if name.chars().count() > ROOM_NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(Fault::invalid(format!(
            "a room's name must have at most {ROOM_NAME_CHARS_MAX} characters and must not contain control characters"
        )));
    }
    Ok(())
}

/// A reaction as it is kept: in one form of Unicode (NFC), so that what looks the same is the same.
///
/// # Errors
/// As for [`check_reaction`].
pub fn reaction(emoji: &str) -> Result<String, Fault> {
    // What is far too long is refused before it is composed, which takes time that others in the room would wait for.
    if emoji.len() > COMPOSED_FROM_BYTES_MAX {
        return Err(unfit_reaction());
    }
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(emoji);
    check_reaction(&composed)?;
    Ok(composed.into_owned())
}

/// Checks a reaction: an emoji sequence or a short name, without white space, and of what can't be seen only what shapes emoji.
///
/// # Errors
/// `invalid`.
pub fn check_reaction(emoji: &str) -> Result<(), Fault> {
    if is_blank(emoji) {
        return Err(Fault::invalid("the reaction is empty: it must be an emoji or a short name"));
    }
    if emoji.len() > REACTION_BYTES_MAX || !emoji.chars().all(|c| is_visible(c) || shapes_emoji(c)) {
        return Err(unfit_reaction());
    }
    Ok(())
}

fn unfit_reaction() -> Fault {
    Fault::invalid(format!(
        "a reaction must be an emoji or a short name: at most {REACTION_BYTES_MAX} bytes, no whitespace, no invisible characters"
    ))
}

/// Whether an invisible character says how the one before it looks: the joiner, variation selectors, and the tags of flags.
fn shapes_emoji(c: char) -> bool {
    matches!(c,
        '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{180b}'..='\u{180d}' | '\u{180f}'
        | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}
