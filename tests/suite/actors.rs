//! A node's actors in one thread, under a clock that only moves when all wait: on a store and a bus that fail as scripted.

pub mod bed;
mod cluster;
mod commands;
mod crashes;
mod doubt;
pub mod faults;
mod feed;
mod hidden;
mod membership;
mod people;
mod reading;
mod refusals;
mod requests;
mod resume;
#[path = "../common/session.rs"]
pub mod session;
mod single_room;
mod slow;
mod stress;
mod upkeep;
mod versions;
