//! Subscribing, resuming and catching up.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parlance_schema::entry::Fact;
use parlance_schema::id::Position;
use parlance_schema::limits::{OUTBOX_BYTES_EPHEMERAL, PAGE_MAX, RESUME_ENTRIES_MAX};
use parlance_schema::view::{Outcome, Resumed};
use parlance_schema::{Fault, RoomId, Seq};
use ractor::ActorRef;

use super::actor::{From, Mode, Msg, Passage, Piece, State, Sub, unreadable};
use super::encode::{earliest, encode};
use super::registry::lock;
use super::subscribing::{Known, not_all};
use crate::link::{Link, Pushed};
use crate::ports::store::{Range, StoreError};
use crate::room::guarded;
use crate::shared::Shared;
use crate::usernames::Usernames;
use crate::wire::{Around, Wire};

impl State {
    /// Subscribes a session and says where it stands. Nothing is pushed before its go.
    pub(super) fn subscribe(&mut self, link: Arc<Link>, from: From, known: &Known) -> Result<Resumed, Fault> {
        let user = link.principal.user;
        let member = self.folded.as_ref().and_then(|folded| folded.members.get(&user));
        let Some(first) = member.and(self.folded.as_ref()).and_then(|f| f.readable_from(&link.principal)) else {
            // A room that one is not in, and one that is not there, look the same.
            return Ok(Resumed { last: 0, ..self.resumed(0, Outcome::Gone) });
        };
        let joined = member.map_or(1, |member| member.joined);
        let here = |sub: &Sub| sub.link.id == link.id;
        let (position, outcome) = match from {
            From::Joining if self.pushes(link.id, joined) => {
                return Err(Fault::already("this connection already receives this room's events"));
            }
            // Who was removed before has the entries up to that one to come first. The session asks again.
            From::Joining if lock(&self.subs).iter().any(here) => {
                return Err(Fault::busy(
                    "you left this room, and its last events are still being sent to you: send the request again in a moment",
                ));
            }
            // Found long after it was told: from now on, as after a reset.
            From::Joining if self.last() - joined > RESUME_ENTRIES_MAX => (self.last(), Outcome::Live),
            From::Joining => (joined - 1, Outcome::Live),
            From::Position(None) => (self.last(), Outcome::Live),
            From::Position(Some(position)) => match self.check(position, known) {
                Ok(outcome @ Outcome::Live) => (position.seq.max(first - 1), outcome),
                Ok(outcome) => (self.last(), outcome),
                Err(_) => return Err(unreadable()),
            },
        };
        let sub = Sub { link, position, mode: Mode::Waiting, first, until: None, announced: false };
        {
            let mut subs = lock(&self.subs);
            // A second resume of the same session replaces the first.
            subs.retain(|there| there.link.id != sub.link.id);
            subs.push(sub);
        }
        Ok(self.resumed(position, outcome))
    }

    /// Whether a session gets the entries of a membership that began at `joined`.
    fn pushes(&self, session: u64, joined: Seq) -> bool {
        let serves = |sub: &Sub| {
            // One that has not started and is further on is a resume's, whose reply is to come.
            let first = if sub.started() { sub.position + 1 } else { sub.position };
            sub.link.id == session && sub.until.is_none() && first >= joined
        };
        lock(&self.subs).iter().any(serves)
    }

    fn resumed(&self, from: Seq, outcome: Outcome) -> Resumed {
        // Who is no member learns nothing of the room, not even whether it is there.
        let last = if outcome == Outcome::Gone { 0 } else { self.last() };
        Resumed { room: self.room, epoch: self.shared.store.epoch(), from, last, outcome }
    }

    /// Whether what comes after a position is exactly what the client misses.
    fn check(&self, position: Position, known: &Known) -> Result<Outcome, StoreError> {
        let last = self.last();
        if position.epoch != self.shared.store.epoch() || position.seq > last {
            return Ok(Outcome::Reset);
        }
        if let Some(append) = position.append
            && position.seq > 0
            && self.append_at(position.seq, known)? != Some(append)
        {
            return Ok(Outcome::Reset);
        }
        let far = last - position.seq > RESUME_ENTRIES_MAX;
        Ok(if far { Outcome::TooFar } else { Outcome::Live })
    }

