//! Read marks: how far each member has read, set here, heard from other nodes, written together and read again.

use std::time::Duration;

use parlance_domain::room::no_room;
use parlance_schema::limits::MEMBERS_MAX;
use parlance_schema::push::Ephemeral;
use parlance_schema::user::Principal;
use parlance_schema::{RoomId, Seq, UserId};
use ractor::ActorRef;
use tokio::time::Instant;

use super::actor::{Back, Msg, State, unreadable};
use crate::ports::bus::RoomEvent;
use crate::ports::store::{Range, ReadMark, StoreError};
use crate::room::guarded;
use crate::shared::Shared;

/// How long read marks wait to be written together.
const FLUSH_MS: u64 = 200;

impl State {
    /// Marks everything up to a number as read, and tells the others.
    pub(super) fn mark(&mut self, me: &ActorRef<Msg>, who: &Principal, seq: Seq, back: Back<()>) {
        self.active = Instant::now();
        if self.broken.is_some() {
            let _ = back.send(Err(unreadable()));
            return;
        }
        let member = self.folded.as_ref().is_some_and(|folded| folded.members.contains_key(&who.user));
        if !member {
            let _ = back.send(Err(no_room()));
            return;
        }
        let seq = seq.min(self.last());
        if self.marks.get(&who.user).is_some_and(|mark| mark.seq >= seq) {
            let _ = back.send(Ok(()));
            return;
        }
        self.count(me, who.user, seq, Some(back));
    }

    /// A mark that was set through another node.
    pub(super) fn heard_mark(&mut self, me: &ActorRef<Msg>, user: UserId, seq: Seq) {
        let news = self.marks.get(&user).is_none_or(|mark| mark.seq < seq);
        let member = self.folded.as_ref().is_some_and(|folded| folded.members.contains_key(&user));
        if seq > self.last() {
            self.count_later(user, seq);
        } else if news && member {
            self.count(me, user, seq, None);
        }
    }

    /// Finds the counts at a mark: from memory where it is at the end, as it is most often, else from the log.
    fn count(&mut self, me: &ActorRef<Msg>, user: UserId, seq: Seq, back: Option<Back<()>>) {
        let Some(folded) = &self.folded else { return };
        let Some(member) = folded.members.get(&user) else { return };
        let posts =
            if seq >= folded.last_post { Some(folded.posts) } else { self.ring.get(seq).map(|slot| slot.entry.posts) };
        if let Some(posts) = posts
            && seq >= member.last_own
        {
            return self.counted(me, user, Ok(ReadMark { seq, posts, own: member.own }), back);
        }
        let (shared, room, me, own, last) = (self.shared.clone(), self.room, me.clone(), member.own, folded.last);
        tokio::spawn(async move {
            let counted = async {
                let range = Range { from: seq, to: seq, limit: 1, backwards: false };
                let at = shared.store.entries(room, range).await?.pop().map_or(0, |entry| entry.posts);
                let after = own_between(&shared, room, user, (seq, last)).await?;
                Ok::<_, StoreError>(ReadMark { seq, posts: at, own: own.saturating_sub(after) })
            };
            let mark = counted.await;
            let _ = me.cast(Msg::Counted { user, mark, back });
        });
    }

    pub(super) fn counted(
        &mut self,
        me: &ActorRef<Msg>,
        user: UserId,
        mark: Result<ReadMark, StoreError>,
        back: Option<Back<()>>,
    ) {
        let Ok(mark) = mark else {
            back.map(|back| back.send(Err(unreadable())));
            return;
        };
        if self.raise(user, mark) {
            // Who was told by a client writes it down and tells the other nodes.
            if back.is_some() {
                if self.unsaved.is_empty() {
                    me.send_after(Duration::from_millis(FLUSH_MS), || Msg::Flush);
                }
                self.unsaved.push(user);
                let event = Ephemeral::Read { room: self.room, user, seq: mark.seq };
                self.shared.bus.publish_room(self.room, RoomEvent::Ephemeral(event));
            }
        }
        back.map(|back| back.send(Ok(())));
    }

    /// Takes a mark in that is beyond the one that is known; says whether it is.
    fn raise(&mut self, user: UserId, mark: ReadMark) -> bool {
        let there = self.marks.entry(user).or_default();
        let further = mark.seq > there.seq;
        if further {
            *there = mark;
        }
        further
    }

    /// Reads the marks that were set while nothing was heard: the bus was away, or they were published before the relay's
    /// subscription was there and written after it had read them.
    pub(super) fn reread_marks(&self, me: &ActorRef<Msg>) {
        let (shared, room, me) = (self.shared.clone(), self.room, me.clone());
        tokio::spawn(async move {
            let marks = guarded(shared.store.read_marks(room)).await;
            let _ = me.cast(Msg::Marked(marks));
        });
    }

    /// Raises marks to what is stored, and tells those who are connected here.
    pub(super) fn marked(&mut self, me: &ActorRef<Msg>, marks: Result<Vec<(UserId, ReadMark)>, StoreError>) {
        for (user, mark) in marks.into_iter().flatten() {
            if self.raise(user, mark) {
                self.ephemeral(me, &Ephemeral::Read { room: self.room, user, seq: mark.seq });
            }
        }
    }

    /// A mark beyond what is known here counts once that is.
    fn count_later(&mut self, user: UserId, seq: Seq) {
        if self.early_marks.len() < MEMBERS_MAX || self.early_marks.contains_key(&user) {
            let there = self.early_marks.entry(user).or_default();
            *there = seq.max(*there);
        }
    }

    /// Counts the marks that were heard before what they mark.
    pub(super) fn count_early_marks(&mut self, me: &ActorRef<Msg>) {
        let last = self.last();
        if self.early_marks.values().any(|seq| *seq <= last) {
            for (user, seq) in std::mem::take(&mut self.early_marks) {
                self.heard_mark(me, user, seq);
            }
        }
    }

    /// Writes the read marks that changed. One that is lost with a crash is set again by the client's next one.
    pub(super) fn flush_marks(&mut self) {
        if self.unsaved.is_empty() {
            return;
        }
        let mut users = std::mem::take(&mut self.unsaved);
        users.sort_unstable();
        users.dedup();
        let marks: Vec<_> = users.iter().filter_map(|user| Some((*user, *self.marks.get(user)?))).collect();
        let (shared, room) = (self.shared.clone(), self.room);
        tokio::spawn(async move {
            if let Err(error) = shared.store.mark_read(room, marks).await {
                tracing::warn!(%room, %error, "read marks not written");
            }
        });
    }
}

/// Counts a user's messages after the first number up to the last one, while they may go on writing: what came after the
/// last one is counted before and after, until both agree.
async fn own_between(
    shared: &Shared,
    room: RoomId,
    user: UserId,
    (after, last): (Seq, Seq),
) -> Result<u64, StoreError> {
    let mut later = shared.store.count_posts(room, last, user).await?;
    loop {
        let all = shared.store.count_posts(room, after, user).await?;
        let now = shared.store.count_posts(room, last, user).await?;
        if now == later {
            return Ok(all.saturating_sub(later));
        }
        later = now;
    }
}
