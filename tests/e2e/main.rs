//! End to end: the real binary in processes of its own, over real sockets, by clients that know only the protocol.
//!
//! `server` starts, kills and restarts a server, which is one `process`, or three that are a `cluster`; `raw` is a socket,
//! `client` what a good client does with one; `journal` writes down what clients saw, for the checker, a separate program. The
//! other modules are the tests.

// What was measured is part of a test's output.
#![allow(clippy::unwrap_used, clippy::print_stdout)]
#![allow(dead_code, reason = "another test shares some of these modules, and uses more of them")]

mod bad_input;
mod chat_service;
mod checker;
mod client;
mod cluster;
mod disk;
#[path = "../common/followed.rs"]
mod followed;
mod following;
mod import;
mod journal;
mod kill;
mod lifecycle;
mod membership;
mod misbehaving;
#[path = "../nats/server.rs"]
mod nats;
mod order;
mod permissions;
mod power;
mod process;
mod raw;
mod resume;
mod server;
#[path = "../common/shim.rs"]
mod shim;
mod signals;
mod slow;
mod stage;
mod supervision;
mod text;
mod traffic;
mod waits;
