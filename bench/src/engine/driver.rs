//! What a measurement does with what arrives on its connections.

use super::Conn;
use crate::Failure;

/// What a measurement does with what arrives.
pub trait Driver {
    /// An entry arrived, in order.
    fn entry(&mut self, conn: &mut Conn, payload: &[u8]) {
        let _ = (conn, payload);
    }

    /// A request was done; `re` is its number, or 0 where the wire has none: there one's own message comes back instead.
    fn done(&mut self, conn: &mut Conn, re: u64) {
        let _ = (conn, re);
    }

    /// A request was refused, or a frame was not what it should be.
    ///
    /// # Errors
    /// When that ends the measurement, as it does unless a scenario expects it.
    fn refused(&mut self, conn: &mut Conn, payload: &[u8]) -> Result<(), Failure> {
        let _ = conn;
        Err(Failure::new(String::from_utf8_lossy(payload).into_owned()))
    }

    /// A connection has ended, and is dropped.
    ///
    /// # Errors
    /// When that ends the measurement, as it does unless a scenario expects it.
    fn ended(&mut self, conn: &Conn, why: Failure) -> Result<(), Failure> {
        let _ = conn;
        Err(why)
    }
}

/// Lets entries and replies pass.
pub struct Quiet;

impl Driver for Quiet {}
