//! What a node asks the others and answers them: commands for rooms that are at home elsewhere, last
//! numbers of logs, and whether this node can reach the store.

pub(crate) mod forwarding;
pub(crate) mod gap_probe;
pub(crate) mod registries;
pub(crate) mod responder;
pub(crate) mod store_probe;
