//! The node's doors: REST and static pages.
//!
//! The gateway turns requests into operations and answers into responses. It knows a node by [`parlance_actors::service`]
//! alone, never a store or a bus.

pub mod errors;
pub mod openapi;
pub mod pages;
pub mod rest;
pub mod routes;
