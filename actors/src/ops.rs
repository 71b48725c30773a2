//! The operations, for all doors: what a client asks for becomes commands to rooms and questions to relays and the store.

mod open;
mod read;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parlance_schema::account::{Principal, Role};
use parlance_schema::command::Command;
use parlance_schema::event::{Notice, Status};
use parlance_schema::fault::Retry;
use parlance_schema::frame::Answer;
use parlance_schema::limits::COMMAND_DEADLINE_MS;
use parlance_schema::op::Op;
use parlance_schema::view::{Done, StatsView};
use parlance_schema::{ClientId, Code, Fault, RoomId, TenantId};
use tokio::time::Instant;

use crate::cluster::forwarding;
use crate::ports::bus::{Question, Reply};
use crate::ports::store::StoreError;
use crate::room::{Ask, ReplyTo};
use crate::shared::Shared;

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
pub(crate) async fn perform(shared: &Arc<Shared>, who: Principal, op: Op) -> Result<Answer, Fault> {
    let op = match plan(op)? {
        Plan::Command { room, client_id, command } => {
            return command_room(shared, who, room, client_id, command).await.map(Answer::Done);
        }
        Plan::Other(op) => op,
    };
    match op {
        Op::Rooms => read::rooms(shared, who).await,
        Op::Room { room } => read::room(shared, who, room).await.map(|view| Answer::Room(Box::new(view))),
        Op::Members { room } => read::members(shared, who, room).await,
        Op::Bans { room } => read::bans(shared, who, room).await,
        Op::Invites { room } => read::invites(shared, who, room).await,
        Op::Messages { room, before, after, limit, skip, read } => {
            read::messages(shared, who, read::Page { room, before, after, limit }, skip, read).await
        }
        Op::Find { message } => read::find(shared, who, message).await,
        Op::Stats { all_rooms } => stats(shared, who, all_rooms).await.map(Answer::Stats),
        Op::Entries { room, before, after, limit } => {
            read::entries(shared, who, read::Page { room, before, after, limit }).await
        }
        Op::Message { room, seq } => read::message(shared, who, room, seq).await,
        Op::Revisions { room, seq } => read::revisions(shared, who, room, seq).await,
        Op::Read { room, seq } => read::mark(shared, who, room, seq).await,
        Op::Whereabouts { users } => read::whereabouts(shared, who, users).await,
        Op::Users { ids } => read::users(shared, who, &ids).await,
        Op::Create { kind, name, members, history, client_id } => {
            open::create(shared, who, open::New { kind, name, members, history }, client_id).await
        }
        Op::Direct { user } => open::direct(shared, who, user).await,
        Op::Add { room, users, client_id } => open::add(shared, who, room, users, client_id).await,
        Op::Invite { room, expires_at, uses } => open::invite(shared, who, room, expires_at, uses).await,
        Op::Typing { room, on } => read::typing(shared, who, room, on).await,
        Op::Presence { status } => set_presence(shared, who, status),
        _ => Err(Fault::invalid("this belongs to a connection")),
    }
}

/// How long another node may take to count its connections.
const COUNT: Duration = Duration::from_secs(2);

/// Counts the connections to all nodes that answer. Which rooms there are is not told to those who are in none of them.
async fn stats(shared: &Shared, who: Principal, all_rooms: bool) -> Result<StatsView, Fault> {
    let tenant = who.tenant;
    let mut stats = connections(shared, tenant);
    let view = shared.cluster.now();
    let others = view.nodes().iter().filter(|node| node.id != *shared.cluster.me());
    let asked = others.map(|node| shared.bus.ask(&node.id, Question::Stats { tenant }, COUNT));
    for answer in futures_util::future::join_all(asked).await {
        if let Ok(Reply::Stats(theirs)) = answer {
            stats.add(&theirs);
        }
    }
    if !all_rooms && who.role < Role::TenantAdmin {
        let own = shared.store.rooms_of(who.user).await.map_err(unavailable)?;
        let own: HashSet<RoomId> = own.into_iter().collect();
        stats.per_room.retain(|room, _| own.contains(room));
    }
    Ok(stats)
}

/// Counts the connections to this node.
pub(crate) fn connections(shared: &Shared, tenant: TenantId) -> StatsView {
    let per_room = shared.relays.connections(tenant);
    StatsView { connections: shared.sessions.count(tenant), open_rooms: per_room.len() as u64, per_room }
}

fn set_presence(shared: &Shared, who: Principal, status: Status) -> Result<Answer, Fault> {
    if status == Status::Offline {
        return Err(Fault::invalid("one is offline by disconnecting"));
    }
    let here = shared.presence.set_all(who.user, status);
    let elsewhere = shared.presence.others.connections(who.user) > 0;
    if elsewhere {
        shared.bus.publish_user(who.user, Notice::Status { status });
    }
    if here || elsewhere {
        Ok(Answer::Empty {})
    } else {
        Err(Fault::new(Code::NotFound, "there is no connection to set the status of"))
    }
}

/// Gives a command to a room until it has an answer. Its client id makes that harmless.
///
/// # Errors
/// The room's refusal, or that nobody could tell in time.
pub(crate) async fn command_room(
    shared: &Arc<Shared>,
    who: Principal,
    room: RoomId,
    client_id: Option<ClientId>,
    command: Command,
) -> Result<Done, Fault> {
    let client_id = client_id.unwrap_or_else(|| fresh_client_id(shared));
    let deadline = Instant::now() + Duration::from_millis(COMMAND_DEADLINE_MS);
    let mut unsure = false;
    loop {
        let (reply, answer) = ReplyTo::call();
        let ask = Ask { who, client_id: client_id.clone(), command: command.clone(), reply };
        forwarding::route(shared, room, ask);
        let unknown = || Fault::new(Code::OutcomeUnknown, "no answer in time; the same client id again tells");
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
pub(crate) fn fresh_client_id(shared: &Shared) -> ClientId {
    let text = format!("~{:016x}{:016x}", shared.random.bits(), shared.random.bits());
    #[expect(clippy::expect_used, reason = "hexadecimal digits are printable ASCII, and 33 are within the bound")]
    ClientId::new(text).expect("a well-formed client id")
}

/// What a client is told when the store fails.
pub(crate) fn unavailable(error: StoreError) -> Fault {
    tracing::warn!(%error, "store failed");
    match error {
        StoreError::Unavailable(_) | StoreError::Unknown(_) => {
            Fault::store_unavailable("the store can't be reached now")
        }
        StoreError::Corrupt(_) => Fault::internal("what is stored can't be read"),
    }
}
