//! The operations, for all doors: what a client asks for becomes commands to rooms and questions to relays and the store.

mod open;
mod read;
mod stats;

use std::time::Duration;

use parlance_schema::command::Command;
use parlance_schema::fault::Retry;
use parlance_schema::frame::Answer;
use parlance_schema::limits::COMMAND_DEADLINE_MS;
use parlance_schema::notice::Notice;
use parlance_schema::op::Op;
use parlance_schema::user::{Principal, Status};
use parlance_schema::view::Done;
use parlance_schema::{ClientId, Code, Fault, RoomId};
use tokio::time::Instant;

use crate::cluster::registries::Registries;
use crate::ports::store::StoreError;
use crate::room::{Ask, Forward, ReplyTo};

/// What an operation comes to.
pub(crate) enum Plan {
    /// One command to one room, as it is.
    Command { room: RoomId, client_id: Option<ClientId>, command: Command },
    /// Something that needs a look elsewhere first.
    Other(Op),
}

/// Sorts operations: those that are one command, and the others.
///
/// # Errors
/// When an invite's code is not one.
pub(crate) fn plan(op: Op) -> Result<Plan, Fault> {
    let (room, client_id, command) = match op {
        Op::Send { room, client_id, content, reply_to, mentions, meta } => {
            (room, client_id, Command::Post { content, reply_to, mentions, meta })
        }
        Op::Edit { room, seq, revision, content, client_id } => {
            (room, client_id, Command::Edit { seq, revision, content })
        }
        Op::Delete { room, seq, client_id } => (room, client_id, Command::Delete { seq }),
        Op::React { room, seq, emoji, client_id } => (room, client_id, Command::React { seq, emoji }),
        Op::Unreact { room, seq, emoji, client_id } => (room, client_id, Command::Unreact { seq, emoji }),
        Op::Uninvite { room, hash, client_id } => (room, client_id, Command::Uninvite { hash }),
        Op::Join { code, client_id } => {
            let (room, hash) = open::read_code(&code)?;
            (room, client_id, Command::Join { hash })
        }
        Op::Leave { room, client_id } => (room, client_id, Command::Leave),
        Op::Kick { room, user, client_id } => (room, client_id, Command::Kick { user }),
        Op::Ban { room, user, until, client_id } => (room, client_id, Command::Ban { user, until }),
        Op::Unban { room, user, client_id } => (room, client_id, Command::Unban { user }),
        Op::Mute { room, user, until, client_id } => (room, client_id, Command::Mute { user, until }),
        Op::Unmute { room, user, client_id } => (room, client_id, Command::Unmute { user }),
        Op::Promote { room, user, role, client_id } => (room, client_id, Command::Promote { user, role }),
        Op::Rename { room, name, client_id } => (room, client_id, Command::Rename { name }),
        Op::Configure { room, history, client_id } => (room, client_id, Command::Configure { history }),
        Op::Archive { room, client_id } => (room, client_id, Command::Archive),
        Op::Unarchive { room, client_id } => (room, client_id, Command::Unarchive),
        other => return Ok(Plan::Other(other)),
    };
    Ok(Plan::Command { room, client_id, command })
}

