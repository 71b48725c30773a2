//! Entries: reading along in a room's log.

use parlance_schema::Fault;
use parlance_schema::op::Op;

use super::lists::EntryPage;
use crate::api::call::Call;
use crate::api::route::{Holds, Query, Route, get, ok};

/// The query parameters of a page.
pub const PAGING: &[Query] = &[
    Query::new("before", "Only below this number.", Holds::Seq),
    Query::new("after", "Only above this number.", Holds::Seq),
    Query::new("limit", "At most so many.", Holds::Limit),
];

/// The entries' routes.
pub const ROUTES: &[Route] = &[get(
    "/v1/rooms/{room}/entries",
    "listEntries",
    "Shows lines of a room's log: the latest, or before or after one.",
)
.tag("rooms")
.query(PAGING)
.op(entries)
.answers(&[ok::<EntryPage>("A page, oldest first.")])];

fn entries(call: &Call) -> Result<Op, Fault> {
    let (before, after) = (call.asked_seq("before")?, call.asked_seq("after")?);
    Ok(Op::Entries { room: call.room()?, before, after, limit: call.asked_limit()? })
}
