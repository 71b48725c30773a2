//! Relays: one actor for each room that somebody here looks at, the supervisor of them all, and the registry by which the
//! others reach them.

mod actor;
mod fanout;
mod registry;
mod repair;
mod resume;
mod single_room;
mod supervisor;
mod views;

pub(crate) use actor::{Back, From, Msg};
pub(crate) use registry::Registry;
pub(crate) use supervisor::Relays;
pub(crate) use views::View;
