//! Connections whose being there means something: who opens the first and closes the last one is announced, and what is
//! pushed on them is read.

use std::time::Duration;

use parlance_schema::push::Ephemeral;
use ractor::ActorRef;

use super::actor::{Mode, Msg, State, Sub};
use super::registry::lock;
use crate::ports::bus::RoomEvent;
use crate::ports::store::ReadMark;

/// How long what was read by delivery waits to be marked and told together.
const MARK_DELIVERED_MS: u64 = 5_000;

impl State {
    /// Tells the members of a user's first connection, where it is one that is announced.
    pub(super) fn welcome(&self, session: u64) {
        let user = {
            let mut subs = lock(&self.subs);
            let new =
                |sub: &Sub| sub.link.id == session && sub.link.delivery.announces && !sub.announced && sub.started();
            let Some(at) = subs.iter().position(new) else { return };
            let user = subs[at].link.principal.user;
            let first = !subs.iter().any(|sub| sub.announced && sub.link.principal.user == user);
            subs[at].announced = true;
            first.then_some(user)
        };
        if let Some(user) = user {
            let event = Ephemeral::Entered { room: self.room, user };
            self.shared.bus.publish_room(self.room, RoomEvent::Ephemeral(event));
        }
    }

    /// Ends subscriptions, and tells the members of a user's last connection of those that are announced.
    pub(super) fn unsubscribe(&mut self, gone: impl Fn(&Sub) -> bool) {
        let subs = self.subs.clone();
        if !lock(&subs).iter().any(|sub| gone(sub) && (sub.link.delivery.reads || sub.announced)) {
            lock(&subs).retain(|sub| !gone(sub));
            return;
        }
        // What was delivered until now is read.
        self.mark_delivered();
        let mut parted = Vec::new();
        {
            let mut subs = lock(&subs);
            subs.retain(|sub| {
                let gone = gone(sub);
                if gone && sub.announced {
                    parted.push(sub.link.principal.user);
                }
                !gone
            });
            parted.retain(|user| !subs.iter().any(|sub| sub.announced && sub.link.principal.user == *user));
        }
        parted.sort_unstable();
        parted.dedup();
        for user in parted {
            let event = Ephemeral::Parted { room: self.room, user };
            self.shared.bus.publish_room(self.room, RoomEvent::Ephemeral(event));
        }
    }

    /// Has what is delivered marked as read a little later.
    pub(super) fn mark_delivered_later(&mut self, me: &ActorRef<Msg>) {
        if !self.marking_delivered {
            self.marking_delivered = true;
            me.send_after(Duration::from_millis(MARK_DELIVERED_MS), || Msg::MarkDelivered);
        }
    }

    /// Marks as read what was delivered to connections where that counts: all of it, where they are not behind.
    pub(super) fn mark_delivered(&mut self) {
        let Some(folded) = &self.folded else { return };
        let mut read = Vec::new();
        for sub in lock(&self.subs).iter() {
            let user = sub.link.principal.user;
            let there = sub.link.delivery.reads && sub.mode == Mode::Live && sub.until.is_none();
            let Some(member) = folded.members.get(&user).filter(|_| there) else { continue };
            let mark = ReadMark { seq: folded.last, posts: folded.posts, own: member.own };
            let unread = self.marks.get(&user).is_none_or(|mark| mark.seq < folded.last_post);
            if unread && folded.last_post >= member.joined {
                self.marks.insert(user, mark);
                read.push((user, mark.seq));
            }
        }
        if read.is_empty() {
            return;
        }
        self.unsaved.extend(read.iter().map(|(user, _)| *user));
        for (user, seq) in read {
            let event = Ephemeral::Read { room: self.room, user, seq };
            self.shared.bus.publish_room(self.room, RoomEvent::Ephemeral(event));
        }
        self.flush_marks();
    }
}
