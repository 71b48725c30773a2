//! Doing what a room's writer wants done. Nothing here waits: what is read or written is done by tasks, and by the store, and
//! comes back to the Room as a message.

use std::time::Duration;

use parlance_domain::room::writer::{self, Appended, BatchId, Effect, Found, Input, LookupId, Wanted};
use parlance_schema::{Code, Fault, MessageId, RoomId, Seq};
use ractor::ActorRef;
use tokio::time::Instant;

use super::actor::{Ask, Handed, Msg, State};
use super::reader::{encode_state, guarded};
use super::reply::ReplyTo;
use crate::ports::bus::RoomEvent;
use crate::ports::store::{Answer, Append, AppendError, IdKind, StoreError};

/// How long a room that is to go waits for its append to end.
const APPEND_MAX: Duration = Duration::from_secs(1);

/// Tells the Room what became of something.
fn came(me: &ActorRef<Msg>, input: Input<ReplyTo>) -> bool {
    me.cast(Msg::Came(Box::new(input))).is_ok()
}

impl State {
    pub(super) fn perform(&mut self, me: &ActorRef<Msg>, effect: Effect<ReplyTo>) {
        match effect {
            Effect::LookUp(id, wanted) => self.look_up(me, id, wanted),
            Effect::Append(id, append) => self.append(me, id, append),
            Effect::Reread { id, doubt, pairs, pause_ms } => self.reread(me, id, doubt, pairs, pause_ms),
            Effect::Publish(entries) => self.shared.announce(self.room, &entries),
            Effect::PublishLast(last) => self.shared.bus.publish_room(self.room, RoomEvent::Last(last)),
            Effect::PublishAgain(last, append) => {
                let (shared, room) = (self.shared.clone(), self.room);
                tokio::spawn(async move { shared.announce_last(room, last, append).await });
            }
            Effect::Reply(reply, outcome) => reply.send(outcome),
            Effect::Audit(by, word) => self.shared.audit(by, self.room, word),
            Effect::FetchIds => {
                let (shared, me) = (self.shared.clone(), me.clone());
                tokio::spawn(async move {
                    let id = guarded(shared.ids.next(IdKind::Message)).await;
                    came(&me, Input::Ids(id.ok().map(MessageId::new)));
                });
            }
            Effect::KeepSnapshot(state) => {
                let (shared, room, last) = (self.shared.clone(), self.room, state.last);
                let Some(bytes) = encode_state(&state) else { return };
                tokio::spawn(async move {
                    if let Err(error) = shared.store.save_snapshot(room, last, bytes).await {
                        tracing::info!(%room, %error, "snapshot not kept");
                    }
                });
            }
            Effect::Sleep => drop(self.is_sent_for(me)),
            Effect::StepDown => {
                tracing::info!(room = %self.room, "another node writes to this room: leaving it to it");
                metrics::counter!("parlance_steps_down_total").increment(1);
                if !self.is_sent_for(me) {
                    self.step(me, Input::NobodyComes);
                }
            }
            Effect::AwaitOverdue => {
                me.send_after(APPEND_MAX, || Msg::Came(Box::new(Input::Overdue)));
            }
            Effect::Unlist => {
                self.rooms.forget(self.room, me.get_id());
                came(me, Input::Farewell);
            }
            Effect::HandBack(handed) => self.hand_back(handed),
            Effect::Stop => {
                self.tenancy.end();
                me.stop(None);
            }
        }
    }

    fn look_up(&self, me: &ActorRef<Msg>, id: LookupId, wanted: Wanted) {
        let (shared, room, me) = (self.shared.clone(), self.room, me.clone());
        tokio::spawn(async move {
            let started = Instant::now();
            let found = guarded(async { Ok(shared.look_up(room, &wanted).await) }).await;
            metrics::histogram!("parlance_room_lookup_seconds").record(started.elapsed().as_secs_f64());
            came(&me, Input::Found(id, Box::new(found.unwrap_or_else(|_| Found::unread(&wanted)))));
        });
    }

