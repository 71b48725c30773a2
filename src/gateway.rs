//! What faces clients: the listener, the WebSocket's socket code, the native wires.

pub mod codec;
pub mod echo;
pub mod listener;
pub mod native;
pub mod socket;
pub mod upgrade;
