//! The gateway's sockets, over real TCP, with frames made by hand.

pub mod client;
mod conformance;
mod flow;
mod fuzz;
mod handshake;
pub mod native;
pub mod samples;
