//! A Session: one connection's state, beside the path of its deliveries.
//!
//! Owns: which rooms are pushed, the rate limit, the status. Receives: requests, notices for its user. Emits: commands to
//! rooms, questions to relays, replies. Stops: with its connection. Restarted by [`crate::sessions`] on the same connection:
//! relays keep its positions, the link its requests in flight, which the new one answers as "send it again".

use std::sync::Arc;

use parlance_domain::rate::Rate;
use parlance_schema::event::{Ephemeral, Notice, Status};
use parlance_schema::frame::{Answer, Push, ReplyOutcome, Request};
use parlance_schema::id::Position;
use parlance_schema::limits::{RESUME_ROOMS_MAX, ROOMS_PER_USER_MAX};
use parlance_schema::op::Op;
use parlance_schema::view::{Outcome, Resumed};
use parlance_schema::{Code, Fault, RoomId};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use crate::link::{Link, ticks};
use crate::node::Shared;
use crate::ops::{self, Plan};
use crate::ports::bus::{RoomEvent, Subscription};
use crate::relay::{self, From};
use crate::room::{Ask, ReplyTo};

/// What a Session can be told.
pub(crate) enum Msg {
    /// The client asks for something.
    Request(Box<Request>),
    /// The user's sessions are told something.
    Notice(Notice),
    /// A resume or a subscription was answered by all its relays.
    Resumed(Vec<Resumed>, Option<u64>),
    /// The outbox has room again.
    Drained,
    /// The socket is gone.
    Closed,
    /// Panics; for tests of supervision.
    Crash,
    /// Shows its state.
    Picture(oneshot::Sender<serde_json::Value>),
}

/// The Session actor.
pub(crate) struct Session;

/// What a Session starts with.
pub(crate) struct Args {
    pub(crate) shared: Arc<Shared>,
    pub(crate) link: Arc<Link>,
    /// Whether it takes a crashed one's place.
    pub(crate) again: bool,
}

/// A Session's state.
pub(crate) struct State {
    shared: Arc<Shared>,
    link: Arc<Link>,
    /// The rooms that are pushed.
    rooms: Vec<RoomId>,
    /// Rooms that the user became a member of while the client has not said yet where it is.
    early: Vec<RoomId>,
    rate: Rate,
    _bus: Subscription,
}

impl Actor for Session {
    type Msg = Msg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, me: ActorRef<Msg>, args: Args) -> Result<State, ActorProcessingErr> {
        let Args { shared, link, again } = args;
        let sink = {
            let me = me.clone();
            Arc::new(move |notice| drop(me.cast(Msg::Notice(notice))))
        };
        let bus = shared.bus.subscribe_user(link.principal.user, sink);
        shared.presence.join(link.principal.user, link.id);
        let mut state = State { shared, link, rooms: Vec::new(), early: Vec::new(), rate: Rate::default(), _bus: bus };
        if again {
            state.take_over(&me);
        }
        Ok(state)
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Request(request) => state.request(&me, *request),
            Msg::Notice(Notice::RoomAdded { room }) => state.added(&me, room),
            Msg::Notice(Notice::Revoked { before }) => state.revoked(before),
            Msg::Resumed(resumed, n) => state.resumed(&me, resumed, n),
            Msg::Drained => state.each_relay(|session| relay::Msg::CatchUp { session }),
            Msg::Closed => {
                state.end();
                me.stop(None);
            }
            #[expect(clippy::panic, reason = "this is what the message is for")]
            Msg::Crash => panic!("a session was told to crash"),
            Msg::Picture(reply) => drop(reply.send(state.picture())),
        }
        Ok(())
    }
}

impl State {
    /// Goes on where a crashed Session ended.
    fn take_over(&mut self, me: &ActorRef<Msg>) {
        if self.link.is_closed() {
            let _ = me.cast(Msg::Closed);
            return;
        }
        self.rooms = self.shared.relays.rooms_of_session(self.link.id);
        self.link.abandon(&Fault::new(Code::OutcomeUnknown, "the session was restarted; send it again").after(50));
        self.each_relay(|session| relay::Msg::CatchUp { session });
        if self.link.has_resumed() {
            self.look_for_new_rooms(me);
        }
    }

