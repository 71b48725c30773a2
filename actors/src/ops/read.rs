//! Reading rooms, messages and people. Who may read what is asked of the room's relay, which folds its log.

use std::collections::HashSet;
use std::sync::Arc;

use parlance_domain::visibility::visible;
use parlance_schema::entry::Fact;
use parlance_schema::frame::{Answer, PageOf};
use parlance_schema::limits::{ID_MAX, PAGE_DEFAULT, PAGE_MAX};
use parlance_schema::message::{MessageView, RevisionView};
use parlance_schema::shown::Shown;
use parlance_schema::user::{Principal, UserView};
use parlance_schema::view::{PresenceView, RoomView};
use parlance_schema::{Fault, MessageId, RoomId, Seq, TenantId, UserId};

use super::unavailable;
use crate::cluster::registries::Registries;
use crate::ports::store::{Range, StoredMessage};
use crate::relay::View;

/// Bytes of words on one page, about; it ends early beyond.
const PAGE_BYTES: usize = 256 * 1024;

/// Which page of a room.
pub(super) struct Page {
    pub(super) room: RoomId,
    pub(super) before: Option<Seq>,
    pub(super) after: Option<Seq>,
    pub(super) limit: Option<usize>,
}

pub(super) async fn room(node: &Registries, who: Principal, room: RoomId) -> Result<RoomView, Fault> {
    let mut view = node.relays.view(room, who).await?;
    add_last_messages(node, std::slice::from_mut(&mut *view)).await?;
    Ok(view.room)
}

/// The tenant that a room belongs to.
///
/// # Errors
/// `not_found` for those who may read nothing of it.
pub(super) async fn tenant(node: &Registries, who: Principal, room: RoomId) -> Result<TenantId, Fault> {
    Ok(node.relays.view(room, who).await?.tenant)
}

/// Adds to each room the message that it ends with, where its reader may read one; all of them are read at once.
async fn add_last_messages(node: &Registries, views: &mut [View]) -> Result<(), Fault> {
    let last = |view: &View| (view.last_post > 0).then_some((view.room.id, view.last_post));
    let places: Vec<_> = views.iter().filter_map(last).collect();
    if places.is_empty() {
        return Ok(());
    }
    let messages = node.shared.store.messages_at(&places).await.map_err(unavailable)?;
    for (view, message) in views.iter_mut().filter(|view| view.last_post > 0).zip(messages) {
        let room = &mut view.room;
        room.last_message = message.and_then(|message| view_message(room.id, message, room.first));
    }
    Ok(())
}

pub(super) async fn rooms(node: &Registries, who: Principal) -> Result<Answer, Fault> {
    let rooms = node.shared.store.rooms_of(who.user).await.map_err(unavailable)?;
    // All are asked before the first answer is waited for.
    let asked: Vec<_> = rooms.into_iter().map(|room| node.relays.view(room, who)).collect();
    let mut views = Vec::with_capacity(asked.len());
    for view in asked {
        match view.await {
            // The list of rooms is a hint: the room's log decides, and a moderator's look doesn't make a member.
            Ok(view) if view.room.role.is_some() => views.push(*view),
            Ok(_) => {}
            Err(fault) if fault.code == parlance_schema::Code::NotFound => {}
            Err(fault) => return Err(fault),
        }
    }
    add_last_messages(node, &mut views).await?;
    let mut rooms: Vec<RoomView> = views.into_iter().map(|view| view.room).collect();
    rooms.sort_by_key(|room| std::cmp::Reverse((room.updated_at, room.id)));
    Ok(Answer::Rooms { rooms })
}

pub(super) async fn members(node: &Registries, who: Principal, room: RoomId) -> Result<Answer, Fault> {
    let members = node.relays.members(room, who).await?;
    Ok(Answer::Members { members })
}

pub(super) async fn bans(node: &Registries, who: Principal, room: RoomId) -> Result<Answer, Fault> {
    let bans = node.relays.bans(room, who).await?;
    Ok(Answer::Bans { bans })
}

pub(super) async fn invites(node: &Registries, who: Principal, room: RoomId) -> Result<Answer, Fault> {
    let invites = node.relays.invites(room, who).await?;
    Ok(Answer::Invites { invites })
}

pub(super) async fn typing(node: &Registries, who: Principal, room: RoomId, on: bool) -> Result<Answer, Fault> {
    node.relays.typing(room, who, on).await?;
    Ok(Answer::Empty {})
}

pub(super) async fn mark(node: &Registries, who: Principal, room: RoomId, seq: Seq) -> Result<Answer, Fault> {
    // Up to the end is any number that is larger, but a number all the same.
    if seq > ID_MAX {
        return Err(Fault::invalid(format!("`seq` must be at most {ID_MAX}")));
    }
    node.relays.mark(room, who, seq).await?;
    Ok(Answer::Empty {})
}