    /// The append id of an entry of the log; `None` where it has none, or it is another log.
    fn append_at(&self, seq: Seq, known: &Known) -> Result<Option<u64>, StoreError> {
        if let Some(append) = self.known_append(seq) {
            return Ok(Some(append));
        }
        let append = known.append.clone().unwrap_or_else(|| Err(not_all()))?;
        if append.is_none() && !self.shared.cluster.is_single_node() {
            // What is folded here is in the log: this was read where it isn't yet.
            return Err(not_all());
        }
        Ok(append)
    }

    /// Queues what a subscriber has missed, from the ring where it is there, else from the log.
    pub(super) fn catch_up(&mut self, me: &ActorRef<Msg>, session: u64) {
        let subs = self.subs.clone();
        let mut subs = lock(&subs);
        let Some(sub) = subs.iter_mut().find(|sub| sub.link.id == session && sub.mode == Mode::Lagging) else { return };
        let end = sub.until.unwrap_or(Seq::MAX).min(self.last());
        while sub.position < end {
            let from = sub.position + 1;
            let next = if sub.link.delivery.echoes {
                let piece = self.piece(from, end, sub.link.wire.as_ref(), sub.first);
                piece.map(|piece| (piece.last, sub.link.outbox.push_entries(&piece.frames)))
            } else {
                let others = self.others_frames(from, end, &sub.link, sub.first);
                others.map(|(last, frames)| (last, sub.link.outbox.push_entries(&frames)))
            };
            let Some((last, pushed)) = next else {
                sub.mode = Mode::Reading;
                let range = Range { from, to: end, limit: PAGE_MAX, backwards: false };
                return self.read_log(me, &sub.link, range);
            };
            match pushed {
                Pushed::Queued => sub.position = last,
                Pushed::Full => return,
                Pushed::Closed => break,
            }
        }
        let mut read = false;
        if sub.until.is_none() && sub.position == self.last() {
            sub.mode = Mode::Live;
            read = sub.link.delivery.reads;
        }
        self.part(&mut subs);
        drop(subs);
        if read {
            self.mark_delivered_later(me);
        }
    }

    /// Frames of the ring from a number on, as many as go out at a time; `None` when the first is not there any more. Those
    /// who come back together mostly miss the same: what is wanted twice is joined, and one frame to queue.
    fn piece(&mut self, from: Seq, to: Seq, wire: &dyn Wire, first: Seq) -> Option<&Piece> {
        let ring = &self.ring;
        let here = (from..=to).map_while(|seq| ring.get(seq)).map(|slot| &slot.entry);
        // Where nothing is masked, it is the same for all.
        let first = if earliest(here).is_some_and(|seq| seq < first) { first } else { 0 };
        let wanted = (wire.index(), from, to, first);
        match &mut self.piece {
            Some(piece) if piece.wanted == wanted && piece.frames.len() > 1 => {
                piece.frames = vec![piece.frames.concat().into()];
            }
            Some(piece) if piece.wanted == wanted => {}
            _ => {
                let frames = self.frames(from, to, wire, first)?;
                let last = from + frames.len() as Seq - 1;
                self.piece = Some(Piece { wanted, last, frames });
            }
        }
        self.piece.as_ref()
    }

    fn frames(&mut self, from: Seq, to: Seq, wire: &dyn Wire, first: Seq) -> Option<Vec<Bytes>> {
        let mut frames = Vec::new();
        let mut bytes = 0;
        for seq in from..=to {
            let Some(frame) = self.frame(seq, wire, first) else { break };
            bytes += frame.len();
            if bytes > OUTBOX_BYTES_EPHEMERAL && !frames.is_empty() {
                break;
            }
            frames.push(frame);
        }
        (!frames.is_empty()).then_some(frames)
    }

