//! Feed: looks after this node's marks, and has a Follower for each consumer that it runs.
//!
//! Owns: when what is done. Receives: its own ticks. Emits: cursors, fences, removals ([`super::settle`]); takes over marks of nodes
//! that are gone, of imports, and those whose time has come, and walks through all rooms for consumers that are new
//! ([`super::sweep`]). Stops: with its node. Restarted by [`crate::node`]; its marks are in the store and in
//! [`super::table`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parlance_schema::{Millis, RoomId};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::Instant;

use super::Registry;
use super::call::settled;
use super::follower::{self, Follower};
use crate::ports::store::StoreError;
use crate::supervise;

/// How often this node's own marks are looked after: so often, at most, a room's cursors are written.
const TICK: Duration = Duration::from_secs(1);
/// How often others' marks are looked for, and those whose time has come.
const SWEEP: Duration = Duration::from_secs(5);
/// How often a consumer is said to be run.
const RUN_NOTE: Duration = Duration::from_secs(60);

/// What the Feed can be told.
pub(crate) enum Msg {
    /// Looks after everything.
    Tick,
}

/// The Feed actor.
pub(crate) struct Feed;

/// The Feed's state.
pub(crate) struct State {
    pub(super) registry: Arc<Registry>,
    followers: Vec<ActorRef<follower::Msg>>,
    /// Consumers of this node's that stand in the store.
    registered: Vec<bool>,
    noted_at: Option<Instant>,
    /// Consumers that were registered then.
    measured: BTreeSet<String>,
    pub(super) swept_at: Option<Instant>,
    /// Marks that this node leaves to others for a while, by whose and what they are: when they were seen first.
    pub(super) seen: BTreeMap<(u64, RoomId, u64), Instant>,
    /// Owners that were found without marks, with how often in a row and when.
    pub(super) empty: BTreeMap<u64, (u32, Instant)>,
    view_changed: bool,
    view: tokio::sync::watch::Receiver<Arc<parlance_schema::node::View>>,
}

impl Actor for Feed {
    type Msg = Msg;
    type State = State;
    type Arguments = Arc<Registry>;

    async fn pre_start(&self, me: ActorRef<Msg>, registry: Arc<Registry>) -> Result<State, ActorProcessingErr> {
        let registered = vec![false; registry.consumers.len()];
        let view = registry.shared.cluster.watch();
        let mut state = State {
            registry,
            followers: Vec::new(),
            registered,
            noted_at: None,
            measured: BTreeSet::new(),
            swept_at: None,
            seen: BTreeMap::new(),
            empty: BTreeMap::new(),
            view_changed: false,
            view,
        };
        for consumer in 0..state.registry.consumers.len() {
            let follower = state.follow(&me, consumer)?;
            state.followers.push(follower);
        }
        me.cast(Msg::Tick)?;
        Ok(state)
    }

    async fn handle(&self, me: ActorRef<Msg>, Msg::Tick: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.view_changed |= state.view.has_changed().unwrap_or(false);
        state.view.mark_unchanged();
        if let Some(Err(error)) = settled(state.tick()).await {
            tracing::info!(%error, "marks of unfinished work are looked after again later");
        }
        me.send_after(TICK, || Msg::Tick);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let Some(who) = supervise::failed(&event) else { return Ok(()) };
        let Some(at) = state.followers.iter().position(|follower| follower.get_id() == who) else { return Ok(()) };
        tracing::error!(event = %event, "a follower ended: starting it again");
        metrics::counter!("parlance_restarts_total", "actor" => "follower").increment(1);
        state.followers[at] = state.follow(&me, at)?;
        Ok(())
    }
}

impl State {
    fn follow(&self, me: &ActorRef<Msg>, consumer: usize) -> Result<ActorRef<follower::Msg>, ActorProcessingErr> {
        let args = follower::Args { consumer, registry: self.registry.clone() };
        let follower = supervise::spawn(Follower, args, me.get_cell())?;
        self.tell_all(consumer);
        Ok(follower)
    }

    /// Tells a consumer's Follower all rooms.
    fn tell_all(&self, consumer: usize) {
        let ends = self.registry.table().ends();
        ends.into_iter().for_each(|(room, end)| self.registry.inboxes[consumer].push(room, end));
    }

    async fn tick(&mut self) -> Result<(), StoreError> {
        self.register().await?;
        let due = self.swept_at.is_none_or(|at| at.elapsed() >= SWEEP) || self.view_changed;
        if due || self.registry.table().needs_list() {
            self.read_consumers().await?;
        }
        self.settle_all().await;
        self.measure();
        if due {
            self.view_changed = false;
            self.swept_at = Some(Instant::now());
            self.note_runs().await?;
            self.leave_notes().await?;
            self.sweep().await?;
            self.take_due().await?;
        }
        self.walk().await
    }

    /// Registers this node's consumers in the store.
    async fn register(&mut self) -> Result<(), StoreError> {
        for (at, consumer) in self.registry.consumers.iter().enumerate() {
            if !self.registered[at] {
                let store = &self.registry.shared.store;
                store.register(consumer.name(), &consumer.filter(), consumer.begins()).await?;
                self.registered[at] = true;
            }
        }
        Ok(())
    }

    /// Reads which consumers there are.
    pub(super) async fn read_consumers(&mut self) -> Result<(), StoreError> {
        let reading = self.registry.table().begin_list();
        let consumers = self.registry.shared.store.consumers().await?;
        let news = self.registry.table().list(reading, consumers);
        news.into_iter().for_each(|consumer| self.tell_all(consumer));
        Ok(())
    }

    /// Notes now and then that this node runs its consumers, and measures for how long one was run by none.
    async fn note_runs(&mut self) -> Result<(), StoreError> {
        if self.noted_at.is_some_and(|at| at.elapsed() < RUN_NOTE) {
            return Ok(());
        }
        self.noted_at = Some(Instant::now());
        let (store, now) = (&self.registry.shared.store, self.registry.shared.clock.now());
        for consumer in &self.registry.consumers {
            store.note_run(consumer.name(), now).await?;
        }
        let runs: BTreeMap<String, Millis> = store.runs().await?.into_iter().collect();
        let unrun = |name: &str, seconds| {
            metrics::gauge!("parlance_feed_unrun_seconds", "consumer" => name.to_owned()).set(seconds);
        };
        let registered: BTreeSet<String> =
            self.registry.table().consumers.iter().map(|consumer| consumer.name.clone()).collect();
        for name in &registered {
            let ran = runs.get(name).copied().unwrap_or(0);
            unrun(name, now.saturating_sub(ran) as f64 / 1_000.0);
        }
        // Nobody needs to run one that was dropped.
        self.measured.difference(&registered).for_each(|name| unrun(name, 0.0));
        self.measured = registered;
        Ok(())
    }

    fn measure(&self) {
        let table = self.registry.table();
        metrics::gauge!("parlance_feed_marks").set(table.len() as f64);
        for (at, consumer) in self.registry.consumers.iter().enumerate() {
            let lag = metrics::gauge!("parlance_feed_lag_seconds", "consumer" => consumer.name().to_owned());
            lag.set(table.oldest_s(at));
        }
    }
}
