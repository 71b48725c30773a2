//! What every API that is served here is made of: routes, sockets, calls, bodies, errors, and dialects as values.
//!
//! The native API (`gateway`) and the dialects (`dialect`) are tables made of these parts; the gateway serves the tables. A
//! dialect needs this module and the vocabulary of `parlance_schema`, and nothing else of parlance.

pub mod account;
pub mod asset;
pub mod body;
pub mod call;
pub mod dialect;
pub mod error_response;
pub mod explain;
pub mod frame;
pub mod idempotency_key;
pub mod number;
pub mod page;
pub mod query;
pub mod refusal;
pub mod route;
pub mod settings;
pub mod socket;
pub mod time;
