//! Sessions: the connections of this node, their heartbeats, and a new Session for a crashed one.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use parlance_domain::rate::Rate;
use parlance_schema::frame::ReplyOutcome;
use parlance_schema::limits::COMMAND_DEADLINE_MS;
use parlance_schema::{Code, Fault, TenantId};
use ractor::{Actor, ActorProcessingErr, ActorRef, ActorStatus, SupervisionEvent};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::forward;
use crate::link::{Link, Receiver, ticks};
use crate::mailbox::Counted;
use crate::node::Shared;
use crate::ops::{self, Plan};
use crate::ports::bus::BusState;
use crate::room::{Ask, ReplyTo};
use crate::session;
use crate::supervise::{self, Supervisor};
use crate::wire::{Opcode, frame};

/// The connections of this node.
#[derive(Default)]
pub(crate) struct Registry {
    sessions: DashMap<u64, (Arc<Link>, ActorRef<session::Msg>)>,
    supervisor: Supervisor,
}

impl Registry {
    /// Gives a connection its Session.
    ///
    /// # Errors
    /// While the node starts or stops.
    pub(crate) fn connect(shared: &Arc<Shared>, link: &Arc<Link>) -> Result<Box<dyn Receiver>, Fault> {
        let actor = Self::spawn(shared, link, false)?;
        // The Session does so too when it begins, but whoever is told of the connection may ask before.
        shared.presence.join(link.principal.user, link.id);
        metrics::gauge!("parlance_sessions").increment(1.0);
        Ok(Box::new(Socket { shared: shared.clone(), actor, rate: Rate::default() }))
    }

    fn spawn(shared: &Arc<Shared>, link: &Arc<Link>, again: bool) -> Result<ActorRef<session::Msg>, Fault> {
        let registry = &shared.sessions;
        let supervisor = registry.supervisor.get()?;
        let args = session::Args { shared: shared.clone(), link: link.clone(), again };
        // Spawned with the place held, so that one that ends at once is taken off after it was put on.
        let place = registry.sessions.entry(link.id);
        let actor = supervise::spawn(session::Session, args, supervisor)?;
        place.insert((link.clone(), actor.clone()));
        Ok(actor)
    }

    pub(crate) fn forget(&self, session: u64) {
        if self.sessions.remove(&session).is_some() {
            metrics::gauge!("parlance_sessions").decrement(1.0);
        }
    }

    /// The connections, in an order that doesn't depend on the table's hasher.
    pub(crate) fn all(&self) -> Vec<(Arc<Link>, ActorRef<session::Msg>)> {
        let mut all: Vec<_> = self.sessions.iter().map(|slot| slot.value().clone()).collect();
        all.sort_unstable_by_key(|(link, _)| link.id);
        all
    }

