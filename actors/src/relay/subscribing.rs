//! What must be read before a subscription can be answered: beside the relay, which goes on meanwhile. A session's subscriptions
//! are answered in their order.

use std::collections::VecDeque;
use std::sync::Arc;

use parlance_schema::Seq;
use parlance_schema::entry::Entry;
use parlance_schema::limits::PAGE_MAX;
use ractor::ActorRef;
use tokio::time::Instant;

use super::actor::{From, Msg, State, unreadable};
use super::asker::Asker;
use crate::link::Link;
use crate::ports::store::{Range, StoreError};
use crate::room::guarded;

/// A session that wants a room's entries.
pub(crate) struct Wish {
    pub(crate) link: Arc<Link>,
    pub(crate) from: From,
    pub(crate) asker: Asker,
}

/// What was read for a subscription.
#[derive(Default)]
pub(crate) struct Known {
    /// Whether all that the log has was read, where the relay may lack something.
    pulled: Option<Result<(), StoreError>>,
    /// The append id at the position that the client kept; `None` inside where the log has nothing there.
    pub(super) append: Option<Result<Option<u64>, StoreError>>,
}

impl State {
    /// Answers a subscription, or has read first what must be known for that.
    pub(super) fn subscription(&mut self, me: &ActorRef<Msg>, wish: Wish) {
        self.active = Instant::now();
        if let Some(behind) = self.preparing.get_mut(&wish.link.id) {
            return behind.push_back(wish);
        }
        // What can't be read is not read on: nobody knows where that would begin.
        if self.broken.is_some() || self.off {
            return wish.asker.answer(Err(unreadable()));
        }
        let lacks = self.may_lack(&wish.link, wish.from);
        if !lacks && !wish.link.wire.looks_around() && !self.must_read_append(wish.from) {
            return self.answer_subscription(wish, &Known::default());
        }
        self.preparing.insert(wish.link.id, VecDeque::new());
        self.prepare(me, wish, lacks);
    }

    /// Whether the log must be read to know whether a position is one of its own.
    fn must_read_append(&self, from: From) -> bool {
        let From::Position(Some(position)) = from else { return false };
        let here = position.epoch == self.shared.store.epoch() && (1..=self.last()).contains(&position.seq);
        here && position.append.is_some() && self.known_append(position.seq).is_none()
    }

    /// The append id of an entry that is at hand.
    pub(super) fn known_append(&self, seq: Seq) -> Option<u64> {
        let last = self.folded.as_ref().filter(|folded| folded.last == seq).map(|folded| folded.last_append);
        last.or_else(|| self.ring.get(seq).map(|slot| slot.entry.append))
    }

    fn prepare(&self, me: &ActorRef<Msg>, wish: Wish, lacks: bool) {
        let (shared, room, me, mut last) = (self.shared.clone(), self.room, me.clone(), self.last());
        let members: Vec<_> = self.folded.iter().flat_map(|folded| folded.members.keys().copied()).collect();
        tokio::spawn(async move {
            let mut known = Known::default();
            if lacks {
                let pull = async {
                    let Some((there, _)) = shared.read_room(room).await? else { return Ok(()) };
                    while last < there.last {
                        metrics::counter!("parlance_log_reads_total").increment(1);
                        let range = Range { from: last + 1, to: there.last, limit: PAGE_MAX, backwards: false };
                        let entries = shared.store.entries(room, range).await?;
                        if entries.first().is_none_or(|entry| entry.seq != last + 1) {
                            return Err(not_all());
                        }
                        last = entries.last().map_or(last, |entry| entry.seq);
                        let _ = me.cast(Msg::Pulled(entries));
                    }
                    Ok(())
                };
                known.pulled = Some(guarded(pull).await);
            }
            if let From::Position(Some(position)) = wish.from
                && position.append.is_some()
                && position.seq > 0
            {
                metrics::counter!("parlance_log_reads_total").increment(1);
                let entry = guarded(shared.entry(room, position.seq)).await;
                known.append = Some(entry.map(|entry| entry.map(|entry| entry.append)));
            }
            if wish.link.wire.looks_around() {
                let filled = guarded(shared.names.fill(shared.store.as_ref(), members.into_iter())).await;
                if let Err(error) = filled {
                    tracing::info!(%room, %error, "names of members are not known yet");
                }
            }
            let _ = me.cast(Msg::Prepared(Box::new((wish, known))));
        });
    }

    /// Takes entries that were read for a subscription, as far as they are new.
    pub(super) fn pulled(&mut self, me: &ActorRef<Msg>, entries: &[Arc<Entry>]) {
        if self.broken.is_some() {
            return;
        }
        let next = self.last() + 1;
        let new = &entries[entries.partition_point(|entry| entry.seq < next)..];
        if new.first().is_some_and(|entry| entry.seq == next) {
            self.deliver(me, new);
        }
    }

    /// What a subscription needs was read: it is answered, and those of the session that wait behind it.
    pub(super) fn prepared(&mut self, me: &ActorRef<Msg>, wish: Wish, known: &Known) {
        let session = wish.link.id;
        let behind = self.preparing.remove(&session).unwrap_or_default();
        self.answer_subscription(wish, known);
        let mut behind = behind.into_iter();
        while let Some(next) = behind.next() {
            self.subscription(me, next);
            if let Some(queue) = self.preparing.get_mut(&session) {
                queue.extend(behind);
                return;
            }
        }
    }

    fn answer_subscription(&mut self, wish: Wish, known: &Known) {
        let Wish { link, from, asker } = wish;
        let shut = self.broken.is_some() || self.off || matches!(known.pulled, Some(Err(_)));
        let answer = if shut { Err(unreadable()) } else { self.subscribe(link, from, known) };
        asker.answer(answer);
    }
}

/// The store was read where it doesn't show what is certainly in the log.
pub(super) fn not_all() -> StoreError {
    StoreError::Unavailable("the log does not show all of its entries".to_owned())
}
