//! Presence: who is online, on this node and on others.

mod actor;
mod gossip;
mod registry;
mod remote;

pub(crate) use actor::Presence;
pub(crate) use registry::Registry;