    pub(crate) fn get(&self, session: u64) -> Option<ActorRef<session::Msg>> {
        self.sessions.get(&session).map(|slot| slot.1.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Connections of a tenant's users.
    pub(crate) fn count(&self, tenant: TenantId) -> u64 {
        self.sessions.iter().filter(|slot| slot.0.principal.tenant == tenant).count() as u64
    }
}

/// What a socket hands its frames to: it limits the rate, gives rooms their commands, and the Session everything else.
struct Socket {
    shared: Arc<Shared>,
    actor: ActorRef<session::Msg>,
    rate: Rate,
}

impl Socket {
    /// Tells the Session something; the new one, where it has crashed.
    fn tell(&mut self, link: &Arc<Link>, msg: session::Msg) -> Result<(), session::Msg> {
        let Err(ractor::MessagingErr::SendErr(msg)) = self.actor.cast(msg) else { return Ok(()) };
        match self.shared.sessions.get(link.id) {
            Some(actor) if actor.get_id() != self.actor.get_id() => self.actor = actor,
            _ => return Err(msg),
        }
        match self.actor.cast(msg) {
            Err(ractor::MessagingErr::SendErr(msg)) => Err(msg),
            _ => Ok(()),
        }
    }
}

impl Receiver for Socket {
    fn message(&mut self, link: &Arc<Link>, text: bool, payload: &[u8]) {
        let request = match link.wire.decode(text, payload) {
            Ok(request) => request,
            Err((n, fault)) => return link.refuse(n, fault),
        };
        let n = request.n;
        let id = match link.begin(n) {
            Ok(id) => id,
            Err(fault) => return link.refuse(Some(n), fault),
        };
        let reply = ReplyTo::link(link.clone(), n, id);
        self.shared.meters.requests.increment(1);
        let now = ticks();
        if let Err(wait) = self.rate.take(now, self.shared.options.commands_per_s) {
            return reply.finish(Err(Fault::new(Code::RateLimited, "too many requests").after(wait)));
        }
        let op = match ops::plan(request.op) {
            Err(fault) => return reply.finish(Err(fault)),
            // The room gets it at once, so that commands keep their order and wait for nothing else.
            Ok(Plan::Command { room, client_id, command }) => {
                let client_id = client_id.unwrap_or_else(|| ops::fresh_client_id(&self.shared));
                reply.limit(now + COMMAND_DEADLINE_MS);
                let ask = Ask { who: link.principal, client_id, command, reply };
                return forward::route(&self.shared, room, ask);
            }
            Ok(Plan::Other(op)) => op,
        };
        let request = Counted::new(&self.shared.meters.session_mailbox, Box::new((op, reply)));
        if let Err(session::Msg::Request(request)) = self.tell(link, session::Msg::Request(request)) {
            request.take().1.finish(Err(Fault::new(Code::Busy, "the session is restarting").after(50)));
        }
    }

    fn drained(&mut self, link: &Arc<Link>) {
        if self.tell(link, session::Msg::Drained).is_err() {
            // The next Session catches all its rooms up when it starts.
            tracing::debug!(session = link.id, "drained while the session was restarting");
        }
    }

    fn closed(&mut self, link: &Arc<Link>) {
        // Where no Session is left to hear it, the next one finds the link closed.
        let _ = self.tell(link, session::Msg::Closed);
    }
}

/// The supervisor of all sessions.
pub(crate) struct Sessions;

/// What Sessions can be told.
pub(crate) enum Msg {
    /// Looks after heartbeats, slow clients, expired tokens, and commands that wait too long.
    Tick,
    /// Has some sessions look whether they missed news.
    Sweep,
}

/// How often all sessions look whether they missed news, which other nodes told.
const ROUND: Duration = Duration::from_secs(60);
/// Over how many seconds such a round is spread.
const ROUND_S: usize = 20;

/// Sessions' state.
pub(crate) struct State {
    shared: Arc<Shared>,
    /// Sessions that have not looked yet in this round, and how many do at a time.
    due: Vec<u64>,
    at_once: usize,
    began: Instant,
    bus: watch::Receiver<BusState>,
}

impl State {
    /// Has the next sessions look; a round begins when it is time, and when the bus was away.
    fn sweep(&mut self) {
        if self.shared.cluster.is_alone() {
            return;
        }
        let anew = self.bus.has_changed().unwrap_or(false);
        if anew || self.began.elapsed() >= ROUND {
            self.bus.mark_unchanged();
            self.began = Instant::now();
            self.due = self.shared.sessions.all().iter().map(|(link, _)| link.id).collect();
            self.at_once = self.due.len().div_ceil(ROUND_S);
        }
        for session in self.due.split_off(self.due.len().saturating_sub(self.at_once)) {
            if let Some(actor) = self.shared.sessions.get(session) {
                let _ = actor.cast(session::Msg::Sweep);
            }
        }
    }
}

impl Actor for Sessions {
    type Msg = Msg;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, me: ActorRef<Msg>, shared: Arc<Shared>) -> Result<State, ActorProcessingErr> {
        shared.sessions.supervisor.set(me.get_cell());
        for (link, _) in shared.sessions.all() {
            Registry::spawn(&shared, &link, true).map_err(|fault| fault.to_string())?;
        }
        let period = (shared.options.heartbeat_ms / 5).clamp(50, 5_000);
        me.send_interval(Duration::from_millis(period), || Msg::Tick);
        me.send_interval(Duration::from_secs(1), || Msg::Sweep);
        let mut bus = shared.bus.state();
        bus.mark_unchanged();
        Ok(State { shared, due: Vec::new(), at_once: 0, began: Instant::now(), bus })
    }

    async fn handle(&self, _: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        if let Msg::Sweep = msg {
            state.sweep();
            return Ok(());
        }
        let shared = &state.shared;
        let (now, wall) = (ticks(), shared.clock.now());
        let (mut queued, mut behind) = (0, 0);
        let mut dead = Vec::new();
        for (link, actor) in &shared.sessions.all() {
            // One that dies while it starts has no supervisor yet who would be told.
            if actor.get_status() == ActorStatus::Stopped {
                dead.push(link.clone());
            }
            queued += link.queued_bytes();
            behind += usize::from(link.is_behind());
            look_after(shared, link, now, wall);
        }
        for link in dead {
            restart(shared, &link);
        }
        metrics::gauge!("parlance_outbox_bytes").set(queued as f64);
        metrics::gauge!("parlance_behind_sessions").set(behind as f64);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Msg>,
        event: SupervisionEvent,
        State { shared, .. }: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let Some(who) = supervise::failed(&event) else { return Ok(()) };
        let found = shared.sessions.sessions.iter().find(|slot| slot.1.get_id() == who).map(|slot| slot.0.clone());
        if let Some(link) = found {
            tracing::error!(session = link.id, event = %event, "session ended: a new one takes its connection");
            restart(shared, &link);
        }
        Ok(())
    }
}

/// Gives a connection whose Session has ended a new one.
fn restart(shared: &Arc<Shared>, link: &Arc<Link>) {
    metrics::counter!("parlance_restarts_total", "actor" => "session").increment(1);
    if let Err(fault) = Registry::spawn(shared, link, true) {
        link.close_for(&fault);
    }
}

/// Pings a silent connection, closes a dead, a slow or an expired one, and answers for whoever keeps a command too long.
fn look_after(shared: &Shared, link: &Link, now: u64, wall: u64) {
    let options = &shared.options;
    for (n, id) in link.overdue(now) {
        let fault = Fault::new(Code::OutcomeUnknown, "no answer in time; the same client id again tells").after(1_000);
        link.reply(n, id, &ReplyOutcome::Fault(fault));
    }
    let silent = now.saturating_sub(link.last_heard());
    if link.expires() <= wall {
        link.close_for(&Fault::new(Code::TokenExpired, "the token has expired"));
    } else if silent > options.silence_ms {
        link.close_for(&Fault::new(Code::Silent, "nothing was heard for too long"));
    } else if link.stuck_since(now).is_some_and(|since| now.saturating_sub(since) > options.slow_close_ms) {
        metrics::counter!("parlance_slow_closed_total").increment(1);
        link.close_for(&Fault::new(Code::SlowConsumer, "nothing was read for too long; resume from your positions"));
    } else if silent > options.heartbeat_ms {
        link.push_ephemeral(&frame(Opcode::Ping, &[]));
    }
}
