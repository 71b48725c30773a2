//! The buses: what carries events between nodes.

pub mod local;

pub use local::Local;
