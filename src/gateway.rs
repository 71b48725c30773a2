//! What faces clients: the listener, the WebSocket's socket code, the native wires, REST and static pages.
//!
//! The gateway turns frames and requests into operations, and answers into frames and responses. It knows a node by
//! [`parlance_actors::service`] alone, never a store or a bus.

pub mod checks;
pub mod connect;
pub mod dev;
pub mod echo;
pub mod handshake;
pub mod head;
pub mod listener;
pub mod native;
pub mod openapi;
pub mod pages;
pub mod rate_limits;
pub mod rest;
pub mod routes;
pub mod stream;
pub mod tls;
pub mod websocket;
pub mod websocket_frames;
