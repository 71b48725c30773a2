//! Invites: making, withdrawing, joining with one.

use parlance_schema::frame::InviteView;
use parlance_schema::op::Op;
use parlance_schema::view::Done;
use parlance_schema::{Code, Fault, Millis};
use serde::Deserialize;
use utoipa::ToSchema;

use super::lists::Invites;
use crate::api::call::Call;
use crate::api::route::{Route, created, delete, empty, get, ok, post};

/// The invites' routes.
pub const ROUTES: &[Route] = &[
    post("/v1/rooms/{room}/invites", "invite", "Makes an invite; its code is shown this once.")
        .tag("invites")
        .optional_body::<NewInvite>()
        .op(invite)
        .answers(&[created::<InviteView>("It was made.")]),
    get("/v1/rooms/{room}/invites", "listInvites", "Lists a room's open invites, without their codes; for its admins.")
        .tag("invites")
        .op(|call| Ok(Op::Invites { room: call.room()? }))
        .answers(&[ok::<Invites>("Those that expire next first.")]),
    delete("/v1/rooms/{room}/invites/{hash}", "uninvite", "Withdraws an invite.")
        .tag("invites")
        .keyed()
        .op(|call| {
            let hash = call.text("hash")?.to_owned();
            Ok(Op::Uninvite { room: call.room()?, hash, client_id: call.key.clone() })
        })
        .answers(&[empty("It is withdrawn.")])
        .faults(&[Code::InviteGone]),
    post("/v1/rooms/join", "join", "Joins a room with an invite's code.")
        .tag("invites")
        .keyed()
        .body::<Ticket>(r#"{"code": "k3Jd0sPq"}"#)
        .op(|call| call.body().map(|Ticket { code }| Op::Join { code, client_id: call.key.clone() }))
        .answers(&[ok::<Done>("The caller is a member.")])
        .faults(&[Code::InviteGone, Code::RoomFull]),
];

/// An invite to make.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvite {
    /// When it expires; absent: never.
    #[serde(default, deserialize_with = "parlance_schema::id::whole_number_if_any")]
    #[schema(value_type = Option<u64>, maximum = 9007199254740991u64)]
    expires_at: Option<Millis>,
    /// How often it can be used; absent: without limit.
    #[serde(default)]
    #[schema(minimum = 1)]
    uses: Option<u32>,
}

fn invite(call: &Call) -> Result<Op, Fault> {
    let NewInvite { expires_at, uses } = call.body_or_default()?;
    Ok(Op::Invite { room: call.room()?, expires_at, uses })
}

/// An invite's code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// The code.
    code: String,
}
