//! The shells around `domain`: one actor a file, their supervision, and the ports that they call.

pub mod ids;
pub mod link;
pub mod ports;
pub mod service;
pub mod wire;