    /// Frames of the ring as [`Self::frames`] gives them, but for what came on the connection itself; and the last number.
    fn others_frames(&mut self, from: Seq, to: Seq, link: &Link, first: Seq) -> Option<(Seq, Vec<Bytes>)> {
        let mut frames = self.frames(from, to, link.wire.as_ref(), first)?;
        let last = from + frames.len() as Seq - 1;
        let mut seqs = from..=last;
        frames.retain(|_| {
            let slot = seqs.next().and_then(|seq| self.ring.get(seq));
            !slot.is_some_and(|slot| link.passes_over(&slot.entry))
        });
        Some((last, frames))
    }

    fn read_log(&self, me: &ActorRef<Msg>, link: &Link, range: Range) {
        let (session, looks_around) = (link.id, link.wire.looks_around());
        metrics::counter!("parlance_log_reads_total").increment(1);
        let (shared, room, me) = (self.shared.clone(), self.room, me.clone());
        tokio::spawn(async move {
            let log = guarded(read_passage(&shared, room, range, looks_around)).await;
            let _ = me.cast(Msg::Read { session, from: range.from, log });
        });
    }

    /// Queues entries that were read for a subscriber.
    pub(super) fn read(&mut self, me: &ActorRef<Msg>, session: u64, from: Seq, log: Result<Passage, StoreError>) {
        {
            let mut subs = lock(&self.subs);
            // What was read for an earlier resume of the session, or before its relay was restarted, is not waited for.
            let reading =
                |sub: &&mut Sub| sub.link.id == session && sub.mode == Mode::Reading && sub.position + 1 == from;
            let Some(sub) = subs.iter_mut().find(reading) else { return };
            sub.mode = Mode::Lagging;
            match log {
                Ok(log) if log.entries.first().is_some_and(|entry| entry.seq == sub.position + 1) => {
                    if !push_read(self.room, sub, &log, &self.shared.names) {
                        return;
                    }
                }
                Ok(_) => {
                    tracing::error!(room = %self.room, from = sub.position + 1, "an entry of this room is missing from the server's database: tell the server's operator");
                    return sub.link.outbox.close_for(&unreadable());
                }
                // Its positions are good for a resume, once the store is back.
                Err(_) => return sub.link.outbox.close_for(&unreadable()),
            }
        }
        self.catch_up(me, session);
    }
}

/// Reads entries, and where a wire looks around, what it will look for.
async fn read_passage(shared: &Shared, room: RoomId, range: Range, looks_around: bool) -> Result<Passage, StoreError> {
    let entries = shared.store.entries(room, range).await?;
    let mut originals = BTreeMap::new();
    if looks_around {
        for entry in entries.iter().filter(|entry| matches!(entry.fact, Fact::Edited { .. } | Fact::Deleted { .. })) {
            let Some(target) = entry.message().filter(|target| !originals.contains_key(target)) else { continue };
            let here = entries.iter().find(|entry| entry.seq == target).cloned();
            let found = if here.is_some() { here } else { shared.entry(room, target).await? };
            originals.extend(found.map(|entry| (target, entry)));
        }
        let users = entries.iter().chain(originals.values()).map(|entry| entry.by);
        shared.names.fill(shared.store.as_ref(), users).await?;
    }
    Ok(Passage { entries, originals })
}

/// Queues entries one by one; false when the outbox is full.
fn push_read(room: RoomId, sub: &mut Sub, log: &Passage, names: &Usernames) -> bool {
    let posted = |seq: Seq| log.originals.get(&seq).cloned();
    let around = Around::whole(names, &posted);
    for entry in &log.entries {
        // What was read is whole.
        let mut frame = encode(sub.link.wire.as_ref(), room, entry, sub.first, &around).unwrap_or_default();
        if sub.link.passes_over(entry) {
            frame = Bytes::new();
        }
        if sub.link.outbox.push_entries(&[frame]) != Pushed::Queued {
            return false;
        }
        sub.position = entry.seq;
    }
    true
}
