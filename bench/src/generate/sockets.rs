//! Many connections: what they cost while idle, then what a delivery to them costs.

use super::fanout::{self, WINDOW};
use super::{Measured, Session, memory};
use crate::Failure;

/// Senders in each room: there are ten times the rooms of the fan-out row.
const SENDERS: usize = 1;

pub(super) fn measure(mut session: Session) -> Result<Measured, Failure> {
    let conn_kib = memory::per_connection(&mut session)?;
    Ok(Measured { conn_kib, ..fanout::saturated(&mut session, SENDERS, WINDOW)? })
}
