//! Bounds and shapes of what people write.

use parlance_schema::Fault;
use parlance_schema::content::{Content, Meta, Part};
use parlance_schema::limits::{
    ID_MAX, MESSAGE_CHARS_MAX, META_BYTES_MAX, META_KEYS_MAX, PART_FIELD_BYTES_MAX, PARTS_MAX, REACTION_BYTES_MAX,
    ROOM_NAME_CHARS_MAX,
};

/// Checks what a message says: something, and not too much.
///
/// # Errors
/// `invalid` when it is empty, too long (Unicode scalar values), or a part is malformed.
pub fn check_content(content: &Content) -> Result<(), Fault> {
    if content.parts.is_empty() {
        return check_text(&content.text);
    }
    if content.chars() > MESSAGE_CHARS_MAX {
        return Err(Fault::invalid(format!("a message has at most {MESSAGE_CHARS_MAX} characters")));
    }
    if content.parts.len() > PARTS_MAX {
        return Err(Fault::invalid(format!("a message has at most {PARTS_MAX} parts")));
    }
    check_nul([content.text.as_str()])?;
    content.parts.iter().try_for_each(check_part)
}

/// Checks what a message without parts says.
///
/// # Errors
/// `invalid`, saying what is wrong.
pub fn check_text(text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() {
        return Err(Fault::invalid("a message says something"));
    }
    if text.chars().count() > MESSAGE_CHARS_MAX {
        return Err(Fault::invalid(format!("a message has at most {MESSAGE_CHARS_MAX} characters")));
    }
    check_nul([text])
}

fn check_nul<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<(), Fault> {
    if texts.into_iter().any(|text| text.contains('\0')) { Err(Fault::invalid("text holds no NUL")) } else { Ok(()) }
}

fn check_part(part: &Part) -> Result<(), Fault> {
    match part {
        Part::Code { language, text } => check_nul([language.as_str(), text])?,
        Part::Image { url, alt } => check_nul([url.as_str(), alt])?,
        Part::File { url, name, mime, .. } => check_nul([url.as_str(), name, mime])?,
        Part::Data { mime, text } => check_nul([mime.as_str(), text])?,
    }
    let short = |field: &str| field.len() <= PART_FIELD_BYTES_MAX;
    let link = |url: &str| short(url) && (url.starts_with("https://") || url.starts_with("http://"));
    let fits = match part {
        Part::Code { language, .. } => language.len() <= 64,
        Part::Image { url, alt } => link(url) && short(alt),
        Part::File { url, name, mime, size } => {
            link(url) && short(name) && !name.is_empty() && short(mime) && *size <= ID_MAX
        }
        Part::Data { mime, .. } => !mime.is_empty() && short(mime),
    };
    if fits { Ok(()) } else { Err(Fault::invalid("a part's link is http or https, and its fields are short")) }
}

/// Checks the small facts beside a message.
///
/// # Errors
/// `invalid` when there are too many, or they are too long.
pub fn check_meta(meta: &Meta) -> Result<(), Fault> {
    let bytes: usize = meta.iter().map(|(k, v)| k.len() + v.len()).sum();
    if meta.len() > META_KEYS_MAX || bytes > META_BYTES_MAX {
        return Err(Fault::invalid(format!("meta has at most {META_KEYS_MAX} keys and {META_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// Checks a room's name: 1 to 100 characters, no control characters, something visible.
///
/// # Errors
/// `invalid`.
pub fn check_room_name(name: &str) -> Result<(), Fault> {
    let fits = !name.trim().is_empty() && name.chars().count() <= ROOM_NAME_CHARS_MAX;
    if fits && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(Fault::invalid(format!("a name has 1 to {ROOM_NAME_CHARS_MAX} characters")))
    }
}

/// Checks a reaction: an emoji sequence or a short name, without white space.
///
/// # Errors
/// `invalid`.
pub fn check_reaction(emoji: &str) -> Result<(), Fault> {
    let fits = !emoji.is_empty() && emoji.len() <= REACTION_BYTES_MAX;
    if fits && !emoji.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Ok(())
    } else {
        Err(Fault::invalid("a reaction is an emoji or a short name without white space"))
    }
}
