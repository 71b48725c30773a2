//! Opening rooms, and taking people in.

use std::collections::HashSet;

use parlance_schema::command::{Command, History, Kind};
use parlance_schema::fault::Retry;
use parlance_schema::frame::{Answer, InviteView};
use parlance_schema::limits::{MEMBERS_MAX, ROOMS_PER_USER_MAX};
use parlance_schema::user::{Principal, Role};
use parlance_schema::view::{Done, RoomView};
use parlance_schema::{ClientId, Code, Fault, Millis, RoomId, Seq, TenantId, UserId};
use sha2::{Digest, Sha256};

use super::{command_room, fresh_client_id, read, unavailable};
use crate::cluster::registries::Registries;
use crate::ports::store::{ClaimKind, IdKind};

/// A room to be opened.
pub(super) struct New {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) members: Vec<UserId>,
    pub(super) history: History,
}

/// Opens a group or a conversation, once per client id.
pub(super) async fn create(
    node: &Registries,
    who: Principal,
    new: New,
    client_id: Option<ClientId>,
) -> Result<Answer, Fault> {
    if new.kind == Kind::Direct {
        return Err(Fault::invalid(
            "`kind` must be \"group\" or \"conversation\"; to open a direct room, use the operation `direct`",
        ));
    }
    if new.kind == Kind::Conversation && new.members.iter().any(|user| *user != who.user) {
        return Err(Fault::invalid(
            "a room of kind `conversation` can have no members except you: leave `members` out",
        ));
    }
    parlance_domain::content_rules::check_room_name(&new.name)?;
    if new.members.len() > MEMBERS_MAX {
        return Err(parlance_domain::room::room_full());
    }
    writer(who)?;
    known(node, who.tenant, &new.members).await?;
    room_for_more(node, who.user).await?;
    let mine = node.shared.ids.next(IdKind::Room).await.map_err(unavailable)?;
    let (room, client_id) = match client_id {
        Some(client_id) => {
            let key = format!("{}:{}", who.user, client_id.as_str());
            let claimed =
                node.shared.store.claim(who.tenant, ClaimKind::Create, &key, mine).await.map_err(unavailable)?;
            (claimed, client_id)
        }
        None => (mine, fresh_client_id(node)),
    };
    let room = RoomId::new(room);
    let command = Command::Create { kind: new.kind, name: new.name, members: new.members, history: new.history };
    let done = command_room(node, who, room, Some(client_id), command).await?;
    let view = Box::new(read::room(node, who, room).await?);
    Ok(if done.again { Answer::Room(view) } else { Answer::Opened(view) })
}

/// Opens the direct room of a pair, or finds it: one per pair, however many open it at once.
pub(super) async fn direct(node: &Registries, who: Principal, user: UserId) -> Result<Answer, Fault> {
    if user == who.user {
        return Err(Fault::invalid("a direct room is for two users: name a user other than yourself"));
    }
    known(node, who.tenant, &[user]).await?;
    if let Err(fault) = writer(who) {
        // A readonly user finds a room that the other one opened, and leaves no trace where there is none.
        return opened_with(node, who, user).await?.map(|room| Answer::Room(Box::new(room))).ok_or(fault);
    }
    let (a, b) = (who.user.min(user), who.user.max(user));
    let mine = node.shared.ids.next(IdKind::Room).await.map_err(unavailable)?;
    let key = format!("{a}:{b}");
    let claimed = node.shared.store.claim(who.tenant, ClaimKind::Direct, &key, mine).await.map_err(unavailable)?;
    let room = RoomId::new(claimed);
    // Whoever claimed it may have died before opening it; opening it again is refused if it is open.
    let command =
        Command::Create { kind: Kind::Direct, name: String::new(), members: vec![user], history: History::All };
    let fresh = match command_room(node, who, room, None, command).await {
        Ok(_) => true,
        Err(fault) if fault.code == Code::Already => false,
        Err(fault) => return Err(fault),
    };
    let view = Box::new(read::room(node, who, room).await?);
    Ok(if fresh { Answer::Opened(view) } else { Answer::Room(view) })
}

/// The direct room that there is with a user.
async fn opened_with(node: &Registries, who: Principal, user: UserId) -> Result<Option<RoomView>, Fault> {
    let theirs: HashSet<RoomId> = node.shared.store.rooms_of(user).await.map_err(unavailable)?.into_iter().collect();
    let mine = node.shared.store.rooms_of(who.user).await.map_err(unavailable)?;
    for room in mine.into_iter().filter(|room| theirs.contains(room)) {
        match read::room(node, who, room).await {
            Ok(view) if view.peer == Some(user) => return Ok(Some(view)),
            // The lists of rooms are hints.
            Err(fault) if fault.code != Code::NotFound => return Err(fault),
            _ => {}
        }
    }
    Ok(None)
}

