//! Why a measurement did not come about.

/// Why a measurement did not come about.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file, a socket or a process.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A result, or a server's answer, that is not the JSON it should be.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The bare store.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A row of the bare store.
    #[error("MessagePack: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
    /// A CQL server.
    #[error("CQL: {0}")]
    Cql(String),
    /// A connection that the server has ended.
    #[error("{0}")]
    Ended(String),
    /// Said in words.
    #[error("{0}")]
    Said(String),
    /// Another failure, and where it happened.
    #[error("{0}: {1}")]
    At(String, Box<Failure>),
}

impl Failure {
    /// Says it in words.
    pub fn new(why: impl Into<String>) -> Self {
        Self::Said(why.into())
    }

    /// Adds where it happened.
    #[must_use]
    pub fn context(self, place: impl Into<String>) -> Self {
        Self::At(place.into(), Box::new(self))
    }
}