    /// Finds the rooms that the user became a member of while no Session listened.
    fn look_for_new_rooms(&self, me: &ActorRef<Msg>) {
        let (shared, link, me, known) = (self.shared.clone(), self.link.clone(), me.clone(), self.rooms.clone());
        tokio::spawn(async move {
            match shared.store.rooms_of(link.principal.user).await {
                Ok(rooms) => {
                    for room in rooms.into_iter().filter(|room| !known.contains(room)) {
                        let _ = me.cast(Msg::Notice(Notice::RoomAdded { room }));
                    }
                }
                // A client that comes back is told of all its rooms.
                Err(error) => link.close_for(&ops::unavailable(error)),
            }
        });
    }

    fn each_relay(&self, msg: impl Fn(u64) -> relay::Msg) {
        for room in &self.rooms {
            self.shared.relays.tell_open(*room, msg(self.link.id));
        }
    }

    fn end(&mut self) {
        self.each_relay(|session| relay::Msg::Unsubscribe { session });
        self.shared.presence.leave(self.link.principal.user, self.link.id);
        self.shared.sessions.forget(self.link.id);
    }

    fn reply(&self, n: u64, outcome: Result<Answer, Fault>) {
        let outcome = match outcome {
            Ok(answer) => ReplyOutcome::Ok(Box::new(answer)),
            Err(fault) => ReplyOutcome::Fault(fault),
        };
        self.link.reply(n, &outcome);
    }

    fn request(&mut self, me: &ActorRef<Msg>, Request { n, op }: Request) {
        metrics::counter!("parlance_requests_total").increment(1);
        if let Err(wait) = self.rate.take(ticks(), self.shared.options.commands_per_s) {
            return self.reply(n, Err(Fault::new(Code::RateLimited, "too many requests").after(wait)));
        }
        match op {
            Op::Ping => self.reply(n, Ok(Answer::Empty {})),
            Op::Resume { positions } if positions.len() > RESUME_ROOMS_MAX => {
                self.reply(n, Err(Fault::invalid(format!("a resume names at most {RESUME_ROOMS_MAX} rooms"))));
            }
            Op::Resume { positions } => self.resume(me, n, positions.into_iter().collect()),
            Op::Token { token } => self.renew(n, token),
            Op::Presence { status: Status::Offline } => {
                self.reply(n, Err(Fault::invalid("one is offline by disconnecting")));
            }
            Op::Presence { status } => {
                self.shared.presence.set(self.link.principal.user, self.link.id, status);
                self.reply(n, Ok(Answer::Empty {}));
            }
            Op::Typing { room, on } if self.rooms.contains(&room) => {
                let event = Ephemeral::Typing { room, user: self.link.principal.user, on };
                self.shared.bus.publish_room(room, RoomEvent::Ephemeral(event));
                self.reply(n, Ok(Answer::Empty {}));
            }
            op => self.perform(n, op),
        }
    }

    /// Gives a room its command at once, so that commands keep their order; has everything else done beside.
    fn perform(&self, n: u64, op: Op) {
        match ops::plan(op) {
            Err(fault) => self.reply(n, Err(fault)),
            Ok(Plan::Command { room, client_id, command }) => {
                let client_id = client_id.unwrap_or_else(|| ops::fresh_client_id(&self.shared));
                let reply = ReplyTo::link(self.link.clone(), n);
                let ask = Ask { who: self.link.principal, client_id, command, reply };
                self.shared.rooms.ask(&self.shared, room, ask);
            }
            Ok(Plan::Other(op)) => {
                let (shared, link) = (self.shared.clone(), self.link.clone());
                tokio::spawn(async move {
                    let outcome = match ops::perform(&shared, link.principal, op).await {
                        Ok(answer) => ReplyOutcome::Ok(Box::new(answer)),
                        Err(fault) => ReplyOutcome::Fault(fault),
                    };
                    link.reply(n, &outcome);
                });
            }
        }
    }

    fn renew(&self, n: u64, token: String) {
        let (shared, link) = (self.shared.clone(), self.link.clone());
        tokio::spawn(async move {
            let outcome = match shared.authority.check(&token).await {
                Ok((principal, expires)) if principal == link.principal => {
                    link.renew(expires);
                    ReplyOutcome::Ok(Box::new(Answer::Empty {}))
                }
                Ok(_) => ReplyOutcome::Fault(Fault::forbidden("the token is another user's, or of another role")),
                Err(fault) => ReplyOutcome::Fault(fault),
            };
            link.reply(n, &outcome);
        });
    }

