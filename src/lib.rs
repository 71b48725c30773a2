//! The edges of parlance: HTTP and WebSockets, accounts, stores, buses, the command line.

pub mod gateway;
