//! Text that must not be seen: passwords, tokens, keys.

use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

/// A password or a token. Its `Debug` shows nothing; serialising it, as an answer to its owner must, shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Password)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; whoever calls this sees to it that it ends in no log.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Writes whether a secret is set, and nothing of it: for settings, which are listed in logs.
///
/// # Errors
/// Those of the serializer.
pub fn masked<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(if secret.reveal().is_empty() { "" } else { "…" })
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Compares two texts in a time that depends on their lengths only.
#[must_use]
pub(super) fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differ, (x, y)| differ | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let shown = format!("{:?} {:#?}", Secret::from("hunter42"), Some(Secret::from("hunter42")));
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn same_compares_whole_texts() {
        assert!(same("abc", "abc"));
        assert!(!same("abc", "abd"));
        assert!(!same("abc", "abcd"));
        assert!(same("", ""));
    }
}
