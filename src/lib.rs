//! The edges of parlance around its actors: stores, and what else touches the world outside.

pub mod bus;
pub mod clock;
pub mod store;
