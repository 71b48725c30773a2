//! The membership of a cluster on NATS: each node keeps a lease in a bucket alive, and watches all of them.
//!
//! Two tasks: the keeper takes and renews this node's lease, as it was announced last; the watcher hears of the others'.
//! What both know is the `FailureDetector`, from which the view comes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::kv::Operation;
use async_nats::jetstream::{Context, context::ContextBuilder};
use async_trait::async_trait;
use futures_util::StreamExt;
use parlance_actors::ports::Random;
use parlance_actors::ports::membership::{Membership, MembershipError, NodeId, NodeInfo, NodeState, View};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::bucket::{self, Bucket, Lease, read};
use super::failure_detector::FailureDetector;
use crate::bus::nats::{Connection, Error, Identity, Options, Pace};

/// Renewals in the time of a lease.
const RENEWALS: u32 = 5;
/// The pause before what failed is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a node that leaves waits until that is written.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// How the leases are kept.
#[derive(Clone, Copy, Debug)]
pub struct Leases {
    /// How long one holds; whole seconds.
    pub lease: Duration,
    /// Servers that keep the bucket.
    pub replicas: usize,
}

/// What a node says, and the count of what it has said.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Said {
    count: u64,
    what: Saying,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Saying {
    Nothing,
    State(NodeState),
    Goodbye,
}

/// What became of what a node said, up to this count.
#[derive(Clone, Debug)]
struct RenewalOutcome {
    count: u64,
    result: Result<(), MembershipError>,
}

/// The membership of a node in a cluster.
pub struct JetStream {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    connection: Connection,
    context: Context,
    bucket: bucket::Options,
    detector: Mutex<FailureDetector>,
    view: watch::Sender<Arc<View>>,
    said: watch::Sender<Said>,
    outcome: watch::Sender<RenewalOutcome>,
}

impl JetStream {
    /// Begins to connect and to watch, and goes on in the background for as long as it takes. The node has a lease once it
    /// announces a state.
    ///
    /// It has a connection of its own, so that no crowd of events delays a renewal.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub async fn open(options: &Options, me: Identity, leases: Leases, random: Arc<dyn Random>) -> Result<Self, Error> {
        let named = format!("parlance {} {} lease", me.cluster, me.node);
        let connection = Connection::open(options, &named, true, pace(leases.lease), random).await?;
        let attempt = attempt_max(leases.lease);
        let context = ContextBuilder::new().timeout(attempt).ack_timeout(attempt).build(connection.client.clone());
        let info = NodeInfo { id: me.node, incarnation: me.incarnation, state: NodeState::Starting };
        let mut detector = FailureDetector::new(info, leases.lease);
        let view = watch::Sender::new(Arc::new(detector.view(Instant::now())));
        let shared = Arc::new(Shared {
            connection,
            context,
            bucket: bucket::Options { cluster: me.cluster, lease: leases.lease, replicas: leases.replicas },
            detector: Mutex::new(detector),
            view,
            said: watch::Sender::new(Said { count: 0, what: Saying::Nothing }),
            outcome: watch::Sender::new(RenewalOutcome { count: 0, result: Ok(()) }),
        });
        let keeper = Keeper { shared: shared.clone(), bucket: None, revision: None, rival: None, told: false };
        let tasks = vec![tokio::spawn(keeper.run()), tokio::spawn(watch_all(shared.clone()))];
        Ok(Self { shared, tasks })
    }

    /// Says something, and waits until it is known what became of it.
    async fn say(&self, what: Saying, within: Duration) -> Result<(), MembershipError> {
        let mut outcome = self.shared.outcome.subscribe();
        let mut count = 0;
        self.shared.said.send_modify(|said| {
            count = said.count + 1;
            *said = Said { count, what };
        });
        let known = timeout(within, outcome.wait_for(|outcome| outcome.count >= count)).await;
        match known {
            Ok(Ok(outcome)) => outcome.result.clone(),
            _ => Err(MembershipError::Unavailable("nobody answers".into())),
        }
    }
}

/// The time that one attempt may take.
fn attempt_max(lease: Duration) -> Duration {
    (lease / 3).max(Duration::from_millis(500))
}

/// How soon the connection of a lease comes back. A server that is lost without a word must not cost a lease, so that its loss is
/// noticed in less than half of one; and nodes which lost a server together must be back at about the same time: those who are first
/// wait for the others during one lease.
fn pace(lease: Duration) -> Pace {
    let Pace { ping_every, attempt_max: connect_max, pause_max } = Pace::default();
    Pace {
        ping_every: ping_every.min(lease / 10),
        attempt_max: connect_max.min(attempt_max(lease)),
        pause_max: pause_max.min(lease / 5),
    }
}

impl Drop for JetStream {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[async_trait]
impl Membership for JetStream {
    fn me(&self) -> NodeInfo {
        self.shared.detector().me().clone()
    }

    fn view(&self) -> watch::Receiver<Arc<View>> {
        self.shared.view.subscribe()
    }

