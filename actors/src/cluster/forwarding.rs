//! Forwarding: the commands for rooms that are at home on another node, and those of rooms that are just moving, or falling
//! asleep.
//!
//! A room's commands from this node go through one **lane**, one batch at a time, so that their order stays, whatever must be
//! sent again and wherever the room moves meanwhile. Each has a client id: sent again, it is done once. A lane exists while
//! something is in it; a room that is at home here, and has none, is asked directly. A Room ends by way of a lane, which
//! takes what still waits in it first: else it would be overtaken by what wakes the next one, here or elsewhere.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::{Entry, VacantEntry};
use parlance_domain::room::weight;
use parlance_schema::fault::Retry;
use parlance_schema::limits::{APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, COMMAND_DEADLINE_MS, ROOM_QUEUE_MAX};
use parlance_schema::node::NodeId;
use parlance_schema::view::Done;
use parlance_schema::{Code, Fault, RoomId};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::feed;
use crate::ports::bus::{AskError, Asked, BusState, Question, Reply};
use crate::relay;
use crate::room::{self, Ask, Forward, Handed, Routed};
use crate::shared::Shared;

/// How long a command is tried: the client is answered before it is told that the outcome is unknown.
const TRY: Duration = Duration::from_millis(COMMAND_DEADLINE_MS - 1_500);
/// How long one question waits for its answer before it is asked again.
const ASK: Duration = Duration::from_millis(2_500);
/// How long it is tried to reach another node while this one knows that the bus is away.
const AWAY: Duration = Duration::from_millis(1_000);
/// Other nodes' views that are followed, one after the other, before a pause.
const HOPS: u32 = 3;

/// The lanes of this node.
pub(crate) struct Lanes {
    shared: Arc<Shared>,
    relays: Arc<relay::Registry>,
    /// The rooms that are awake here.
    pub(crate) rooms: Arc<room::Registry>,
    /// Itself, for the tasks that work lanes off.
    me: Weak<Self>,
    lanes: DashMap<RoomId, VecDeque<Waiting>>,
    open: AtomicUsize,
}

/// A command in a lane.
struct Waiting {
    ask: Ask,
    until: Instant,
    /// Whether it was sent somewhere, and no answer came.
    unsure: bool,
}

impl Waiting {
    fn new(ask: Ask) -> Self {
        Self { ask, until: Instant::now() + TRY, unsure: false }
    }

    fn give_up(self) {
        let fault = if self.unsure {
            Fault::no_answer()
        } else {
            Fault::busy("the server that holds this room can't be reached right now: send the request again later")
        };
        self.ask.reply.send(Err(fault));
    }
}

impl Lanes {
    /// A node's rooms, and the lanes to them; none is open yet.
    pub(crate) fn new(shared: Arc<Shared>, relays: Arc<relay::Registry>, feed: Arc<feed::Registry>) -> Arc<Self> {
        Arc::new_cyclic(|me: &Weak<Self>| Self {
            rooms: room::Registry::new(shared.clone(), feed, me.clone()),
            shared,
            relays,
            me: me.clone(),
            lanes: DashMap::new(),
            open: AtomicUsize::new(0),
        })
    }

    /// Whether no command is on its way to another node, or waits for a room that moves.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    fn open(&self, room: RoomId, place: VacantEntry<'_, RoomId, VecDeque<Waiting>>, first: Option<Ask>) {
        // Without an owner the node has ended, and nobody is left to work a lane off.
        let Some(lanes) = self.me.upgrade() else { return };
        self.open.fetch_add(1, Ordering::AcqRel);
        let _lane = place.insert(first.into_iter().map(Waiting::new).collect());
        let handed = self.rooms.hand_over(room);
        let lane = Lane { lanes, room };
        tokio::spawn(async move {
            if let Some(handed) = handed {
                lane.take_over(handed).await;
            }
            while let Some(batch) = lane.lanes.take(room) {
                lane.deliver(batch).await;
            }
        });
    }

    /// Does what another node asks for, if the room is at home here. The hand-over is done in the call.
    pub(crate) fn commands(&self, room: RoomId, commands: &[Asked]) -> impl Future<Output = Reply> + Send + use<> {
        let there = match self.shared.cluster.elsewhere(room) {
            Some(home) => Err(Reply::NotMine(Some(home))),
            None => Ok(self.rooms.ask_all(room, commands.iter().cloned())),
        };
        async move {
            match there {
                Ok(backs) => Reply::Done(outcomes(backs).await),
                Err(reply) => reply,
            }
        }
    }

    /// Takes the next batch; none is left: the lane closes.
    fn take(&self, room: RoomId) -> Option<VecDeque<Waiting>> {
        if let Some(mut lane) = self.lanes.get_mut(&room)
            && !lane.is_empty()
        {
            let mut bytes = 0;
            let fits = lane.iter().take(APPEND_ENTRIES_MAX).take_while(|waiting| {
                bytes += weight(&waiting.ask.command);
                bytes <= APPEND_BYTES_MAX
            });
            let count = fits.count().max(1);
            return Some(lane.drain(..count).collect());
        }
        if self.lanes.remove_if(&room, |_, lane| lane.is_empty()).is_none() {
            // Something came in between.
            return if self.lanes.contains_key(&room) { self.take(room) } else { None };
        }
        self.open.fetch_sub(1, Ordering::AcqRel);
        None
    }
}

