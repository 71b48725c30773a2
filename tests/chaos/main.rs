//! Chaos: nodes, NATS and a CQL server in processes of their own, which are killed, frozen, cut off and slowed down while
//! clients send. What the clients saw is judged by the checker: nothing acknowledged is lost, nothing is missing or doubled,
//! and all come back by themselves.
//!
//! The nodes run in network namespaces that the test makes, inside one of its own: `./test chaos` starts it there.

#![allow(clippy::unwrap_used, clippy::print_stdout)]
#![allow(dead_code, reason = "other tests use more of the modules that this one shares with them")]

mod cassandra;
#[path = "../e2e/checker.rs"]
mod checker;
#[path = "../e2e/client.rs"]
mod client;
mod clock;
mod faults;
mod flock;
#[path = "../common/followed.rs"]
mod followed;
#[path = "../e2e/journal.rs"]
mod journal;
#[path = "../nats/server.rs"]
mod nats;
mod net;
#[path = "../e2e/raw.rs"]
mod raw;
#[path = "../e2e/process.rs"]
mod server;
#[path = "../common/shim.rs"]
mod shim;
#[path = "../e2e/text.rs"]
mod text;
mod toxi;
#[path = "../e2e/traffic.rs"]
mod traffic;
