//! Dialects: what they read and write, and what a node with one more dialect than usual serves.

mod boundary;
mod notices;
mod served;
mod wire;
