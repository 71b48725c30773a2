//! What needs a NATS server: the bus and the membership of a cluster, and nodes that join one. `NATS_SERVER` names the server's binary, of which each
//! test starts what it needs; `./test nats` gets one.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod bus;
mod membership;
mod node;
mod server;
