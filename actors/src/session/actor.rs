//! A Session: one connection's state, beside the path of its deliveries.
//!
//! Owns: which rooms are pushed, the status. Receives: requests other than commands to rooms, notices for its user. Emits:
//! questions to relays and the store, replies. Stops: with its connection. Restarted by [`super::supervisor`] on the same connection:
//! relays keep its positions, and requests that had not got further than the old one are answered with "send it again".

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parlance_schema::frame::Answer;
use parlance_schema::limits::RESUME_ROOMS_MAX;
use parlance_schema::notice::Notice;
use parlance_schema::op::Op;
use parlance_schema::user::Status;
use parlance_schema::view::Resumed;
use parlance_schema::{Code, Fault, RoomId};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::missed_notices;
use super::registry::Registry;
use super::reply_deadlines::in_time;
use crate::link::Link;
use crate::mailbox::Counted;
use crate::ops;
use crate::ports::bus::Subscription;
use crate::room::ReplyTo;

/// How long after tokens were revoked a connection's is looked at again; what an authority remembers is younger by then.
const REVOKED_AGAIN: Duration = Duration::from_secs(6);

/// What a Session can be told.
pub(crate) enum Msg {
    /// The client asks for something.
    Request(Counted<Box<(Op, ReplyTo)>>),
    /// The user's sessions are told something.
    Notice(Notice),
    /// A resume or a subscription was answered by all its relays.
    Resumed(Vec<Resumed>, Option<ReplyTo>),
    /// An operation that needed a look elsewhere was answered: the next may begin.
    Performed,
    /// The outbox has room again.
    Drained,
    /// The socket is gone.
    Closed,
    /// Looks whether news were missed.
    Sweep,
    /// Panics; for tests of supervision.
    Crash,
    /// Shows its state.
    Inspect(oneshot::Sender<serde_json::Value>),
}

/// The Session actor.
pub(crate) struct Session;

/// What a Session starts with.
pub(crate) struct Args {
    pub(crate) sessions: Arc<Registry>,
    pub(crate) link: Arc<Link>,
    /// Whether it takes a crashed one's place.
    pub(crate) again: bool,
}

/// Tells the Session that an operation has ended, however it did.
struct Performed(ActorRef<Msg>);

impl Drop for Performed {
    fn drop(&mut self) {
        let _ = self.0.cast(Msg::Performed);
    }
}

/// A Session's state.
pub(crate) struct State {
    pub(super) sessions: Arc<Registry>,
    pub(super) link: Arc<Link>,
    /// The rooms that are pushed.
    pub(super) rooms: Vec<RoomId>,
    /// Rooms that the user was taken into while it was not known where the client is.
    pub(super) missed: Vec<RoomId>,
    /// Operations that need a look elsewhere, one at a time, so that a client which asks for pages gets no more at once
    /// than its outbox holds.
    pub(super) waiting: VecDeque<(Op, ReplyTo)>,
    pub(super) performing: bool,
    pub(super) _bus: Subscription,
}

impl Actor for Session {
    type Msg = Msg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, me: ActorRef<Msg>, args: Args) -> Result<State, ActorProcessingErr> {
        let Args { sessions, link, again } = args;
        let sink = {
            let me = me.clone();
            Arc::new(move |notice| drop(me.cast(Msg::Notice(notice))))
        };
        let bus = sessions.node.shared.bus.subscribe_user(link.principal.user, sink);
        sessions.node.presence.join(&link.principal, link.id);
        let room = link.room;
        let mut state = State {
            sessions,
            link,
            rooms: Vec::from_iter(room),
            missed: Vec::new(),
            waiting: VecDeque::new(),
            performing: false,
            _bus: bus,
        };
        if again {
            state.take_over(&me);
        }
        Ok(state)
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Request(request) => {
                let (op, reply) = *request.take();
                state.request(&me, op, reply);
            }
            Msg::Notice(Notice::RoomAdded { room }) => state.added(&me, room),
            Msg::Notice(Notice::Status { status }) => {
                state.sessions.node.presence.set(state.link.principal.user, state.link.id, status);
            }
            Msg::Notice(Notice::Revoked { before }) => state.revoked(&me, before),
            Msg::Resumed(resumed, reply) => state.resumed(&me, resumed, reply),
            Msg::Performed => state.perform_next(&me),
            Msg::Sweep => state.sweep(&me),
            Msg::Drained => state.catch_up(),
            Msg::Closed => {
                state.end();
                me.stop(None);
            }
            #[expect(clippy::panic, reason = "this is what the message is for")]
            Msg::Crash => panic!("a session was told to crash"),
            Msg::Inspect(reply) => drop(reply.send(state.inspect())),
        }
        Ok(())
    }
}

