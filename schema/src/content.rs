//! What a message says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The words of a message: plain text, and parts of other kinds beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Plain text; may be empty where there are parts. At most 10,000 Unicode scalar values together with the parts.
    #[serde(default)]
    #[schema(max_length = 10_000)]
    pub text: String,
    /// Typed parts, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub parts: Vec<Part>,
}

impl Content {
    /// A message of plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), parts: Vec::new() }
    }

    /// Unicode scalar values of the text and all parts.
    #[must_use]
    pub fn chars(&self) -> usize {
        self.text.chars().count() + self.parts.iter().map(Part::chars).sum::<usize>()
    }
}

/// A part of a message that is not plain text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// Source code.
    Code {
        /// The language's name, such as `rust`.
        #[serde(default)]
        #[schema(max_length = 64)]
        language: String,
        /// The code.
        text: String,
    },
    /// A picture elsewhere.
    Image {
        /// Where it is: `https:` or `http:`.
        #[schema(max_length = 2_048, pattern = "^https?://")]
        url: String,
        /// What it shows, for those who can't see it.
        #[serde(default)]
        #[schema(max_length = 2_048)]
        alt: String,
    },
    /// A file elsewhere.
    File {
        /// Where it is: `https:` or `http:`.
        #[schema(max_length = 2_048, pattern = "^https?://")]
        url: String,
        /// Its name.
        #[schema(min_length = 1, max_length = 2_048)]
        name: String,
        /// Its MIME type.
        #[serde(default)]
        #[schema(max_length = 2_048)]
        mime: String,
        /// Its size in bytes, 0 where unknown.
        #[serde(default)]
        size: u64,
    },
    /// Data for a client that knows its type, such as a chart.
    Data {
        /// Its MIME type.
        #[schema(min_length = 1, max_length = 2_048)]
        mime: String,
        /// The data as text.
        text: String,
    },
}

impl Part {
    fn chars(&self) -> usize {
        let (a, b) = match self {
            Part::Code { language, text } => (language, text),
            Part::Image { url, alt } => (url, alt),
            Part::File { url, name, .. } => (url, name),
            Part::Data { mime, text } => (mime, text),
        };
        a.chars().count() + b.chars().count()
    }
}

/// The key of [`Meta`] under which a message's type stands, in a word such as `image`, where a client gives it one.
pub const MESSAGE_TYPE: &str = "message_type";
/// Bytes of a type that outlives its message's words: as many as a word needs, not as a sentence.
pub(crate) const MESSAGE_TYPE_BYTES_KEPT: usize = 32;

/// Small facts beside a message that the sender's application wants kept: a flat map of text.
pub type Meta = BTreeMap<String, String>;
