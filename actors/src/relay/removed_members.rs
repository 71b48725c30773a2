//! What a subscriber still gets who is no member any more: everything up to the entry that removed them, and nothing after.

use std::sync::{Arc, Mutex};

use parlance_domain::room::State as Folded;
use parlance_schema::command::History;
use parlance_schema::entry::Entry;
use parlance_schema::limits::PAGE_MAX;
use parlance_schema::push::Push;
use parlance_schema::{Fault, RoomId, Seq, UserId};

use super::actor::{Mode, State, Sub};
use super::registry::lock;
use crate::ports::store::{Range, StoreError};
use crate::shared::Shared;

impl State {
    /// Ends the subscriptions of users who are no members any more.
    pub(super) fn end(&self, users: &[UserId], last: Seq) {
        let mut subs = lock(&self.subs);
        for sub in subs.iter_mut().filter(|sub| users.contains(&sub.link.principal.user) && sub.until.is_none()) {
            sub.until = Some(last);
        }
        self.part(&mut subs);
    }

    /// Lets those go who have everything that they may have.
    pub(super) fn part(&self, subs: &mut Vec<Sub>) {
        subs.retain(|sub| {
            let done = sub.mode != Mode::Waiting && sub.until.is_some_and(|until| sub.position >= until);
            if done && sub.link.delivery.ends_on_removal {
                sub.link.outbox.close_for(&Fault::forbidden("you are no longer a member of this room"));
            } else if done {
                sub.link.push(&Push::RoomGone { room: self.room });
            }
            !done
        });
    }
}

/// Subscribers who stopped being members while nobody relayed get what was before, the entry that removed them, and
/// nothing more.
pub(super) async fn end_strangers(shared: &Shared, room: RoomId, folded: &Folded, subs: &Mutex<Vec<Sub>>) {
    let away = |sub: &Sub| match folded.members.get(&sub.link.principal.user) {
        None => true,
        Some(member) => folded.history == History::SinceJoined && member.joined > sub.position + 1,
    };
    let strangers: Vec<_> = lock(subs)
        .iter()
        .filter(|sub| sub.until.is_none() && away(sub))
        .map(|sub| (sub.link.id, sub.link.principal.user, sub.position))
        .collect();
    for (session, user, position) in strangers {
        let removal = removal(shared, room, user, position + 1, folded.last).await.unwrap_or_else(|error| {
            tracing::warn!(%room, %error, "a removal can't be read");
            None
        });
        let mut subs = lock(subs);
        if let Some(sub) = subs.iter_mut().find(|sub| sub.link.id == session) {
            sub.until = Some(removal.unwrap_or(sub.position));
        }
    }
}

/// The number of the first entry from `from` to `last` that removed a user.
async fn removal(
    shared: &Shared,
    room: RoomId,
    user: UserId,
    mut from: Seq,
    last: Seq,
) -> Result<Option<Seq>, StoreError> {
    while from <= last {
        let range = Range { from, to: last, limit: PAGE_MAX, backwards: false };
        let entries = shared.store.entries(room, range).await?;
        let removes = |entry: &&Arc<Entry>| entry.removed().any(|gone| gone == user);
        if let Some(entry) = entries.iter().find(removes) {
            return Ok(Some(entry.seq));
        }
        from = entries.last().map_or(Seq::MAX, |entry| entry.seq + 1);
    }
    Ok(None)
}
