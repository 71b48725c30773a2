//! What a connection is pushed: nothing until it has said where it is, then its rooms from there on, and new ones as its user
//! is taken into them.

use std::task::{Context, Waker};
use std::time::Duration;

use parlance_schema::frame::Answer;
use parlance_schema::id::Position;
use parlance_schema::limits::ROOMS_PER_USER_MAX;
use parlance_schema::push::Push;
use parlance_schema::view::{Outcome, Resumed};
use parlance_schema::{Code, RoomId};
use ractor::ActorRef;

use super::actor::{Msg, State};
use super::reply_deadlines::limit_operation;
use super::subscribe::{subscribe, subscribe_all};
use crate::link::ticks;
use crate::relay::From;
use crate::room::ReplyTo;

/// Between the last tries to have a new room pushed.
const LAST_PAUSE_MS: u64 = 5_000;

impl State {
    /// Subscribes to all of the user's rooms, each from the client's position.
    pub(super) fn resume(&self, me: &ActorRef<Msg>, reply: ReplyTo, positions: Vec<(RoomId, Position)>) {
        limit_operation(&reply, ticks());
        now_or_beside(subscribe_all(self.sessions.clone(), self.link.clone(), me.clone(), reply, positions));
    }

    /// Tells the client where each room stands, then lets the entries come.
    pub(super) fn resumed(&mut self, me: &ActorRef<Msg>, resumed: Vec<Resumed>, reply: Option<ReplyTo>) {
        let asked = reply.is_some();
        let live: Vec<RoomId> = resumed.iter().filter(|r| r.outcome != Outcome::Gone).map(|r| r.room).collect();
        match reply {
            Some(reply) => {
                if !reply.finish_in_time(Ok(Answer::Resumed { resumed })) {
                    // The client was told that nobody knows, and may have asked again: nothing comes of this one.
                    return;
                }
                self.link.liveness.set_resumed();
            }
            None => {
                for Resumed { room, epoch, from, outcome, .. } in resumed {
                    if outcome != Outcome::Gone {
                        self.link.push(&Push::RoomAdded { room, epoch, from });
                    }
                }
            }
        }
        for room in live {
            if !self.rooms.contains(&room) {
                self.rooms.push(room);
            }
            self.sessions.node.relays.start(room, self.link.id);
        }
        if asked {
            for room in std::mem::take(&mut self.missed) {
                self.added(me, room);
            }
        }
        // Of rooms that the user has left since, only the relays know.
        if self.rooms.len() > 2 * ROOMS_PER_USER_MAX {
            self.rooms = self.sessions.node.relays.rooms_of_session(self.link.id);
        }
    }

    /// The user is a member of a room now: its entries come from the one that says so.
    pub(super) fn added(&mut self, me: &ActorRef<Msg>, room: RoomId) {
        if !self.link.liveness.is_resumed() {
            // A resume that is under way may have read the user's rooms before.
            if !self.missed.contains(&room) && self.missed.len() < ROOMS_PER_USER_MAX {
                self.missed.push(room);
            }
            return;
        }
        let (sessions, link, me) = (self.sessions.clone(), self.link.clone(), me.clone());
        tokio::spawn(async move {
            // The relay may be restarting, or not have heard yet what the user was told.
            let mut pauses = [50, 200, 1_000, LAST_PAUSE_MS].into_iter();
            while !link.outbox.is_closed() {
                match subscribe(&sessions.node.relays, &link, room, From::Joining).await {
                    Ok(resumed) if resumed.outcome != Outcome::Gone => {
                        if me.cast(Msg::Resumed(vec![resumed], None)).is_err() {
                            sessions.node.relays.end_waiting(link.id);
                        }
                        return;
                    }
                    Err(fault) if fault.code == Code::Already => return,
                    outcome => {
                        // What must be sent first takes as long as the client takes.
                        let waits = matches!(&outcome, Err(fault) if fault.code == Code::Busy);
                        let Some(pause_ms) = pauses.next().or(waits.then_some(LAST_PAUSE_MS)) else {
                            // The client finds the room at its next resume.
                            tracing::info!(%room, session = link.id, ?outcome, "a new room can't be pushed");
                            return;
                        };
                        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                    }
                }
            }
        });
    }
}

/// Does something now where there is nothing to wait for, else in a task of its own.
fn now_or_beside(work: impl Future<Output = ()> + Send + 'static) {
    let mut work = Box::pin(work);
    if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        // There it is polled again, and woken when it can go on.
        tokio::spawn(work);
    }
}
