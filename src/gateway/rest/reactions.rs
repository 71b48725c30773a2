//! Reactions to messages.

use parlance_schema::op::Op;
use parlance_schema::view::Done;
use parlance_schema::{ClientId, Fault, RoomId, Seq};

use crate::api::call::Call;
use crate::api::route::{Route, delete, empty, ok, put};

/// The reactions' routes.
pub const ROUTES: &[Route] = &[
    put("/v1/rooms/{room}/messages/{seq}/reactions/{emoji}", "react", "Adds a reaction to a message.")
        .tag("messages")
        .keyed()
        .settled()
        .op(|call| reaction(call).map(|(room, seq, emoji, client_id)| Op::React { room, seq, emoji, client_id }))
        .answers(&[ok::<Done>("It is there."), empty("It was there already.")]),
    delete("/v1/rooms/{room}/messages/{seq}/reactions/{emoji}", "unreact", "Takes a reaction back.")
        .tag("messages")
        .keyed()
        .op(|call| reaction(call).map(|(room, seq, emoji, client_id)| Op::Unreact { room, seq, emoji, client_id }))
        .answers(&[empty("It is not there.")]),
];

type Reaction = (RoomId, Seq, String, Option<ClientId>);

fn reaction(call: &Call) -> Result<Reaction, Fault> {
    Ok((call.room()?, call.seq()?, call.text("emoji")?.to_owned(), call.key.clone()))
}
