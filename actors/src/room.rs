//! Rooms: the only writers of their logs. One actor for each that is awake on this node, the supervisor of them all, and the
//! registry by which the others reach them.

mod actor;
mod effects;
mod reader;
mod registry;
mod reply;
mod supervisor;

pub(crate) use actor::{Ask, Handed};
pub(crate) use parlance_domain::room::writer::done;
pub(crate) use reader::guarded;
pub use reader::{encode_state, read_room};
pub(crate) use registry::{Forward, Registry};
pub(crate) use reply::{ReplyTo, Routed};
pub(crate) use supervisor::Rooms;
