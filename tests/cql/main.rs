//! The store on a CQL server, against a real one: `PARLANCE_TEST_CQL` says where it answers, as `host:port`. `./test cql`
//! starts one.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod accounts;
mod bed;
mod copy;
mod crash;
mod migrations;
mod owners;

/// The one conformance suite.
#[allow(dead_code, reason = "imports are no part of what this store does")]
#[path = "../suite/store"]
mod store {
    pub mod conformance;
    pub mod sample;
}

mod conforms {
    crate::store::conformance::node_behaviours!(crate::bed::shared);
}
