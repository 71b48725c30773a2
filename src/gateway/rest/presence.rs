//! What is not stored, or hardly: read marks, typing, presence.

use parlance_schema::op::Op;
use parlance_schema::user::Status;
use parlance_schema::view::StatsView;
use parlance_schema::{Fault, Seq};
use serde::Deserialize;
use utoipa::ToSchema;

use super::lists::{Nothing, Presences};
use crate::api::call::Call;
use crate::api::route::{Holds, Query, Route, get, ok, post, put};

/// The routes of read marks, typing and presence.
pub const ROUTES: &[Route] = &[
    get("/v1/stats", "stats", "Counts connections of the caller's tenant, in all and per room of theirs; per any room for those who moderate.")
        .tag("presence")
        .op(|_| Ok(Op::Stats { all_rooms: false }))
        .answers(&[ok::<StatsView>("The counts.")]),
    put("/v1/rooms/{room}/read", "markRead", "Marks everything up to a number as read.")
        .tag("presence")
        .body::<Mark>(r#"{"seq": 31}"#)
        .op(|call| Ok(Op::Read { room: call.room()?, seq: call.body::<Mark>()?.seq }))
        .answers(&[ok::<Nothing>("It is marked.")]),
    post("/v1/rooms/{room}/typing", "type", "Tells the others that one is writing, or stopped.")
        .tag("presence")
        .body::<Typing>(r#"{"on": true}"#)
        .op(|call| Ok(Op::Typing { room: call.room()?, on: call.body::<Typing>()?.on }))
        .answers(&[ok::<Nothing>("They are told.")]),
    get("/v1/presence", "showPresence", "Shows the presence of users who share a room with the caller.")
        .tag("presence")
        .query(&[Query::required("users", "Who; at most 100.", Holds::FewIds)])
        .op(whereabouts)
        .answers(&[ok::<Presences>("Who may be shown.")]),
    put("/v1/presence", "setPresence", "Sets one's own status, for all one's sessions.")
        .tag("presence")
        .body::<NewStatus>(r#"{"status": "away"}"#)
        .op(|call| call.body().map(|NewStatus { status }| Op::Presence { status: status.into() }))
        .answers(&[ok::<Nothing>("It is set.")]),
];

/// How far one has read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Everything up to this number.
    #[serde(deserialize_with = "parlance_schema::id::whole_number")]
    #[schema(value_type = u64, maximum = 9007199254740991u64)]
    seq: Seq,
}

/// Whether one is writing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Typing {
    /// False when one stopped.
    on: bool,
}

/// A status to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStatus {
    /// `online`, `away` or `do_not_disturb`.
    status: Settable,
}

/// A status that one can give oneself; `offline` is for those who have no connection.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Settable {
    /// At the keyboard.
    Online,
    /// Not at the keyboard.
    Away,
    /// Wants no notifications.
    DoNotDisturb,
}

impl From<Settable> for Status {
    fn from(status: Settable) -> Self {
        match status {
            Settable::Online => Status::Online,
            Settable::Away => Status::Away,
            Settable::DoNotDisturb => Status::DoNotDisturb,
        }
    }
}

fn whereabouts(call: &Call) -> Result<Op, Fault> {
    let users = call
        .asked_users("users")?
        .ok_or_else(|| Fault::invalid("`users` must be a comma-separated list of user ids"))?;
    Ok(Op::Whereabouts { users })
}
