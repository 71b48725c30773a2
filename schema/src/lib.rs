//! The vocabulary of parlance: ids, commands, entries, events, frames, faults and limits.
//!
//! Everything that crosses a boundary (a socket, the store, the bus) is a type of this crate. It knows no rule: what may
//! happen is `domain`'s business, how it happens is `actors`'.

pub mod answer;
pub mod command;
pub mod content;
pub mod entry;
pub mod erasure;
pub mod fault;
pub mod frame;
pub mod id;
pub mod limits;
pub mod message;
pub mod node;
pub mod notice;
pub mod op;
pub mod push;
pub mod shown;
pub mod user;
pub mod view;

pub use fault::{Code, Fault};
pub use id::{ClientId, MessageId, Millis, RoomId, Seq, TenantId, UserId};