    fn append(&mut self, me: &ActorRef<Msg>, id: BatchId, append: writer::Append) {
        let writer::Append { tenant, expected, entries, snapshot, messages, members, erase } = append;
        let snapshot = snapshot.and_then(|state| encode_state(&state));
        let (shared, room, me, started) = (self.shared.clone(), self.room, me.clone(), Instant::now());
        let written = entries.clone();
        let answer = Answer::new(move |outcome| {
            shared.meters.append_seconds.record(started.elapsed().as_secs_f64());
            let landed = outcome.is_ok();
            // A Room that died meanwhile tells nobody, and the next one may have read the log before this.
            if !came(&me, Input::Appended(id, appended(room, outcome))) && landed {
                shared.announce(room, &written);
            }
        });
        let (fence, mark) = (self.tenancy.fence(expected), self.tenancy.mark());
        let sent = entries.clone();
        let append = Append { room, tenant, expected, entries, snapshot, messages, members, erase, fence, mark };
        self.tenancy.sent();
        self.sent = Some((id, sent));
        self.shared.store.clone().submit(append, answer);
    }

    fn reread(
        &mut self,
        me: &ActorRef<Msg>,
        id: BatchId,
        doubt: Option<(Seq, u64)>,
        pairs: Vec<(usize, Seq)>,
        pause_ms: u64,
    ) {
        if doubt.is_none() {
            went_on(self.room);
        }
        let (shared, room, me) = (self.shared.clone(), self.room, me.clone());
        // Another node may have taken this one for gone, and removed its mark: it is there again before the next append.
        let marking = self.tenancy.marking();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            let found = guarded(async {
                marking.write().await?;
                shared.reread(room, doubt, pairs).await
            });
            match found.await {
                Ok(found) => drop(me.cast(Msg::Reread(id, Box::new(found)))),
                Err(error) => {
                    tracing::warn!(%room, %error, "the log can't be read");
                    came(&me, Input::Reread(id, None));
                }
            }
        });
    }

    /// Has somebody come for what waits here; says whether they will.
    fn is_sent_for(&self, me: &ActorRef<Msg>) -> bool {
        self.rooms.is_listed(self.room, me.get_id()) && self.rooms.end_room(self.room)
    }

    fn hand_back(&mut self, handed: Vec<(Ask, bool)>) {
        // What came by way of a lane goes back to it.
        let own = handed.into_iter().filter_map(|(mut ask, unsure)| {
            let lane = if unsure { ask.reply.lost() } else { ask.reply.moved() };
            (!lane).then_some(Handed { ask, unsure })
        });
        let own: Vec<Handed> = own.collect();
        let Some(back) = self.back.take() else {
            return own.into_iter().for_each(|handed| self.rooms.route(self.room, handed.ask));
        };
        // Where nobody waits for them any more, later ones have gone on: these must not follow.
        for late in back.send(own).err().unwrap_or_default() {
            let fault = if late.unsure {
                Fault::new(
                    Code::OutcomeUnknown,
                    "the room moved to another server while this was being saved: send it again with the same `client_id` (over REST, the same `Idempotency-Key`) to find out whether it was done",
                )
            } else {
                Fault::busy(
                    "the server didn't do your request, as this room is being moved to another server: send the request again later",
                )
            };
            late.ask.reply.send(Err(fault));
        }
    }
}

fn went_on(room: RoomId) {
    metrics::counter!("parlance_append_conflicts_total").increment(1);
    tracing::info!(%room, "the log went on without us: reading it again");
}

/// What an append's outcome is to the writer.
fn appended(room: RoomId, outcome: Result<(), AppendError>) -> Appended {
    match outcome {
        Ok(()) => Appended::Done,
        Err(AppendError::Conflict { .. }) => {
            went_on(room);
            Appended::WentOn
        }
        Err(AppendError::Duplicate(pairs)) => Appended::Duplicate(pairs),
        Err(AppendError::Fenced) => Appended::Fenced,
        Err(AppendError::Store(error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_)))) => {
            tracing::warn!(%room, %error, "store refused");
            Appended::Refused
        }
        Err(AppendError::Store(StoreError::Unknown(reason))) => {
            tracing::warn!(%room, reason, "append in doubt: reading the log");
            Appended::Unknown
        }
    }
}
