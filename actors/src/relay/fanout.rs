//! Fan-out: what is published goes to every subscriber, encoded once per wire.

use std::sync::Arc;

use bytes::Bytes;
use parlance_domain::room::State as Folded;
use parlance_domain::visibility::is_whole;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::PAGE_MAX;
use parlance_schema::{Seq, UserId};
use ractor::ActorRef;

use super::actor::{Mode, Msg, Slot, State};
use super::encode::{Batch, encode};
use super::registry::lock;
use crate::link::Pushed;
use crate::ports::store::{Range, StoreError};
use crate::room::guarded;
use crate::wire::{Around, Wire};

impl State {
    /// Takes entries that were published. Older ones are dropped; a hole is read from the log.
    pub(super) fn published(&mut self, me: &ActorRef<Msg>, entries: &[Arc<Entry>]) {
        if self.broken.is_some() {
            return self.miss(entries.last().map_or(0, |entry| entry.seq));
        }
        let next = self.last() + 1;
        let new = entries.partition_point(|entry| entry.seq < next);
        let Some(first) = entries.get(new) else { return };
        let last = entries.last().map_or(0, |entry| entry.seq);
        if let Some(highest) = &mut self.repairing {
            *highest = last.max(*highest);
        } else if first.seq > next {
            self.repair(me, last);
        } else {
            self.deliver(me, &entries[new..]);
        }
    }

    /// The log ends at `last`, says its owner: what isn't here yet is read.
    pub(super) fn heard_last(&mut self, me: &ActorRef<Msg>, last: Seq) {
        if self.broken.is_some() {
            return self.miss(last);
        }
        if last <= self.last() {
            return;
        }
        match &mut self.repairing {
            Some(highest) => *highest = last.max(*highest),
            None => self.repair(me, last),
        }
    }

    /// Reads what is missing between the last number folded and what was published.
    fn repair(&mut self, me: &ActorRef<Msg>, highest: Seq) {
        self.repairing = Some(highest);
        metrics::counter!("parlance_gaps_repaired_total").increment(1);
        let range = Range { from: self.last() + 1, to: Seq::MAX >> 1, limit: PAGE_MAX, backwards: false };
        let (shared, room, me) = (self.shared.clone(), self.room, me.clone());
        tokio::spawn(async move {
            metrics::counter!("parlance_log_reads_total").increment(1);
            let entries = guarded(shared.store.entries(room, range)).await;
            let _ = me.cast(Msg::Repaired(entries));
        });
    }

    pub(super) fn repaired(&mut self, me: &ActorRef<Msg>, entries: Result<Vec<Arc<Entry>>, StoreError>) {
        let Some(highest) = self.repairing.take() else { return };
        match entries {
            Ok(entries) => {
                let next = self.last() + 1;
                let new = entries.partition_point(|entry| entry.seq < next);
                self.deliver(me, &entries[new..]);
                // What is still missing after a read that found nothing is not in the log yet, or not where it was read.
                if self.last() < highest && !entries.is_empty() {
                    self.repair(me, highest);
                } else {
                    self.look_again(me, highest);
                }
            }
            Err(error) => {
                tracing::warn!(room = %self.room, %error, "a hole can't be read");
                self.broken = Some(error);
            }
        }
    }

    /// Folds consecutive entries and queues them for all who are live.
    pub(super) fn deliver(&mut self, me: &ActorRef<Msg>, entries: &[Arc<Entry>]) {
        let mut from = 0;
        for (at, entry) in entries.iter().enumerate() {
            let removed = self.take_in(entry);
            if !removed.is_empty() {
                // They get the entry that removes them, and nothing after.
                self.send(me, &entries[from..=at]);
                from = at + 1;
                self.end(&removed, entry.seq);
            }
        }
        self.send(me, &entries[from..]);
        // Only now are all of them in the ring, a message and its deletion perhaps together.
        for entry in entries {
            if let Fact::Deleted { target } = &entry.fact {
                self.erase(*target);
            }
        }
    }

    /// Folds an entry; says who stopped being a member.
    fn take_in(&mut self, entry: &Entry) -> Vec<UserId> {
        match &mut self.folded {
            Some(folded) => {
                let gone: Vec<_> = entry.removed().collect();
                folded.fold(entry);
                if matches!(entry.fact, Fact::Configured { .. }) {
                    self.note_readable();
                }
                for user in &gone {
                    self.marks.remove(user);
                }
                gone
            }
            None => {
                self.folded = Folded::opened(entry);
                self.know_tenant();
                Vec::new()
            }
        }
    }

