//! GapProbe: asks for the last numbers of rooms that are relayed here, where something may be missing.
//!
//! Owns: the rooms that are to be asked for, together and paced. Receives: rooms from relays that begin; changes of the view and
//! of the bus. Emits: questions to rooms' homes, numbers to relays. Restarted by [`crate::node`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parlance_domain::placement;
use parlance_schema::node::{NodeId, View};
use parlance_schema::{RoomId, Seq};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::registries::Registries;
use super::responder::LAST_MAX;
use crate::ports::bus::{BusState, Question, Reply};

/// Between two rounds of questions, in milliseconds; a random half of it is left out.
const PACE_MS: u64 = 50;
/// How often all rooms that are relayed here are looked after, in case a number was lost on all other ways.
const ROUND: Duration = Duration::from_secs(60);
/// How long an answer may take.
const ASK: Duration = Duration::from_secs(2);

/// The GapProbe actor.
pub(crate) struct GapProbe;

/// What the GapProbe can be told.
pub(crate) enum Msg {
    /// Rooms are to be asked for.
    Due,
    /// It is time to.
    Ask,
    /// The answers are there.
    Asked,
    /// The nodes in view are others.
    Viewed,
    /// The bus is connected anew: what was published meanwhile is lost.
    Connected,
    /// Looks after all rooms.
    Round,
}

/// The GapProbe's state.
pub(crate) struct State {
    node: Arc<Registries>,
    view: Arc<View>,
    /// Whether a round of questions is due or on its way.
    busy: bool,
}

/// Tells the GapProbe that a round has ended, however it did.
struct Asked(ActorRef<Msg>);

impl Drop for Asked {
    fn drop(&mut self) {
        let _ = self.0.cast(Msg::Asked);
    }
}

impl Actor for GapProbe {
    type Msg = Msg;
    type State = State;
    type Arguments = Arc<Registries>;

    async fn pre_start(&self, me: ActorRef<Msg>, node: Arc<Registries>) -> Result<State, ActorProcessingErr> {
        let to = me.clone();
        node.relays.gap_checks.on_first(move || drop(to.cast(Msg::Due)));
        let (mut view, mut bus) = (node.shared.cluster.watch(), node.shared.bus.state());
        let now = view.borrow_and_update().clone();
        let connected = *bus.borrow_and_update();
        let to = me.clone();
        tokio::spawn(async move { while view.changed().await.is_ok() && to.cast(Msg::Viewed).is_ok() {} });
        let to = me.clone();
        tokio::spawn(async move {
            let mut before = connected;
            while bus.changed().await.is_ok() {
                let now = *bus.borrow_and_update();
                let anew = matches!(now, BusState::Connected(_)) && now != before;
                if anew && to.cast(Msg::Connected).is_err() {
                    break;
                }
                before = now;
            }
        });
        me.send_interval(ROUND, || Msg::Round);
        let _ = me.cast(Msg::Due);
        Ok(State { node, view: now, busy: false })
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Due => state.schedule(&me),
            Msg::Ask => state.ask(&me),
            Msg::Asked => {
                state.busy = false;
                state.schedule(&me);
            }
            Msg::Viewed => state.viewed(),
            Msg::Connected | Msg::Round if !state.node.shared.cluster.is_single_node() => {
                // Those that are at home here too: others may have thought otherwise for a while, and written to them.
                for room in state.node.relays.rooms() {
                    state.node.relays.gap_checks.request(room);
                    if let Msg::Connected = msg {
                        state.node.relays.reconnected(room);
                    }
                }
            }
            Msg::Connected | Msg::Round => {}
        }
        Ok(())
    }
}

impl State {
    fn schedule(&mut self, me: &ActorRef<Msg>) {
        if !self.busy && !self.node.relays.gap_checks.is_empty() {
            self.busy = true;
            let pause = PACE_MS / 2 + self.node.shared.random.bits() % (PACE_MS / 2);
            me.send_after(Duration::from_millis(pause), || Msg::Ask);
        }
    }

    fn ask(&self, me: &ActorRef<Msg>) {
        let mut by_home: BTreeMap<Option<NodeId>, Vec<RoomId>> = BTreeMap::new();
        for room in self.node.relays.gap_checks.take(LAST_MAX) {
            // A relay that is gone has nobody to tell.
            if self.node.relays.is_open(room) {
                by_home.entry(self.node.shared.cluster.elsewhere(room)).or_default().push(room);
            }
        }
        let (node, asked) = (self.node.clone(), Asked(me.clone()));
        tokio::spawn(async move {
            let questions = by_home.into_iter().map(|(home, rooms)| numbers(&node, home, rooms));
            for (room, last) in futures_util::future::join_all(questions).await.into_iter().flatten() {
                node.relays.heard_last(room, last);
            }
            drop(asked);
        });
    }

    /// Rooms that have moved: what their old home published last may have been lost, and their new one may have written.
    fn viewed(&mut self) {
        let now = self.node.shared.cluster.now();
        let before = std::mem::replace(&mut self.view, now.clone());
        fn home(room: RoomId, view: &View) -> Option<&NodeId> {
            placement::home(room, view.homes().map(|node| &node.id))
        }
        for room in self.node.relays.rooms() {
            if home(room, &before) != home(room, &now) {
                self.node.relays.gap_checks.request(room);
            }
        }
    }
}

/// Asks the home of some rooms for their last numbers, and the store where it doesn't answer.
async fn numbers(node: &Registries, home: Option<NodeId>, rooms: Vec<RoomId>) -> Vec<(RoomId, Seq)> {
    metrics::counter!("parlance_last_asked_total").increment(rooms.len() as u64);
    // Of a room that is at home here only the log tells whether somebody else wrote to it.
    let Some(home) = home else { return node.logged(rooms).await };
    match node.shared.bus.ask(&home, Question::Last { rooms: rooms.clone() }, ASK).await {
        Ok(Reply::Last(mut known)) => {
            let told: BTreeSet<RoomId> = known.iter().map(|(room, _)| *room).collect();
            let rest = rooms.into_iter().filter(|room| !told.contains(room)).collect();
            known.extend(node.last(rest).await);
            known
        }
        _ => node.last(rooms).await,
    }
}
