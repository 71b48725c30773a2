//! Sessions: one actor for each connection, beside the path of its deliveries; the supervisor of them all; the registry of
//! this node's connections; and what comes in on them.

mod actor;
mod command_rate;
mod incoming;
mod missed_notices;
mod refusals;
mod registry;
mod reply_deadlines;
mod resume;
mod subscribe;
mod supervisor;

pub(crate) use registry::Registry;
pub(crate) use subscribe::{enter, position};
pub(crate) use supervisor::Sessions;