    /// Subscribes to all of the user's rooms, each from the client's position.
    fn resume(&self, me: &ActorRef<Msg>, n: u64, positions: Vec<(RoomId, Position)>) {
        let (shared, link, me) = (self.shared.clone(), self.link.clone(), me.clone());
        tokio::spawn(async move {
            match subscribe_all(&shared, &link, positions).await {
                Ok(resumed) => drop(me.cast(Msg::Resumed(resumed, Some(n)))),
                Err(fault) => link.reply(n, &ReplyOutcome::Fault(fault)),
            }
        });
    }

    /// Tells the client where each room stands, then lets the entries come.
    fn resumed(&mut self, me: &ActorRef<Msg>, resumed: Vec<Resumed>, n: Option<u64>) {
        let live: Vec<RoomId> = resumed.iter().filter(|r| r.outcome != Outcome::Gone).map(|r| r.room).collect();
        match n {
            Some(n) => {
                self.link.set_resumed();
                self.reply(n, Ok(Answer::Resumed { resumed }));
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
            self.shared.relays.tell_open(room, relay::Msg::Go { session: self.link.id });
        }
        for room in std::mem::take(&mut self.early) {
            self.added(me, room);
        }
    }

    /// The user is a member of a room now: its entries come from the one that says so.
    fn added(&mut self, me: &ActorRef<Msg>, room: RoomId) {
        if !self.link.has_resumed() {
            // The answer to a resume on its way may have been made up without this room.
            if self.early.len() < ROOMS_PER_USER_MAX && !self.early.contains(&room) {
                self.early.push(room);
            }
            return;
        }
        let (shared, link, me) = (self.shared.clone(), self.link.clone(), me.clone());
        tokio::spawn(async move {
            match subscribe(&shared, &link, room, From::Joining).await {
                Ok(resumed) => drop(me.cast(Msg::Resumed(vec![resumed], None))),
                // The client finds the room at its next resume.
                Err(fault) => tracing::warn!(%room, session = link.id, %fault, "a new room can't be pushed"),
            }
        });
    }

    fn revoked(&self, before: u64) {
        // Whether this connection's token is one of those, only the authority knows; a client with a good one comes back.
        tracing::info!(session = self.link.id, before, "tokens were revoked");
        self.link.close_for(&Fault::new(Code::Revoked, "tokens were revoked"));
    }

    fn picture(&self) -> serde_json::Value {
        serde_json::json!({
            "user": self.link.principal.user,
            "rooms": self.rooms.len(),
            "resumed": self.link.has_resumed(),
            "in_flight": self.link.in_flight(),
            "outbox_bytes": self.link.queued_bytes(),
            "behind": self.link.is_behind(),
        })
    }
}

async fn subscribe_all(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    positions: Vec<(RoomId, Position)>,
) -> Result<Vec<Resumed>, Fault> {
    let rooms = shared.store.rooms_of(link.principal.user).await.map_err(ops::unavailable)?;
    let mut wanted: Vec<(RoomId, Option<Position>)> = positions.into_iter().map(|(r, p)| (r, Some(p))).collect();
    let named: std::collections::HashSet<RoomId> = wanted.iter().map(|(room, _)| *room).collect();
    wanted.extend(rooms.into_iter().filter(|room| !named.contains(room)).map(|room| (room, None)));
    let mut answers = Vec::with_capacity(wanted.len());
    for (room, position) in wanted {
        answers.push(ask_relay(shared, link, room, From::Position(position))?);
    }
    let mut resumed = Vec::with_capacity(answers.len());
    for answer in answers {
        resumed.push(answer.await.map_err(|_| restarting())??);
    }
    Ok(resumed)
}

async fn subscribe(shared: &Arc<Shared>, link: &Arc<Link>, room: RoomId, from: From) -> Result<Resumed, Fault> {
    ask_relay(shared, link, room, from)?.await.map_err(|_| restarting())?
}

fn ask_relay(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    room: RoomId,
    from: From,
) -> Result<oneshot::Receiver<Result<Resumed, Fault>>, Fault> {
    let (back, answer) = oneshot::channel();
    shared.relays.tell(shared, room, relay::Msg::Subscribe { link: link.clone(), from, back })?;
    Ok(answer)
}

fn restarting() -> Fault {
    Fault::busy("a relay was restarted; try again").after(50)
}