/// Adds users to a room.
pub(super) async fn add(
    node: &Registries,
    who: Principal,
    room: RoomId,
    users: Vec<UserId>,
    client_id: Option<ClientId>,
) -> Result<Answer, Fault> {
    if users.is_empty() || users.len() > MEMBERS_MAX {
        return Err(Fault::invalid(format!("`users` must name 1 to {MEMBERS_MAX} users")));
    }
    if let Err(fault) = addable(node, who, room, &users).await {
        // Who asks again is answered as at first, whatever has become of it since.
        let again = match client_id.filter(|_| fault.retry != Retry::Later) {
            Some(client_id) => {
                node.shared.done_before(room, who.user, &client_id, Seq::MAX).await.map_err(unavailable)?
            }
            None => None,
        };
        let done = again.map(|entry| Done { again: true, ..crate::room::done(room, &entry) });
        return done.map(Answer::Done).ok_or(fault);
    }
    command_room(node, who, room, client_id, Command::Add { users }).await.map(Answer::Done)
}

/// Whether users may be added, as far as the room itself doesn't know.
async fn addable(node: &Registries, who: Principal, room: RoomId, users: &[UserId]) -> Result<(), Fault> {
    let tenant = read::tenant(node, who, room).await?;
    known(node, tenant, users).await?;
    for user in users {
        room_for_more(node, *user).await?;
    }
    Ok(())
}

/// Makes an invite. Its code holds the room and a secret, of which the log keeps only the hash.
pub(super) async fn invite(
    node: &Registries,
    who: Principal,
    room: RoomId,
    expires_at: Option<Millis>,
    uses: Option<u32>,
) -> Result<Answer, Fault> {
    let code = format!("{room}-{:016x}{:016x}", node.shared.random.bits(), node.shared.random.bits());
    let (_, hash) = read_code(&code)?;
    let command = Command::Invite { hash: hash.clone(), expires_at, uses };
    let done = command_room(node, who, room, None, command).await.map_err(|fault| match fault.code {
        // Sending it again doesn't tell: it takes no client id, as its code is kept nowhere.
        Code::OutcomeUnknown => Fault::new(
            Code::OutcomeUnknown,
            "it is not known whether the invite was made: send the request again to make a new one; if the first one exists, it does no harm, as nobody has its code",
        ),
        _ => fault,
    })?;
    Ok(Answer::Invited(InviteView { room, seq: done.seq, code, hash }))
}

/// Reads an invite's code: the room and the hash by which its log knows the invite.
pub(super) fn read_code(code: &str) -> Result<(RoomId, String), Fault> {
    let bad = || {
        Fault::new(
            Code::InviteGone,
            "this invite code is not valid: it is mistyped, or the invite has expired, was withdrawn or is used up",
        )
    };
    let (room, secret) = code.split_once('-').ok_or_else(bad)?;
    if secret.len() != 32 {
        return Err(bad());
    }
    let room = room.parse().map_err(|_| bad())?;
    let hash = Sha256::digest(secret.as_bytes());
    Ok((room, hash.iter().map(|byte| format!("{byte:02x}")).collect()))
}

fn writer(who: Principal) -> Result<(), Fault> {
    if who.role == Role::Readonly {
        Err(Fault::forbidden("your account is read-only; ask an administrator to change its role"))
    } else {
        Ok(())
    }
}

/// Users must exist, be active, and be of the same tenant.
async fn known(node: &Registries, tenant: TenantId, users: &[UserId]) -> Result<(), Fault> {
    let found = node.shared.store.accounts(users).await.map_err(unavailable)?;
    let fits = |user: &UserId| found.iter().any(|a| a.id == *user && a.active && a.tenant == tenant);
    match users.iter().find(|user| !fits(user)) {
        None => Ok(()),
        Some(user) => Err(Fault::not_found(format!("there is no user {user}"))),
    }
}

async fn room_for_more(node: &Registries, user: UserId) -> Result<(), Fault> {
    let rooms = node.shared.store.rooms_of(user).await.map_err(unavailable)?.len();
    if rooms >= ROOMS_PER_USER_MAX {
        return Err(Fault::invalid(format!(
            "user {user} is in {ROOMS_PER_USER_MAX} rooms, which is the limit: they must leave one first"
        )));
    }
    Ok(())
}
