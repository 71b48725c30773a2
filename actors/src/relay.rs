//! Relays: one actor for each room that somebody here looks at, the supervisor of them all, and the registry by which the
//! others reach them.

mod actor;
mod asker;
mod encode;
mod ephemeral;
mod fanout;
mod gap_checks;
mod loading;
mod mail;
mod read_marks;
mod read_your_writes;
mod registry;
mod removed_members;
mod repair;
mod resume;
mod single_room;
mod subscribing;
mod supervisor;
mod views;

pub(crate) use actor::From;
pub(crate) use asker::{Asker, Gathering};
pub(crate) use registry::Registry;
pub(crate) use supervisor::Relays;
pub(crate) use views::View;