/// The numbers that a page covers, how many items it has, and the first number that its reader may read.
async fn range(node: &Registries, who: Principal, page: &Page) -> Result<Option<(Range, usize, Seq)>, Fault> {
    let limit = page.limit.unwrap_or(PAGE_DEFAULT);
    if limit == 0 || limit > PAGE_MAX {
        return Err(Fault::invalid(format!("`limit` must be an integer from 1 to {PAGE_MAX}")));
    }
    let (first, last) = node.relays.access(page.room, who).await?;
    let from = page.after.map_or(first, |after| after.saturating_add(1).max(first));
    let to = page.before.map_or(last, |before| before.saturating_sub(1).min(last));
    if from > to {
        return Ok(None);
    }
    // One more than asked for tells whether there is more.
    Ok(Some((Range { from, to, limit: limit + 1, backwards: page.after.is_none() }, limit, first)))
}

/// Cuts what was read to a page, oldest first.
fn cut<T>(mut items: Vec<T>, limit: usize, backwards: bool, bytes: impl Fn(&T) -> usize) -> PageOf<T> {
    let mut total = 0;
    let fits = items.iter().take_while(|item| {
        total += bytes(item);
        total <= PAGE_BYTES
    });
    let keep = fits.count().max(1).min(limit);
    let more = items.len() > keep;
    items.truncate(keep);
    if backwards {
        items.reverse();
    }
    PageOf { items, more }
}

pub(super) async fn entries(node: &Registries, who: Principal, page: Page) -> Result<Answer, Fault> {
    let Some((range, limit, first)) = range(node, who, &page).await? else {
        return Ok(Answer::Entries(PageOf { items: Vec::new(), more: false }));
    };
    let entries = node.shared.store.entries(page.room, range).await.map_err(unavailable)?;
    let entries: Vec<Shown> = entries.iter().map(|entry| visible(entry, first).into()).collect();
    Ok(Answer::Entries(cut(entries, limit, range.backwards, |shown| match shown {
        Shown::Entry(entry) => match &entry.fact {
            Fact::Posted { content: Some(c), .. } | Fact::Edited { content: Some(c), .. } => 200 + c.chars() * 2,
            _ => 200,
        },
        Shown::Hidden(_) => 200,
    })))
}

/// Shows a page of messages, `skip` messages before the end.
///
/// With `read`, everything counts as read by its members where the page is the latest one.
pub(super) async fn messages(
    node: &Registries,
    who: Principal,
    page: Page,
    skip: Option<u64>,
    read: bool,
) -> Result<Answer, Fault> {
    let skip = skip.unwrap_or(0);
    if skip > 0 && page.after.is_some() {
        return Err(Fault::invalid(
            "give either `skip` or `after`, not both: `skip` is how many of the newest messages to leave out, `after` is the number of the entry to start after",
        ));
    }
    let none = || Ok(Answer::Messages(PageOf { items: Vec::new(), more: false }));
    let Some((mut range, limit, first)) = range(node, who, &page).await? else { return none() };
    if read && skip == 0 && page.before.is_none() && page.after.is_none() {
        match mark(node, who, page.room, range.to).await {
            Err(fault) if fault.code != parlance_schema::Code::NotFound => return Err(fault),
            // A moderator who is not a member has no mark.
            _ => {}
        }
    }
    if skip > 0 {
        match before_posts(node, page.room, range, skip).await? {
            Some(to) => range.to = to,
            None => return none(),
        }
    }
    let messages = node.shared.store.messages(page.room, range).await.map_err(unavailable)?;
    let messages: Vec<_> = messages.into_iter().filter_map(|message| view_message(page.room, message, first)).collect();
    Ok(Answer::Messages(cut(messages, limit, range.backwards, |message| {
        400 + message.content.as_ref().map_or(0, |content| content.chars() * 2)
    })))
}