    async fn announce(&self, state: NodeState) -> Result<(), MembershipError> {
        self.shared.detector().announce(state);
        self.shared.show();
        // The lease of a node of this name that died may have to run out first.
        self.say(Saying::State(state), 3 * self.shared.bucket.lease).await
    }

    async fn leave(&self) {
        if let Err(error) = self.say(Saying::Goodbye, LEAVE_MAX).await {
            tracing::warn!(%error, "the lease was not given back: it runs out by itself");
        }
    }

    fn is_renewed(&self) -> bool {
        self.shared.detector().is_renewed(Instant::now())
    }
}

impl Shared {
    fn detector(&self) -> MutexGuard<'_, FailureDetector> {
        self.detector.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the view as it is now, if it is another one.
    fn show(&self) {
        // Made and shown under one lock: else an older view could be shown last.
        let mut detector = self.detector();
        let view = detector.view(Instant::now());
        self.view.send_if_modified(|shown| {
            let differs = **shown != view;
            if differs {
                *shown = Arc::new(view);
            }
            differs
        });
    }

    fn me(&self) -> NodeId {
        self.detector().me().id.clone()
    }
}

/// Takes and renews this node's lease.
struct Keeper {
    shared: Arc<Shared>,
    bucket: Option<Bucket>,
    /// The revision of the lease that this node holds.
    revision: Option<u64>,
    rival: Option<Rival>,
    /// Whether it was logged that renewals fail.
    told: bool,
}

/// A lease of another start under this node's name.
#[derive(Debug)]
struct Rival {
    incarnation: u64,
    revision: u64,
    since: Instant,
}

/// Why this node has no lease now.
enum Refusal {
    /// It isn't known yet whether the one who has it lives.
    Wait,
    /// The one who has it lives.
    Taken,
    /// There is no connection.
    Away,
    /// Whatever keeps the leases does not do what it is asked.
    Failed(String),
}

impl Keeper {
    async fn run(mut self) {
        let mut said = self.shared.said.subscribe();
        let mut ticks = interval(self.shared.bucket.lease / RENEWALS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                changed = said.changed() => if changed.is_err() { return },
            }
            let Said { count, what } = *said.borrow_and_update();
            match what {
                Saying::Nothing => {}
                Saying::State(state) => self.attempt(count, state).await,
                Saying::Goodbye => {
                    let result = self.give_back().await;
                    let _ = self.shared.outcome.send_replace(RenewalOutcome { count, result });
                    return;
                }
            }
        }
    }

    async fn attempt(&mut self, count: u64, state: NodeState) {
        let max = attempt_max(self.shared.bucket.lease);
        // What is sent without a connection would be done whenever it is back.
        let there = self.shared.connection.connected(max / 2).await;
        // From here: who has just come back needs all of its time.
        let began = Instant::now();
        let renewed = if there {
            let renewed = timeout(max, self.renew(state)).await;
            renewed.unwrap_or_else(|_| Err(Refusal::Failed("it takes too long".into())))
        } else {
            Err(Refusal::Away)
        };
        let result = match renewed {
            Ok(()) => {
                metrics::histogram!("parlance_lease_renew_seconds").record(began.elapsed());
                self.shared.detector().renewed(began, Instant::now());
                if std::mem::take(&mut self.told) {
                    tracing::info!("the lease is renewed again");
                }
                Some(Ok(()))
            }
            Err(refusal) => self.refused(refusal),
        };
        self.shared.show();
        if let Some(result) = result {
            let _ = self.shared.outcome.send_replace(RenewalOutcome { count, result });
        }
    }

    /// What is to be said of a refusal, if it is final.
    fn refused(&mut self, refusal: Refusal) -> Option<Result<(), MembershipError>> {
        self.revision = None;
        self.shared.detector().unsteady();
        metrics::counter!("parlance_lease_failures_total").increment(1);
        let first = !std::mem::replace(&mut self.told, true);
        match refusal {
            Refusal::Wait => {
                if first {
                    tracing::info!("waiting for the lease of an earlier start to run out");
                }
                None
            }
            Refusal::Taken => {
                let me = self.shared.me();
                if first {
                    tracing::error!(node = %me, "another node has this one's name");
                }
                Some(Err(MembershipError::NameTaken(me)))
            }
            Refusal::Away => Some(Err(unavailable("nats is away".into(), first))),
            Refusal::Failed(error) => {
                // A connection that is open may lead to a bucket that is gone.
                self.bucket = None;
                Some(Err(unavailable(error, first)))
            }
        }
    }

    async fn renew(&mut self, state: NodeState) -> Result<(), Refusal> {
        let failed = |error: bucket::Error| Refusal::Failed(error.to_string());
        let bucket = match self.bucket.clone() {
            Some(bucket) => bucket,
            None => {
                let opened = Bucket::open(self.shared.context.clone(), &self.shared.bucket).await;
                self.bucket.insert(opened.map_err(failed)?).clone()
            }
        };
        let me = NodeInfo { state, ..self.shared.detector().me().clone() };
        // A conflict may be with one's own earlier attempt, of which nothing was heard: look, and try once more.
        for again in [true, false] {
            let replaces = match self.revision {
                Some(revision) => revision,
                None => self.free(bucket.look(&me.id).await.map_err(failed)?, me.incarnation)?,
            };
            match bucket.put(&me, replaces).await {
                Ok(revision) => {
                    (self.revision, self.rival) = (Some(revision), None);
                    return Ok(());
                }
                Err(bucket::Error::Conflict) if again => self.revision = None,
                Err(error) => return Err(failed(error)),
            }
        }
        Err(Refusal::Failed("somebody else writes".into()))
    }

