//! After an append that came to nothing or is in doubt, or a refusal by what is past: what the log says decides.

use std::time::Duration;

use parlance_schema::{Code, Fault, Seq};
use ractor::ActorRef;

use super::actor::{Msg, Reread, State};
use super::batch::{self, Batch};
use crate::ports::store::StoreError;
use crate::room::guarded;

impl State {
    /// Reads the log to learn what it says, and whether the append is in it.
    pub(super) fn read_again(&mut self, me: &ActorRef<Msg>, pairs: Vec<(usize, Seq)>) {
        let Some(batch) = &self.batch else { return };
        let (shared, room, me) = (self.shared.clone(), self.room, me.clone());
        let (first, append_id) = batch.first_sent();
        let pause = Duration::from_millis(u64::from(self.refused.saturating_sub(1).min(20)) * 10);
        let marking = self.tenancy.marking();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let found = guarded(async {
                let marked = marking.write().await;
                marked.and(shared.reread(room, first, append_id, pairs).await)
            });
            let found = found.await;
            let _ = me.cast(Msg::Reread(Box::new(found)));
        });
    }

    /// The log has an entry of which this room does not know.
    pub(super) fn went_on(&mut self, me: &ActorRef<Msg>, last: Seq) {
        self.refused += 1;
        metrics::counter!("parlance_append_conflicts_total").increment(1);
        tracing::info!(room = %self.room, last, refused = self.refused, "the log went on without us: reading it again");
        self.read_again(me, Vec::new());
    }

    pub(super) async fn reread(&mut self, me: &ActorRef<Msg>, found: Result<Reread, StoreError>) {
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.give_up_unknown(me, &error),
        };
        self.folded = found.folded;
        self.tenancy.read(found.end);
        self.targets.clear();
        let Some(batch) = self.batch.take() else { return };
        if found.landed {
            let entries = batch.entries();
            self.batch = Some(batch);
            return self.settle(&entries);
        }
        for (at, entry) in found.found {
            if let (Some(at), Some(entry)) = (batch.of_entry(at), entry) {
                let ask = batch.ask(at);
                self.remember(ask.who.user, ask.client_id.clone(), batch::done(self.room, &entry));
            }
        }
        self.moderated.clear();
        if let Some(folded) = &self.folded {
            // What others wrote may have been an owner's who could not tell anybody.
            let (shared, room, last, append) = (self.shared.clone(), self.room, folded.last, folded.last_append);
            tokio::spawn(async move { shared.announce_last(room, last, append).await });
        }
        // The log has grown, so that fewer may fit the bucket now: the rest waits, in order.
        self.put_back(batch);
        // Two who contend starve each other: after the second time the room's home has it.
        if !self.steps_down(me) {
            self.next_batch(me).await;
        }
    }

    /// Has a batch's commands wait again, before all others.
    pub(super) fn put_back(&mut self, batch: Batch) {
        for ask in batch.into_asks().into_iter().rev() {
            self.waiting.push_front(ask);
        }
    }

    /// The store certainly did nothing. The state is ahead of the log, so the room sleeps, and wakes from the store.
    pub(super) fn give_up(&mut self, me: &ActorRef<Msg>, error: &StoreError) {
        tracing::warn!(room = %self.room, %error, "store refused");
        self.dismiss(me, &refused());
    }

    pub(super) fn give_up_unknown(&mut self, me: &ActorRef<Msg>, error: &StoreError) {
        tracing::warn!(room = %self.room, %error, "the log can't be read");
        self.dismiss(me, &unknown());
    }

    pub(super) fn dismiss(&mut self, me: &ActorRef<Msg>, fault: &Fault) {
        let batch = self.batch.take().map(Batch::into_asks).unwrap_or_default();
        for ask in batch.into_iter().chain(self.waiting.drain(..)) {
            ask.reply.send(Err(fault.clone()));
        }
        if !std::mem::replace(&mut self.dismissed, true) {
            // Nothing was done of what is still on its way here: it is told so before the end.
            self.rooms.forget(self.room, me.get_id());
            let _ = me.cast(Msg::Farewell);
        }
    }
}

/// What an append is to those who wait for it, of which the store doesn't say what became.
pub(super) fn unknown() -> Fault {
    Fault::new(Code::OutcomeUnknown, "the store does not say whether this was done")
}

/// What the store's failure is to those who wait.
pub(super) fn refused() -> Fault {
    Fault::store_unavailable("the store can't take this now")
}
