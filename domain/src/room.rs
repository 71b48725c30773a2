//! A room: what its log says folded into a state, and what a command comes to.
//!
//! The state is a function of the entries alone. [`decide()`] looks at it and either names the one fact that the
//! command comes to, or refuses; it changes nothing. [`State::fold`] takes the fact in once it has a number.
//!
//! Commands and facts are at home in a file for each subject: how they are decided, how they are folded, and what holds of
//! them whoever gives them. A new one doesn't compile until each of these questions is answered.

pub mod command_rules;
pub mod decide;
mod invites;
mod members;
mod messages;
mod moderation;
mod permissions;
mod settings;
pub mod snapshot;
pub mod state;
pub mod writer;

pub use command_rules::{needs, weight, word};
pub use decide::{Ask, decide};
pub use members::room_full;
pub use permissions::{may_write, no_room};
pub use snapshot::Snapshot;
pub use state::{Ban, Invite, Member, Mute, State};
pub use writer::Writer;
