//! Rooms: listing, opening, renaming, archiving.

use parlance_schema::command::{History, Kind};
use parlance_schema::op::Op;
use parlance_schema::view::{Done, RoomView};
use parlance_schema::{Code, Fault, UserId};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::lists::Rooms;
use crate::api::call::Call;
use crate::api::route::{Route, created, get, ok, patch, post};

/// The rooms' routes.
pub const ROUTES: &[Route] = &[
    get("/v1/rooms", "listRooms", "Lists the caller's rooms, latest activity first.")
        .tag("rooms")
        .op(|_| Ok(Op::Rooms {}))
        .answers(&[ok::<Rooms>("The rooms.")]),
    post("/v1/rooms", "createRoom", "Opens a group or a conversation.")
        .tag("rooms")
        .keyed()
        .body::<NewRoom>(r#"{"kind": "group", "name": "Astronomers", "members": [7, 12]}"#)
        .op(create)
        .answers(&[
            created::<RoomView>("It was opened."),
            ok::<RoomView>("An earlier try with the same key had opened it."),
        ])
        .faults(&[Code::RoomFull]),
    post("/v1/rooms/direct", "openDirect", "Opens the direct room with a user, or finds it.")
        .tag("rooms")
        .body::<NewDirect>(r#"{"user": 7}"#)
        .op(|call| call.body().map(|NewDirect { user }| Op::Direct { user }))
        .answers(&[created::<RoomView>("It was opened."), ok::<RoomView>("It was there.")]),
    get("/v1/rooms/{room}", "showRoom", "Shows one room.")
        .tag("rooms")
        .op(|call| Ok(Op::Room { room: call.room()? }))
        .answers(&[ok::<RoomView>("The room.")]),
    patch("/v1/rooms/{room}", "changeRoom", "Renames a room, or changes what later members may read.")
        .tag("rooms")
        .keyed()
        .body::<RoomChange>(r#"{"name": "Stargazers"}"#)
        .op(change)
        .answers(&[ok::<Done>("It was changed.")]),
    post("/v1/rooms/{room}/archive", "archiveRoom", "Closes a room for writing.")
        .tag("rooms")
        .keyed()
        .op(|call| Ok(Op::Archive { room: call.room()?, client_id: call.key.clone() }))
        .answers(&[ok::<Done>("It is closed.")]),
    post("/v1/rooms/{room}/unarchive", "unarchiveRoom", "Opens a room for writing again.")
        .tag("rooms")
        .keyed()
        .op(|call| Ok(Op::Unarchive { room: call.room()?, client_id: call.key.clone() }))
        .answers(&[ok::<Done>("It is open.")]),
];

/// A group or conversation to open.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRoom {
    /// `group` or `conversation`; direct rooms have a path of their own.
    kind: Openable,
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Members besides the caller.
    #[serde(default)]
    #[schema(max_items = 99)]
    members: Vec<UserId>,
    /// What later members may read.
    #[serde(default)]
    history: History,
}

fn create(call: &Call) -> Result<Op, Fault> {
    let NewRoom { kind, name, members, history } = call.body()?;
    Ok(Op::Create { kind: kind.into(), name, members, history, client_id: call.key.clone() })
}

/// A kind of room that can be opened by name.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Openable {
    /// Up to 100 members, with an owner and admins.
    Group,
    /// One user and assistants.
    Conversation,
}

impl From<Openable> for Kind {
    fn from(kind: Openable) -> Self {
        match kind {
            Openable::Group => Kind::Group,
            Openable::Conversation => Kind::Conversation,
        }
    }
}

/// A direct room to open.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDirect {
    /// The other one.
    user: UserId,
}

/// What to change of a room: one thing at a time, as each is an entry of its own.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(min_properties = 1, max_properties = 1)]
pub struct RoomChange {
    /// The new name.
    #[serde(default, deserialize_with = "given")]
    #[schema(min_length = 1, max_length = 100, nullable = false)]
    name: Option<String>,
    /// What later members may read.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    history: Option<History>,
}

/// Reads a field that may be left out but is not `null`.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(field: D) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

fn change(call: &Call) -> Result<Op, Fault> {
    let (room, client_id) = (call.room()?, call.key.clone());
    match call.body()? {
        RoomChange { name: Some(name), history: None } => Ok(Op::Rename { room, name, client_id }),
        RoomChange { name: None, history: Some(history) } => Ok(Op::Configure { room, history, client_id }),
        _ => Err(Fault::invalid("give either `name` or `history`, and not both: they are changed one at a time")),
    }
}
