//! Sessions: looks after all connections of this node, their heartbeats and deadlines, and gives a crashed Session's
//! connection a new one.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, ActorStatus, SupervisionEvent};
use tokio::sync::watch;
use tokio::time::Instant;

use super::actor::Msg as SessionMsg;
use super::registry::Registry;
use super::reply_deadlines::{LOOK_MS, answer_late};
use crate::link::{Link, ticks};
use crate::ports::bus::BusState;
use crate::supervise;

/// The supervisor of all sessions.
pub(crate) struct Sessions;

/// What Sessions can be told.
pub(crate) enum Msg {
    /// Looks after heartbeats, slow clients, expired tokens, and the log of refused requests.
    Tick,
    /// Answers requests that wait too long, and has some sessions look whether they missed news.
    EverySecond,
}

/// How often all sessions look whether they missed news, which other nodes told.
const ROUND: Duration = Duration::from_secs(60);
/// Over how many seconds such a round is spread.
const ROUND_S: usize = 20;

/// Sessions' state.
pub(crate) struct State {
    sessions: Arc<Registry>,
    /// Sessions that have not looked yet in this round, and how many do at a time.
    due: Vec<u64>,
    at_once: usize,
    began: Instant,
    bus: watch::Receiver<BusState>,
}

impl State {
    /// Has the next sessions look; a round begins when it is time, and when the bus was away.
    fn sweep(&mut self) {
        if self.sessions.node.shared.cluster.is_single_node() {
            return;
        }
        let anew = self.bus.has_changed().unwrap_or(false);
        if anew || self.began.elapsed() >= ROUND {
            self.bus.mark_unchanged();
            self.began = Instant::now();
            self.due = self.sessions.all().iter().map(|(link, _)| link.id).collect();
            self.at_once = self.due.len().div_ceil(ROUND_S);
        }
        for session in self.due.split_off(self.due.len().saturating_sub(self.at_once)) {
            if let Some(actor) = self.sessions.get(session) {
                let _ = actor.cast(SessionMsg::Sweep);
            }
        }
    }
}

impl Actor for Sessions {
    type Msg = Msg;
    type State = State;
    type Arguments = Arc<Registry>;

    async fn pre_start(&self, me: ActorRef<Msg>, sessions: Arc<Registry>) -> Result<State, ActorProcessingErr> {
        sessions.supervisor.set(me.get_cell());
        for (link, _) in sessions.all() {
            sessions.spawn(&link, true).map_err(|fault| fault.to_string())?;
        }
        let period = (sessions.node.shared.options.heartbeat_ms / 5).clamp(50, 5_000);
        me.send_interval(Duration::from_millis(period), || Msg::Tick);
        me.send_interval(Duration::from_millis(LOOK_MS), || Msg::EverySecond);
        let mut bus = sessions.node.shared.bus.state();
        bus.mark_unchanged();
        Ok(State { sessions, due: Vec::new(), at_once: 0, began: Instant::now(), bus })
    }

    async fn handle(&self, _: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        if let Msg::EverySecond = msg {
            answer_late(&state.sessions);
            state.sweep();
            return Ok(());
        }
        let State { sessions, .. } = &*state;
        let shared = &sessions.node.shared;
        let (now, wall) = (ticks(), shared.clock.now());
        let (mut queued, mut lagging) = (0, 0);
        let mut dead = Vec::new();
        let mut lines = sessions.refusals.lines();
        for (link, actor) in &sessions.all() {
            // One that dies while it starts has no supervisor yet who would be told.
            if actor.get_status() == ActorStatus::Stopped {
                dead.push(link.clone());
            }
            queued += link.outbox.queued_bytes();
            lagging += usize::from(link.outbox.is_lagging());
            link.look_after(&shared.options, now, wall);
            lines.add(link);
        }
        lines.end();
        for link in dead {
            restart(sessions, &link);
        }
        metrics::gauge!("parlance_outbox_bytes").set(queued as f64);
        metrics::gauge!("parlance_lagging_sessions").set(lagging as f64);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Msg>,
        event: SupervisionEvent,
        State { sessions, .. }: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let Some(who) = supervise::failed(&event) else { return Ok(()) };
        let found = sessions.sessions.iter().find(|slot| slot.1.get_id() == who).map(|slot| slot.0.clone());
        if let Some(link) = found {
            tracing::error!(session = link.id, event = %event, "session ended: a new one takes its connection");
            restart(sessions, &link);
        }
        Ok(())
    }
}

/// Gives a connection whose Session has ended a new one.
fn restart(sessions: &Arc<Registry>, link: &Arc<Link>) {
    metrics::counter!("parlance_restarts_total", "actor" => "session").increment(1);
    if let Err(fault) = sessions.spawn(link, true) {
        link.outbox.close_for(&fault);
    }
}
