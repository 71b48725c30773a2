//! What the actors need from outside, as traits: the store, the bus, who checks tokens, the clock
//! and randomness.
//!
//! `src/store` and `src/bus` implement them for real backends, the simulation for simulated ones. One conformance suite
//! per port says what each method must do.

pub mod authority;
pub mod bus;
pub mod clock;
pub mod consumer;
pub mod membership;
pub mod store;

pub use authority::Authority;
pub use bus::Bus;
pub use clock::{Clock, Random};
pub use consumer::Consumer;
pub use membership::Membership;
pub use store::Store;
