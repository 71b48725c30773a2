//! The shells around `domain`: a folder for each actor with its supervisor and registry, and the ports that they call.
//!
//! ```text
//! Node                                    root; restarts, stops in order
//! ├── Sessions ── Session × connection    one per WebSocket
//! ├── Rooms ───── Room × room awake here  the only writer of that room's log
//! ├── Relays ──── Relay × room in use     fan-out, recent entries, gap repair, what is read of a room
//! ├── Feed ────── Follower × consumer     what follows logs: marks of unfinished work, calls of destinations
//! ├── Presence                            who is online
//! ├── GapProbe                            asks for last numbers where something may be missing
//! ├── StoreProbe                          leaves rooms to other nodes while the store can't be reached
//! └── Janitor                             expired tokens
//! ```
//! Nothing here is global: all that the actors of one node share hangs on one `shared::Shared`, so that a simulation can run
//! many nodes in one process. Each actor is reached by its registry's methods; its messages stay in its folder. The folders know
//! each other in one direction, from the lowest up: `presence`, `feed`, `room`, `relay`, `cluster`, `ops`, `session`, `node`.

mod cluster;
mod cluster_view;
mod feed;
pub mod ids;
mod janitor;
pub mod link;
mod mailbox;
mod meters;
pub mod node;
mod ops;
pub mod ports;
mod presence;
mod relay;
mod room;
pub mod service;
mod session;
mod shared;
mod supervise;
mod usernames;
pub mod wire;
