//! What an append came to, and reading the log again where that is in doubt.

use parlance_schema::view::Done;
use parlance_schema::{Fault, Seq};

use super::batch::{Batch, Fate};
use super::new_entry::done;
use super::{Appended, BatchId, Effect, Env, Phase, Reread, Writer, not_done, outcome_unknown, store_refused};

/// How long the pause before the log is read again grows with each conflict, and how often.
const PAUSE_MS: u64 = 10;
const PAUSES_MAX: u32 = 20;

impl<R> Writer<R> {
    pub(super) fn appended(&mut self, env: &Env<'_>, id: BatchId, outcome: Appended) {
        let batch = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Appending(batch) if batch.id == id => batch,
            // A late answer, to what is not waited for any more.
            other @ (Phase::Idle | Phase::Appending(_) | Phase::Rereading(..)) => {
                self.phase = other;
                return;
            }
        };
        match outcome {
            Appended::Done => self.succeed(env, batch),
            Appended::Refused => self.dismiss(Some(batch), &store_refused()),
            Appended::Unknown => {
                let mut batch = batch;
                batch.members.iter_mut().for_each(|member| member.doubt = Some(self.settled));
                self.read_again(Some(batch), Vec::new());
            }
            Appended::Fenced => self.read_again(Some(batch), Vec::new()),
            Appended::WentOn => {
                self.conflicts += 1;
                self.read_again(Some(batch), Vec::new());
            }
            Appended::Duplicate(pairs) => {
                self.conflicts += 1;
                self.read_again(Some(batch), pairs);
            }
        }
    }

    /// Others have written, while this writer had nothing in flight.
    pub(super) fn went_on(&mut self) {
        self.conflicts += 1;
        self.read_again(None, Vec::new());
    }

    fn read_again(&mut self, batch: Option<Batch<R>>, pairs: Vec<(usize, Seq)>) {
        let id = batch.as_ref().map_or_else(|| self.next_batch_id(), |batch| batch.id);
        let doubt = batch.as_ref().map(|batch| (batch.first(), batch.append));
        let pause_ms = u64::from(self.conflicts.saturating_sub(1).min(PAUSES_MAX)) * PAUSE_MS;
        self.effects.push_back(Effect::Reread { id, doubt, pairs, pause_ms });
        self.phase = Phase::Rereading(id, batch);
    }

    /// The append is in the log.
    fn succeed(&mut self, env: &Env<'_>, batch: Batch<R>) {
        self.settled = self.last();
        self.conflicts = 0;
        if batch.snapshot {
            self.snapshot_at = batch.last();
        }
        self.effects.push_back(Effect::Publish(batch.entries.clone()));
        self.ending.wrote(env.elapsed_ms);
        self.refusals.make_all_sure();
        self.record(batch.moderated);
        for member in batch.members {
            let outcome = match member.fate {
                Fate::Entry(_, done) => {
                    self.refusals.done(member.ask.who.user, &member.ask.client_id, &done);
                    self.recent.remember((member.ask.who.user, member.ask.client_id.clone()), done.clone());
                    done
                }
                Fate::Same(first) => Done { again: true, ..first },
            };
            self.reply(member.ask.reply, Ok(outcome));
        }
    }

    pub(super) fn reread(&mut self, env: &Env<'_>, id: BatchId, found: Option<Reread>) {
        let batch = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Rereading(of, batch) if of == id => batch,
            other @ (Phase::Idle | Phase::Appending(_) | Phase::Rereading(..)) => {
                self.phase = other;
                return;
            }
        };
        let Some(found) = found else { return self.dismiss(batch, &outcome_unknown()) };
        self.state = found.state;
        self.settled = self.last();
        self.targets.clear();
        self.lookups.restart();
        match batch {
            Some(batch) if found.landed => self.succeed(env, batch),
            batch => {
                if let Some(batch) = batch {
                    for (place, entry) in found.found {
                        let key = batch.key_of(place);
                        let named = |(by, client_id): &(_, _)| {
                            entry.as_ref().is_some_and(|entry| entry.by == *by && entry.client_id == *client_id)
                        };
                        if let (Some(key), Some(entry)) = (key.filter(named), &entry) {
                            self.recent.remember(key, done(self.room, entry));
                        }
                    }
                    batch.members.into_iter().for_each(|member| self.put_back(member.ticket, member.ask, member.doubt));
                }
                self.void_refusals();
                if let Some(state) = &self.state {
                    // What others wrote may have been an owner's who could not tell anybody.
                    self.effects.push_back(Effect::PublishAgain(state.last, state.last_append));
                }
                self.step_down_if_contended(env);
            }
        }
        self.release_all();
    }

    /// The room could not be read when it woke.
    pub(super) fn give_up(&mut self) {
        self.dismiss(None, &store_refused());
    }

    /// Answers everybody, and ends: the state may be ahead of the log, so the room sleeps, and wakes from the store.
    fn dismiss(&mut self, batch: Option<Batch<R>>, fault: &Fault) {
        for member in batch.into_iter().flat_map(|batch| batch.members) {
            let fault = not_done(member.doubt, fault.clone());
            self.reply(member.ask.reply, Err(fault));
        }
        self.answer_refused();
        for (ask, doubt) in self.take_all_that_waits() {
            let fault = not_done(doubt, store_refused());
            self.reply(ask.reply, Err(fault));
        }
        if !std::mem::replace(&mut self.ending.dismissed, true) {
            // Nothing was done of what is still on its way here: it is told so before the end.
            self.effects.push_back(Effect::Unlist);
        }
    }
}
