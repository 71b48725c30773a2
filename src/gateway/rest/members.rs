//! Members of rooms: adding, removing, roles, mutes, bans.

use parlance_schema::command::MemberRole;
use parlance_schema::op::Op;
use parlance_schema::view::Done;
use parlance_schema::{Code, Fault, Millis, UserId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::lists::{Bans, Members};
use crate::api::call::Call;
use crate::api::route::{Route, delete, empty, get, ok, post, put};

/// The members' routes.
pub const ROUTES: &[Route] = &[
    get("/v1/rooms/{room}/members", "listMembers", "Lists a room's members.")
        .tag("members")
        .op(|call| Ok(Op::Members { room: call.room()? }))
        .answers(&[ok::<Members>("The members, in order of joining.")]),
    post("/v1/rooms/{room}/members", "addMembers", "Adds users to a room, all or none.")
        .tag("members")
        .keyed()
        .body::<Newcomers>(r#"{"users": [7, 12]}"#)
        .op(add)
        .answers(&[ok::<Done>("They are members.")])
        .faults(&[Code::RoomFull]),
    delete("/v1/rooms/{room}/members/{user}", "removeMember", "Removes a member; leaves, where it is oneself.")
        .tag("members")
        .keyed()
        .op(remove)
        .answers(&[empty("They are no member any more.")]),
    put("/v1/rooms/{room}/members/{user}/role", "changeRole", "Changes a member's role.")
        .tag("members")
        .keyed()
        .settled()
        .body::<NewRole>(r#"{"role": "admin"}"#)
        .op(promote)
        .answers(&[ok::<Done>("They have that role."), empty("They had it already.")]),
    put("/v1/rooms/{room}/members/{user}/mute", "mute", "Keeps a member from writing.")
        .tag("members")
        .keyed()
        .settled()
        .optional_body::<Until>()
        .op(|call| {
            let Until { until } = call.body_or_default()?;
            Ok(Op::Mute { room: call.room()?, user: call.user()?, until, client_id: call.key.clone() })
        })
        .answers(&[ok::<Done>("They are muted."), empty("They were muted already.")]),
    delete("/v1/rooms/{room}/members/{user}/mute", "unmute", "Lets a member write again.")
        .tag("members")
        .keyed()
        .op(|call| Ok(Op::Unmute { room: call.room()?, user: call.user()?, client_id: call.key.clone() }))
        .answers(&[empty("They are not muted.")]),
    get("/v1/rooms/{room}/bans", "listBans", "Lists who is banned from a room; for its admins.")
        .tag("members")
        .op(|call| Ok(Op::Bans { room: call.room()? }))
        .answers(&[ok::<Bans>("The bans that hold, the earliest first.")]),
    put("/v1/rooms/{room}/bans/{user}", "ban", "Removes a user from a room and keeps them out.")
        .tag("members")
        .keyed()
        .settled()
        .optional_body::<Until>()
        .op(|call| {
            let Until { until } = call.body_or_default()?;
            Ok(Op::Ban { room: call.room()?, user: call.user()?, until, client_id: call.key.clone() })
        })
        .answers(&[ok::<Done>("They are banned."), empty("They were banned already.")]),
    delete("/v1/rooms/{room}/bans/{user}", "unban", "Lets a user back into a room.")
        .tag("members")
        .keyed()
        .op(|call| Ok(Op::Unban { room: call.room()?, user: call.user()?, client_id: call.key.clone() }))
        .answers(&[empty("They are not banned.")]),
];

/// Users to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Newcomers {
    /// Who.
    #[schema(min_items = 1, max_items = 99)]
    users: Vec<UserId>,
}

fn add(call: &Call) -> Result<Op, Fault> {
    let Newcomers { users } = call.body()?;
    Ok(Op::Add { room: call.room()?, users, client_id: call.key.clone() })
}

fn remove(call: &Call) -> Result<Op, Fault> {
    let (room, user, client_id) = (call.room()?, call.user()?, call.key.clone());
    let oneself = call.who()?.user == user;
    Ok(if oneself { Op::Leave { room, client_id } } else { Op::Kick { room, user, client_id } })
}

/// A role to give.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// The new role; `owner` hands the room over.
    role: MemberRole,
}

fn promote(call: &Call) -> Result<Op, Fault> {
    let NewRole { role } = call.body()?;
    Ok(Op::Promote { room: call.room()?, user: call.user()?, role, client_id: call.key.clone() })
}

/// How long something holds.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Until {
    /// Until when; absent: until it is taken back.
    #[serde(default, deserialize_with = "parlance_schema::id::whole_number_if_any")]
    #[schema(value_type = Option<u64>, maximum = 9007199254740991u64)]
    until: Option<Millis>,
}
