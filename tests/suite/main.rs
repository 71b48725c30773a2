//! All tests of the binary's edges, in one binary.

mod socket;