impl State {
    /// Goes on where a crashed Session ended.
    fn take_over(&mut self, me: &ActorRef<Msg>) {
        if self.link.outbox.is_closed() {
            let _ = me.cast(Msg::Closed);
            return;
        }
        // A room that was being added would else count as one that is pushed already.
        self.sessions.node.relays.end_waiting(self.link.id);
        self.rooms = self.sessions.node.relays.rooms_of_session(self.link.id);
        self.catch_up();
        tokio::spawn(missed_notices::new_rooms(self.sessions.clone(), self.link.clone(), me.clone()));
    }

    fn catch_up(&self) {
        for room in &self.rooms {
            self.sessions.node.relays.catch_up(*room, self.link.id);
        }
    }

    fn end(&mut self) {
        for room in &self.rooms {
            self.sessions.node.relays.unsubscribe(*room, self.link.id);
        }
        self.sessions.node.presence.leave(self.link.principal.user, self.link.id);
        self.sessions.forget(self.link.id);
    }

    fn request(&mut self, me: &ActorRef<Msg>, op: Op, reply: ReplyTo) {
        match op {
            Op::Ping {} => reply.finish(Ok(Answer::Empty {})),
            Op::Resume { .. } if self.link.room.is_some() => {
                reply.finish(Err(Fault::invalid(
                    "this connection is for one room, and the server sends that room's events without being asked: don't send a resume request",
                )));
            }
            Op::Resume { positions } if positions.len() > RESUME_ROOMS_MAX => {
                reply.finish(Err(Fault::invalid(format!("`positions` must name at most {RESUME_ROOMS_MAX} rooms"))));
            }
            Op::Resume { positions } => self.resume(me, reply, positions.into_iter().collect()),
            Op::Token { token } => self.renew(reply, token),
            Op::Presence { status: Status::Offline } => {
                reply.finish(Err(Fault::invalid(
                    "the status can't be set to offline: close your connections to be offline",
                )));
            }
            Op::Presence { status } => {
                self.sessions.node.presence.set(self.link.principal.user, self.link.id, status);
                reply.finish(Ok(Answer::Empty {}));
            }
            op => {
                self.waiting.push_back((op, reply));
                if !self.performing {
                    self.perform_next(me);
                }
            }
        }
    }

    /// Has the next operation that waits done, once the outbox has room for its answer.
    fn perform_next(&mut self, me: &ActorRef<Msg>) {
        let next = self.waiting.pop_front();
        self.performing = next.is_some();
        let Some((op, reply)) = next else {
            self.waiting = VecDeque::new();
            return;
        };
        let (node, link) = (self.sessions.node.clone(), self.link.clone());
        let done = Performed(me.clone());
        tokio::spawn(async move {
            link.outbox.room_for_more().await;
            reply.finish(in_time(ops::perform(&node, link.principal, op)).await);
            drop(done);
        });
    }

    fn renew(&self, reply: ReplyTo, token: String) {
        let (shared, link) = (self.sessions.node.shared.clone(), self.link.clone());
        tokio::spawn(async move {
            let outcome = match shared.authority.check(&token, link.wire.index()).await {
                Ok((principal, expires)) if principal == link.principal => {
                    link.liveness.renew(expires);
                    if link.liveness.token().is_some() {
                        link.liveness.keep_token(&token);
                    }
                    Ok(Answer::Empty {})
                }
                Ok(_) => {
                    Err(Fault::forbidden("the new token is for another user or role: open a new connection with it"))
                }
                Err(fault) => Err(fault),
            };
            reply.finish(outcome);
        });
    }

    /// Tokens of the user's were revoked. Whether this connection's is one of those, only the authority knows.
    fn revoked(&self, me: &ActorRef<Msg>, before: u64) {
        tracing::info!(session = self.link.id, before, "tokens were revoked");
        if self.link.liveness.token().is_none() {
            return self.link.outbox.close_for(&Fault::new(
                Code::Revoked,
                "your access token was revoked: get a new one with your refresh token, or log in again",
            ));
        }
        self.sweep(me);
        // What the authority remembers may be as old as this news.
        me.send_after(REVOKED_AGAIN, || Msg::Sweep);
    }

    fn inspect(&self) -> serde_json::Value {
        serde_json::json!({
            "user": self.link.principal.user,
            "rooms": self.rooms.len(),
            "resumed": self.link.liveness.is_resumed(),
            "in_flight": self.link.requests.in_flight(),
            "outbox_bytes": self.link.outbox.queued_bytes(),
            "lagging": self.link.outbox.is_lagging(),
        })
    }
}
