//! All tests of the binary's edges, in one binary.

#![allow(clippy::unwrap_used)]

mod socket;