/// Performs an operation and waits for its end.
///
/// # Errors
/// The fault that the client is to see.
pub(crate) async fn perform(node: &Registries, who: Principal, op: Op) -> Result<Answer, Fault> {
    let op = match plan(op)? {
        Plan::Command { room, client_id, command } => {
            return command_room(node, who, room, client_id, command).await.map(Answer::Done);
        }
        Plan::Other(op) => op,
    };
    match op {
        Op::Rooms {} => read::rooms(node, who).await,
        Op::Room { room } => read::room(node, who, room).await.map(|view| Answer::Room(Box::new(view))),
        Op::Members { room } => read::members(node, who, room).await,
        Op::Bans { room } => read::bans(node, who, room).await,
        Op::Invites { room } => read::invites(node, who, room).await,
        Op::Messages { room, before, after, limit, skip, read } => {
            read::messages(node, who, read::Page { room, before, after, limit }, skip, read).await
        }
        Op::Find { message } => read::find(node, who, message).await,
        Op::Stats { all_rooms } => stats::stats(node, who, all_rooms).await.map(Answer::Stats),
        Op::Entries { room, before, after, limit } => {
            read::entries(node, who, read::Page { room, before, after, limit }).await
        }
        Op::Message { room, seq } => read::message(node, who, room, seq).await,
        Op::Revisions { room, seq } => read::revisions(node, who, room, seq).await,
        Op::Read { room, seq } => read::mark(node, who, room, seq).await,
        Op::Whereabouts { users } => read::whereabouts(node, who, users).await,
        Op::Users { ids } => read::users(node, who, &ids).await,
        Op::Create { kind, name, members, history, client_id } => {
            open::create(node, who, open::New { kind, name, members, history }, client_id).await
        }
        Op::Direct { user } => open::direct(node, who, user).await,
        Op::Add { room, users, client_id } => open::add(node, who, room, users, client_id).await,
        Op::Invite { room, expires_at, uses } => open::invite(node, who, room, expires_at, uses).await,
        Op::Typing { room, on } => read::typing(node, who, room, on).await,
        Op::Presence { status } => set_presence(node, who, status),
        _ => Err(Fault::invalid("this operation works only over a WebSocket: send it there")),
    }
}

fn set_presence(node: &Registries, who: Principal, status: Status) -> Result<Answer, Fault> {
    if status == Status::Offline {
        return Err(Fault::invalid("the status can't be set to offline: close your connections to be offline"));
    }
    let here = node.presence.set_all(who.user, status);
    let elsewhere = node.presence.is_elsewhere(who.user);
    if elsewhere {
        node.shared.bus.publish_user(who.user, Notice::Status { status });
    }
    if here || elsewhere {
        Ok(Answer::Empty {})
    } else {
        Err(Fault::not_found("you have no open connection to set a status for: open a WebSocket first"))
    }
}

/// Gives a command to a room until it has an answer. Its client id makes that harmless.
///
/// # Errors
/// The room's refusal, or that nobody could tell in time.
pub(crate) async fn command_room(
    node: &Registries,
    who: Principal,
    room: RoomId,
    client_id: Option<ClientId>,
    command: Command,
) -> Result<Done, Fault> {
    let client_id = client_id.unwrap_or_else(|| fresh_client_id(node));
    let deadline = Instant::now() + Duration::from_millis(COMMAND_DEADLINE_MS);
    let mut unsure = false;
    loop {
        let (reply, answer) = ReplyTo::call();
        let ask = Ask { who, client_id: client_id.clone(), command: command.clone(), reply };
        node.lanes.route(room, ask);
        let unknown = || Fault::no_answer();
        let outcome = tokio::time::timeout_at(deadline, answer).await.map_err(|_| unknown())?;
        match outcome.unwrap_or_else(|_| Err(unknown())) {
            Err(fault) if fault.code == Code::OutcomeUnknown && Instant::now() < deadline => {
                unsure = true;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // What can't be done now may have been done then.
            Err(fault) if unsure && fault.retry == Retry::Later => return Err(unknown()),
            outcome => return outcome,
        }
    }
}

/// A client id for a command whose sender named none.
pub(crate) fn fresh_client_id(node: &Registries) -> ClientId {
    let text = format!("~{:016x}{:016x}", node.shared.random.bits(), node.shared.random.bits());
    #[expect(clippy::expect_used, reason = "hexadecimal digits are printable ASCII, and 33 are within the bound")]
    ClientId::new(text).expect("a well-formed client id")
}

/// What a client is told when the store fails.
pub(crate) fn unavailable(error: StoreError) -> Fault {
    tracing::warn!(%error, "store failed");
    match error {
        StoreError::Unavailable(_) | StoreError::Unknown(_) => {
            Fault::store_unavailable("the server's database can't be reached right now: try again later")
        }
        StoreError::Corrupt(_) => Fault::internal("the stored data can't be read: tell the server's operator"),
    }
}