    /// Notes from where on each subscriber may read now. Those who are no members any more keep what they had.
    pub(super) fn note_readable(&self) {
        let Some(folded) = &self.folded else { return };
        for sub in lock(&self.subs).iter_mut().filter(|sub| sub.until.is_none()) {
            if let Some(first) = folded.readable_from(&sub.link.principal) {
                sub.first = first;
            }
        }
    }

    /// Drops a message's words from the ring.
    fn erase(&mut self, target: Seq) {
        let ring = &mut self.ring;
        let mut seq = target.max(ring.next().saturating_sub(ring.len() as Seq));
        while seq < ring.next() {
            if let Some(slot) = ring.get_mut(seq) {
                let about = match &slot.entry.fact {
                    Fact::Posted { .. } => slot.entry.seq == target,
                    Fact::Edited { target: edited, .. } => *edited == target,
                    _ => false,
                };
                if about {
                    let mut erased = (*slot.entry).clone();
                    erased.erase();
                    *slot = Slot { entry: Arc::new(erased), frames: Default::default(), masked: None };
                }
            }
            seq += 1;
        }
    }

    /// Queues consecutive, folded entries for all who are live, and keeps them in the ring.
    fn send(&mut self, me: &ActorRef<Msg>, entries: &[Arc<Entry>]) {
        let Some(last) = entries.last().map(|entry| entry.seq) else { return };
        self.piece = None;
        let subs = self.subs.clone();
        let mut subs = lock(&subs);
        let (mut delivered, mut read, mut slots) = (0, false, Vec::with_capacity(entries.len()));
        {
            let ring = &self.ring;
            let posted = |seq: Seq| {
                let new = entries.iter().find(|entry| entry.seq == seq);
                new.or_else(|| ring.get(seq).map(|slot| &slot.entry)).cloned()
            };
            let around = Around::at_hand(&self.shared.names, &posted);
            let mut batch = Batch::new(self.room, entries, &around);
            for sub in subs.iter_mut().filter(|sub| sub.mode == Mode::Live) {
                let pushed = if entries.iter().any(|entry| sub.link.passes_over(entry)) {
                    batch.others(&sub.link, sub.first).map(|frames| sub.link.outbox.push_entries(&frames))
                } else {
                    let joined = batch.joined(sub.link.wire.as_ref(), sub.first);
                    joined.map(|joined| sub.link.outbox.push_entries(&[joined]))
                };
                let Ok(pushed) = pushed else {
                    sub.mode = Mode::Lagging;
                    self.late.push(sub.link.id);
                    continue;
                };
                match pushed {
                    Pushed::Queued => {
                        sub.position = last;
                        delivered += entries.len() as u64;
                        read |= sub.link.delivery.reads;
                    }
                    Pushed::Full => sub.mode = Mode::Lagging,
                    Pushed::Closed => {}
                }
            }
            slots.extend((0..entries.len()).map(|at| batch.frames(at)));
        }
        if read {
            self.mark_delivered_later(me);
        }
        self.shared.meters.deliveries.increment(delivered);
        for (entry, [frames, masked]) in entries.iter().zip(slots) {
            let all: usize = frames.iter().chain(&masked).flatten().map(Bytes::len).sum();
            let masked = masked.iter().any(Option::is_some).then(|| Box::new(masked));
            let bytes = size_of::<Slot>() + entry.held_bytes() + all;
            self.ring.push(Slot { entry: entry.clone(), frames, masked }, bytes);
        }
    }

    /// The frame of an entry in the ring, for somebody who may read from `first` on; `None` where it is not there, or
    /// something for the wire is not at hand.
    pub(super) fn frame(&mut self, seq: Seq, wire: &dyn Wire, first: Seq) -> Option<Bytes> {
        let slot = self.ring.get(seq)?;
        let whole = is_whole(&slot.entry, first);
        let made = if whole { Some(&slot.frames) } else { slot.masked.as_deref() };
        if let Some(frame) = made.and_then(|frames| frames[wire.index()].clone()) {
            return Some(frame);
        }
        let ring = &self.ring;
        let posted = |seq: Seq| ring.get(seq).map(|slot| slot.entry.clone());
        let around = Around::at_hand(&self.shared.names, &posted);
        let frame = encode(wire, self.room, &ring.get(seq)?.entry, first, &around).ok()?;
        let slot = self.ring.get_mut(seq)?;
        let frames = if whole { &mut slot.frames } else { slot.masked.get_or_insert_default() };
        frames[wire.index()] = Some(frame.clone());
        Some(frame)
    }
}
