//! A room: what its log says folded into a state, and what a command comes to.
//!
//! The state is a function of the entries alone. [`decide()`] looks at it and either names the one fact that the
//! command comes to, or refuses; it changes nothing. [`State::fold`] takes the fact in once it has a number.

pub mod decide;
mod manage;
pub mod state;

pub use decide::{Ask, decide, may_write, needs};
pub use state::{Ban, Invite, Member, Mute, State};
