//! Rooms: the only writers of their logs. One actor for each that is awake on this node, the supervisor of them all, and the
//! registry by which the others reach them.

mod actor;
mod append;
mod batch;
mod doubt;
mod handover;
mod reader;
mod registry;
mod reply;
mod supervisor;

pub(crate) use actor::{Ask, Handed, Msg};
pub(crate) use batch::{done, weight};
pub(crate) use reader::guarded;
pub use reader::{encode_state, read_room};
pub(crate) use registry::Registry;
pub(crate) use reply::ReplyTo;
pub(crate) use supervisor::Rooms;
