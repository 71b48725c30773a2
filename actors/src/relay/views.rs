//! What is asked about a room: its picture, its members, who may read what, and how far they have read.

use parlance_domain::room::State as Folded;
use parlance_schema::account::Principal;
use parlance_schema::command::History;
use parlance_schema::event::Ephemeral;
use parlance_schema::view::{BanView, MemberView, OpenInvite, RoomView};
use parlance_schema::{Fault, Millis, RoomId, Seq, TenantId, UserId};
use ractor::ActorRef;
use std::time::Duration;
use tokio::time::Instant;

use super::actor::{Back, Msg, State, unreadable};
use crate::ports::bus::RoomEvent;
use crate::ports::store::{Range, ReadMark, StoreError};
use crate::shared::Shared;

/// How long read marks wait to be written together.
const FLUSH_MS: u64 = 200;

/// A room as somebody sees it, and where its last message is.
pub(crate) struct View {
    pub(crate) room: RoomView,
    pub(crate) last_post: Seq,
    pub(crate) tenant: TenantId,
}

fn no_room() -> Fault {
    Fault::not_found("there is no such room, or you are not a member of it")
}

impl State {
    pub(super) fn access(&self, who: &Principal) -> Result<(Seq, Seq), Fault> {
        let folded = self.folded.as_ref().ok_or_else(no_room)?;
        folded.readable_from(who).map(|first| (first, folded.last)).ok_or_else(no_room)
    }

    pub(super) fn view(&self, who: &Principal) -> Result<Box<View>, Fault> {
        let (first, last) = self.access(who)?;
        let folded = self.folded.as_ref().ok_or_else(no_room)?;
        let member = folded.members.get(&who.user);
        let joined = member.map_or(0, |member| member.joined);
        // A mark from an earlier membership tells nothing, and what was sent before one joined is not unread.
        let mark = self.marks.get(&who.user).filter(|mark| mark.seq >= joined).copied().unwrap_or_default();
        let unread = member.map_or(0, |member| {
            let own = member.own.saturating_sub(mark.own);
            let posts = folded.posts.saturating_sub(mark.posts.max(member.posts_before));
            posts.saturating_sub(own)
        });
        Ok(Box::new(View {
            room: RoomView {
                id: self.room,
                kind: folded.kind,
                name: folded.name.clone(),
                peer: folded.peer(who.user),
                epoch: self.shared.store.epoch(),
                last,
                members: folded.members.len(),
                role: member.map(|member| member.role),
                first,
                read: mark.seq,
                unread,
                messages: folded.posts.saturating_sub(match folded.history {
                    History::SinceJoined => member.map_or(0, |member| member.posts_before),
                    History::All => 0,
                }),
                history: folded.history,
                archived: folded.archived,
                created_at: folded.created_at,
                updated_at: folded.updated_at,
                last_message: None,
            },
            last_post: if folded.last_post >= first { folded.last_post } else { 0 },
            tenant: folded.tenant,
        }))
    }

    pub(super) fn members(&self, who: &Principal) -> Result<Vec<MemberView>, Fault> {
        let (first, _) = self.access(who)?;
        let folded = self.folded.as_ref().ok_or_else(no_room)?;
        let now = self.shared.clock.now();
        let mut members: Vec<_> = folded.members.iter().collect();
        members.sort_by_key(|(user, member)| (member.joined, **user));
        let view = |(user, member): (&UserId, &parlance_domain::room::Member)| MemberView {
            user: *user,
            role: member.role,
            joined_at: member.joined_at,
            muted_until: member.muted.filter(|_| member.is_muted(now)).map(|mute| mute.until.unwrap_or(0)),
            // How far they read of what the caller may not read is not told.
            read: self.marks.get(user).filter(|mark| mark.seq >= member.joined.max(first)).map_or(0, |mark| mark.seq),
            status: self.relays.presence.status(*user),
        };
        Ok(members.into_iter().map(view).collect())
    }

    /// What only those may see who have a say over others' things.
    fn as_staff(&self, who: &Principal) -> Result<&Folded, Fault> {
        self.access(who)?;
        let folded = self.folded.as_ref().ok_or_else(no_room)?;
        let refused = || Fault::forbidden("only the room's owner and admins may see this");
        folded.is_staff(who).then_some(folded).ok_or_else(refused)
    }

    pub(super) fn bans(&self, who: &Principal) -> Result<Vec<BanView>, Fault> {
        let (folded, now) = (self.as_staff(who)?, self.shared.clock.now());
        let hold = folded.bans.iter().filter(|(_, ban)| ban.until.is_none_or(|end| now < end));
        let mut bans: Vec<_> =
            hold.map(|(user, ban)| BanView { user: *user, seq: ban.seq, until: ban.until }).collect();
        bans.sort_by_key(|ban| ban.seq);
        Ok(bans)
    }

    pub(super) fn invites(&self, who: &Principal) -> Result<Vec<OpenInvite>, Fault> {
        let (folded, now) = (self.as_staff(who)?, self.shared.clock.now());
        let open = folded.invites.iter().filter(|(_, invite)| invite.expires_at.is_none_or(|end| now < end));
        let view = |(hash, invite): (&String, &parlance_domain::room::Invite)| OpenInvite {
            hash: hash.clone(),
            by: invite.by,
            expires_at: invite.expires_at,
            left: invite.left,
        };
        let mut invites: Vec<_> = open.map(view).collect();
        invites.sort_by_key(|invite| invite.expires_at.unwrap_or(Millis::MAX));
        Ok(invites)
    }

    /// Tells the others that somebody is writing, who may write, or that they stopped.
    pub(super) fn typing(&self, who: &Principal, on: bool) -> Result<(), Fault> {
        parlance_domain::room::may_write(self.folded.as_ref(), who, self.shared.clock.now())?;
        let event = Ephemeral::Typing { room: self.room, user: who.user, on };
        self.shared.bus.publish_room(self.room, RoomEvent::Ephemeral(event));
        Ok(())
    }

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
            self.mark_later(user, seq);
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
        let there = self.marks.entry(user).or_default();
        if mark.seq > there.seq {
            *there = mark;
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