impl Forward for Lanes {
    fn route(&self, room: RoomId, ask: Ask) {
        // The place is held meanwhile, so that a lane opens before or after, and order stays.
        match self.lanes.entry(room) {
            Entry::Occupied(lane) if lane.get().len() >= ROOM_QUEUE_MAX => {
                ask.reply
                    .send(Err(Fault::busy("too many requests are waiting for this room; send this one again later")));
            }
            Entry::Occupied(mut lane) => lane.get_mut().push_back(Waiting::new(ask)),
            Entry::Vacant(_place) if self.shared.cluster.elsewhere(room).is_none() => self.rooms.ask_here(room, ask),
            Entry::Vacant(place) => self.open(room, place, Some(ask)),
        }
    }

    /// Not while commands are on their way to it.
    fn end_room(&self, room: RoomId) -> bool {
        match self.lanes.entry(room) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                self.open(room, place, None);
                true
            }
        }
    }
}

/// Works a lane off; should it end before its time, what is in it is answered.
struct Lane {
    lanes: Arc<Lanes>,
    room: RoomId,
}

impl Drop for Lane {
    fn drop(&mut self) {
        if std::thread::panicking() && self.lanes.lanes.remove(&self.room).is_some() {
            self.lanes.open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// What giving a batch to one place came to.
enum Attempt {
    /// The first commands' outcomes; the others were not done there.
    Done(Vec<Result<Done, Fault>>),
    NotMine(Option<NodeId>),
    Unreachable,
    Unanswered,
}

impl Lane {
    /// What waits in the room that was awake here goes first.
    async fn take_over(&self, handed: oneshot::Receiver<Vec<Handed>>) {
        let Ok(Ok(handed)) = timeout(TRY, handed).await else { return };
        if self.lanes.shared.cluster.elsewhere(self.room).is_some() {
            metrics::counter!("parlance_rooms_moved_total").increment(1);
        }
        if let Some(mut lane) = self.lanes.lanes.get_mut(&self.room) {
            for Handed { ask, unsure } in handed.into_iter().rev() {
                lane.push_front(Waiting { unsure, ..Waiting::new(ask) });
            }
        }
    }

    /// Tries until all of a batch is answered.
    async fn deliver(&self, mut batch: VecDeque<Waiting>) {
        let (mut hint, mut hops, mut tries, mut lost) = (None, 0, 0, None);
        loop {
            let now = Instant::now();
            let (late, rest): (VecDeque<_>, VecDeque<_>) = batch.into_iter().partition(|waiting| waiting.until <= now);
            late.into_iter().for_each(Waiting::give_up);
            batch = rest;
            let Some(until) = batch.iter().map(|waiting| waiting.until).max() else { return };
            let target = hint.take().or_else(|| self.lanes.shared.cluster.elsewhere(self.room));
            let outcome = match target.filter(|node| node != self.lanes.shared.cluster.me()) {
                None => self.here(&batch, until).await,
                Some(node) => self.there(&batch, &node).await,
            };
            match outcome {
                Attempt::Done(outcomes) if !outcomes.is_empty() => {
                    let before = batch.len();
                    let all = self.answer(&mut batch, outcomes);
                    if batch.len() < before {
                        (hops, tries, lost) = (0, 0, None);
                    }
                    if all {
                        continue;
                    }
                }
                Attempt::NotMine(home) if hops < HOPS && home.is_some() => {
                    // It may know more than this node does; should both be wrong, the store decides.
                    hops += 1;
                    hint = home;
                    continue;
                }
                Attempt::Done(_) | Attempt::NotMine(_) => hops = 0,
                Attempt::Unanswered => batch.iter_mut().for_each(|waiting| waiting.unsure = true),
                Attempt::Unreachable => {
                    let away = *self.lanes.shared.bus.state().borrow() == BusState::Away;
                    let since = *lost.get_or_insert_with(Instant::now);
                    if away && since.elapsed() >= AWAY {
                        return batch.into_iter().for_each(Waiting::give_up);
                    }
                }
            }
            self.pause(tries).await;
            tries += 1;
        }
    }

    /// Answers the first commands of a batch, up to one of which nobody knows whether it was done: that and what follows are
    /// asked for again, and have their client ids. Says whether there was none such.
    fn answer(&self, batch: &mut VecDeque<Waiting>, mut outcomes: Vec<Result<Done, Fault>>) -> bool {
        let is_known =
            |outcome: &Result<Done, Fault>| !matches!(outcome, Err(fault) if fault.code == Code::OutcomeUnknown);
        let known = outcomes.iter().take_while(|outcome| is_known(outcome)).count();
        let all = known == outcomes.len();
        outcomes.truncate(known);
        // What is read through this node's relay from now on has what was done.
        if let Some(last) = outcomes.iter().flatten().map(|done| done.seq).max() {
            self.lanes.relays.expect(self.room, last);
        }
        for outcome in outcomes {
            let Some(waiting) = batch.pop_front() else { return all };
            match outcome {
                // What can't be done now may have been done where nobody answered.
                Err(fault) if waiting.unsure && fault.retry == Retry::Later => waiting.give_up(),
                outcome => waiting.ask.reply.send(outcome),
            }
        }
        if !all {
            batch.iter_mut().for_each(|waiting| waiting.unsure = true);
        }
        all
    }

    /// Waits a little longer each time, or until the view changes.
    async fn pause(&self, tries: u32) {
        let most = 20 << tries.min(5);
        let pause = Duration::from_millis(most / 2 + self.lanes.shared.random.bits() % (most / 2));
        let mut view = self.lanes.shared.cluster.watch();
        view.mark_unchanged();
        tokio::select! {
            biased;
            _ = view.changed() => {}
            () = sleep(pause) => {}
        }
    }

    async fn here(&self, batch: &VecDeque<Waiting>, until: Instant) -> Attempt {
        let asked = batch.iter().map(|waiting| asked(&waiting.ask));
        let backs = self.lanes.rooms.ask_all(self.room, asked);
        match timeout_at(until, outcomes(backs)).await {
            Ok(outcomes) => Attempt::Done(outcomes),
            Err(_) => Attempt::Unanswered,
        }
    }

    async fn there(&self, batch: &VecDeque<Waiting>, node: &NodeId) -> Attempt {
        let commands: Arc<[Asked]> = batch.iter().map(|waiting| asked(&waiting.ask)).collect();
        let count = commands.len() as u64;
        let question = Question::Commands { room: self.room, commands };
        let mut view = self.lanes.shared.cluster.watch();
        // Another node's view may have sent us to one that isn't in ours yet.
        let seen = view.borrow().get(node).is_some();
        let gone = async {
            if view.wait_for(|view| seen && view.get(node).is_none()).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let answer = tokio::select! {
            biased;
            answer = self.lanes.shared.bus.ask(node, question, ASK) => answer,
            // It is gone, and won't answer.
            () = gone => Err(AskError::Unanswered),
        };
        let (word, outcome) = match answer {
            Ok(Reply::Done(outcomes)) => ("done", Attempt::Done(outcomes)),
            Ok(Reply::NotMine(home)) => ("not_mine", Attempt::NotMine(home)),
            Ok(_) => ("refused", Attempt::NotMine(None)),
            Err(AskError::Unreachable) => ("unreachable", Attempt::Unreachable),
            Err(AskError::Unanswered) => ("unanswered", Attempt::Unanswered),
        };
        metrics::counter!("parlance_forwarded_commands_total", "outcome" => word).increment(count);
        outcome
    }
}

fn asked(ask: &Ask) -> Asked {
    Asked { who: ask.who, client_id: ask.client_id.clone(), command: ask.command.clone() }
}

/// Waits for the outcomes of commands that a room was given together, up to the first that moved on.
async fn outcomes(backs: Vec<Routed>) -> Vec<Result<Done, Fault>> {
    let mut outcomes = Vec::with_capacity(backs.len());
    for back in backs {
        match back.await {
            Ok(Some(outcome)) => outcomes.push(outcome),
            _ => break,
        }
    }
    outcomes
}
