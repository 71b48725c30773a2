//! Whether a store can be used.

use serde::Serialize;

/// Whether a store can be used, for `/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreHealth {
    /// `sqlite`, `memory`, `scylla`.
    pub backend: &'static str,
    /// Whether a write would be taken.
    pub writable: bool,
    /// `disk`, or `memory` where an acknowledgement outlives the process only by luck.
    pub durability: &'static str,
}