    /// The revision that this node may replace.
    fn free(&mut self, lease: Lease, mine: u64) -> Result<u64, Refusal> {
        let (info, revision) = match lease {
            Lease::Free(revision) => return Ok(revision),
            Lease::Held(info, revision) if info.incarnation == mine => return Ok(revision),
            // It is about to end, and the rooms are moving already.
            Lease::Held(info, revision) if info.state == NodeState::Draining => return Ok(revision),
            Lease::Held(info, revision) => (info, revision),
        };
        match &self.rival {
            Some(rival) if rival.incarnation == info.incarnation && rival.revision < revision => {
                self.rival = Some(Rival { incarnation: info.incarnation, revision, since: Instant::now() });
                Err(Refusal::Taken)
            }
            Some(rival) if rival.incarnation == info.incarnation => {
                // Its lease should have run out by itself long ago.
                if rival.since.elapsed() > 2 * self.shared.bucket.lease { Ok(revision) } else { Err(Refusal::Wait) }
            }
            _ => {
                self.rival = Some(Rival { incarnation: info.incarnation, revision, since: Instant::now() });
                Err(Refusal::Wait)
            }
        }
    }

    async fn give_back(&mut self) -> Result<(), MembershipError> {
        let (Some(bucket), Some(revision)) = (&self.bucket, self.revision) else { return Ok(()) };
        let done = timeout(LEAVE_MAX, bucket.give_back(&self.shared.me(), revision)).await;
        let failed = MembershipError::Unavailable;
        done.map_err(|_| failed("nobody answers".into()))?.map_err(|error| failed(error.to_string()))
    }
}

/// A renewal that failed; logged where it is the first in a row.
fn unavailable(error: String, first: bool) -> MembershipError {
    if first {
        tracing::warn!(error, "the lease could not be renewed: trying again");
    }
    MembershipError::Unavailable(error)
}

/// Hears of all leases, for ever; begins anew with all of them where that breaks off.
async fn watch_all(shared: Arc<Shared>) {
    let mut told = false;
    loop {
        shared.connection.connected(Duration::MAX).await;
        let mut heard = false;
        if let Err(error) = watch_once(&shared, &mut heard).await {
            tracing::debug!(%error, "watching the leases broke off");
            if !heard && !std::mem::replace(&mut told, true) {
                tracing::warn!(%error, "the other nodes' leases can't be watched: trying again");
            }
        }
        told &= !heard;
        sleep(AGAIN).await;
    }
}

async fn watch_once(shared: &Shared, heard: &mut bool) -> Result<(), bucket::Error> {
    let bucket = Bucket::open(shared.context.clone(), &shared.bucket).await?;
    let mut changes = bucket.watch().await?;
    // Leases that were there when watching began; `None` once all of them were told.
    let mut first = Some(Vec::new());
    loop {
        // Somebody renews all the time, this node for one: silence for a lease is a watch that broke off.
        let entry = match timeout(shared.bucket.lease, changes.next()).await {
            Ok(Some(Ok(entry))) => entry,
            Ok(Some(Err(error))) => return Err(bucket::Error::Other(error.to_string())),
            Ok(None) => return Err(bucket::Error::Other("it ended".into())),
            Err(_) => return Err(bucket::Error::Other("silence".into())),
        };
        *heard = true;
        hear(shared, &entry, &mut first);
        shared.show();
    }
}

fn hear(shared: &Shared, entry: &async_nats::jetstream::kv::Entry, first: &mut Option<Vec<NodeId>>) {
    let Ok(id) = entry.key.parse::<NodeId>() else { return };
    let mut detector = shared.detector();
    match entry.operation {
        Operation::Put => match read(entry) {
            Some(info) => {
                if let Some(there) = first {
                    there.push(id);
                }
                detector.heard(info);
            }
            None => tracing::warn!(node = %id, "a lease can't be read"),
        },
        Operation::Delete => detector.left(&id),
        Operation::Purge => detector.expired(&id),
    }
    if entry.seen_current
        && let Some(there) = first.take()
    {
        detector.only(&there);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_back_while_others_wait() {
        for lease in (2..=60).map(Duration::from_secs) {
            let Pace { ping_every, attempt_max: connect_max, pause_max } = pace(lease);
            let (tick, jitter) = (lease / RENEWALS, pause_max / 2);
            // A server that was away: the last pause, then the connection, then what keeps the lease has its turn.
            assert!(pause_max + jitter + tick <= lease / 2, "{lease:?}");
            // A server that was lost: three pings, an attempt at the same server, a pause, and the lease was renewed a tick ago.
            assert!(ping_every * 3 + connect_max + pause_max / 10 + tick < lease, "{lease:?}");
        }
    }
}