/// The last number in a range that has `skip` messages of the range after it. Entries count messages, so that finding it
/// costs as many reads as the range's length has binary digits.
async fn before_posts(node: &Registries, room: RoomId, range: Range, skip: u64) -> Result<Option<Seq>, Fault> {
    let posts = async |seq: Seq| {
        let entry = node.shared.entry(room, seq).await.map_err(unavailable)?;
        entry.map(|entry| entry.posts).ok_or_else(|| {
            Fault::internal("an entry of this room is missing from the server's database: tell the server's operator")
        })
    };
    let Some(wanted) = posts(range.to).await?.checked_sub(skip) else { return Ok(None) };
    let (mut low, mut high) = (range.from, range.to);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if posts(middle).await? <= wanted {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok((posts(low).await? <= wanted).then_some(low))
}

/// Finds a message by its id; what one may not read isn't there.
pub(super) async fn find(node: &Registries, who: Principal, id: MessageId) -> Result<Answer, Fault> {
    let none = || Fault::not_found("there is no such message, or you may not read it");
    let (room, seq) = node.shared.store.locate(id).await.map_err(unavailable)?.ok_or_else(none)?;
    message(node, who, room, seq).await.map_err(|fault| match fault.code {
        parlance_schema::Code::NotFound => none(),
        _ => fault,
    })
}

/// A message, and the first number that its reader may read.
async fn one_message(node: &Registries, who: Principal, room: RoomId, seq: Seq) -> Result<(StoredMessage, Seq), Fault> {
    let none = || Fault::not_found("there is no such message, or you may not read it");
    let (first, last) = node.relays.access(room, who).await?;
    if seq < first || seq > last {
        return Err(none());
    }
    let range = Range { from: seq, to: seq, limit: 1, backwards: false };
    let message = node.shared.store.messages(room, range).await.map_err(unavailable)?.pop().ok_or_else(none)?;
    Ok((message, first))
}

pub(super) async fn message(node: &Registries, who: Principal, room: RoomId, seq: Seq) -> Result<Answer, Fault> {
    let (message, first) = one_message(node, who, room, seq).await?;
    let view = view_message(room, message, first)
        .ok_or_else(|| Fault::not_found("there is no such message, or you may not read it"))?;
    Ok(Answer::Message(Box::new(view)))
}

pub(super) async fn revisions(node: &Registries, who: Principal, room: RoomId, seq: Seq) -> Result<Answer, Fault> {
    let (message, _) = one_message(node, who, room, seq).await?;
    let mut revisions = Vec::new();
    if let Fact::Posted { content, .. } = &message.entry.fact {
        revisions.push(RevisionView { revision: 0, at: message.entry.at, content: content.clone() });
    }
    for edit in message.state.map(|state| state.edits).unwrap_or_default() {
        let entry = node.shared.entry(room, edit).await.map_err(unavailable)?;
        if let Some(entry) = entry
            && let Fact::Edited { revision, content, .. } = &entry.fact
        {
            revisions.push(RevisionView { revision: *revision, at: entry.at, content: content.clone() });
        }
    }
    Ok(Answer::Revisions { revisions })
}

/// A message as it is now, for somebody who may read from `first` on; `None` when the entry is not a message's.
fn view_message(room: RoomId, message: StoredMessage, first: Seq) -> Option<MessageView> {
    let entry = Arc::unwrap_or_clone(message.entry);
    let Fact::Posted { id, content, reply_to, mentions, meta } = entry.fact else { return None };
    let state = message.state.unwrap_or_default();
    let deleted = state.deleted_at.is_some();
    Some(MessageView {
        room,
        seq: entry.seq,
        id,
        by: entry.by,
        at: entry.at,
        client_id: entry.client_id,
        content: if deleted { None } else { state.content.or(content) },
        reply_to: reply_to.filter(|seq| *seq >= first),
        mentions,
        meta,
        revision: state.revision,
        edited_at: state.edited_at,
        deleted_at: state.deleted_at,
        reactions: state.reactions,
    })
}

pub(super) async fn whereabouts(node: &Registries, who: Principal, users: Vec<UserId>) -> Result<Answer, Fault> {
    if users.len() > parlance_schema::limits::MEMBERS_MAX {
        return Err(Fault::invalid("`users` must name at most 100 users"));
    }
    let mine: HashSet<RoomId> = node.shared.store.rooms_of(who.user).await.map_err(unavailable)?.into_iter().collect();
    let accounts = node.shared.store.accounts(&users).await.map_err(unavailable)?;
    let ids: Vec<UserId> = accounts.iter().map(|account| account.id).collect();
    let rooms = node.shared.store.rooms_of_each(&ids).await.map_err(unavailable)?;
    let mut presence = Vec::with_capacity(accounts.len());
    for (account, theirs) in accounts.into_iter().zip(rooms) {
        if account.id == who.user || theirs.iter().any(|room| mine.contains(room)) {
            let status = node.presence.status(account.id);
            let online = status != parlance_schema::user::Status::Offline;
            let last_seen = if online { None } else { account.last_seen };
            presence.push(PresenceView { user: account.id, status, last_seen });
        }
    }
    Ok(Answer::Whereabouts { presence })
}

pub(super) async fn users(node: &Registries, who: Principal, ids: &[UserId]) -> Result<Answer, Fault> {
    if ids.len() > PAGE_MAX {
        return Err(Fault::invalid(format!("`ids` must name at most {PAGE_MAX} users")));
    }
    let accounts = node.shared.store.accounts(ids).await.map_err(unavailable)?;
    let users = accounts.into_iter().filter(|account| account.tenant == who.tenant).map(|account| UserView {
        id: account.id,
        username: account.username,
        full_name: account.full_name,
        is_active: account.active,
        created_at: account.created_at,
        last_seen: account.last_seen,
    });
    Ok(Answer::Users { users: users.collect() })
}
