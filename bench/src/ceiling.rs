//! The bare ceilings: what this machine does without actors, checks or accounts. Whatever the server adds is seen beside
//! them.

pub mod cql;
pub mod fanout;
pub mod import;
pub mod store;
pub mod wake;

mod rows;
