//! Who lives, as leases tell: a simulated store of leases, and each node's view of it, which may be late or plainly wrong.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use parlance_actors::ports::membership::{Membership, MembershipError, NodeId, NodeInfo, NodeState, View};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::bus::name;
use super::gate::Gate;
use super::rng::Rng;

/// How long a lease is good without a renewal, in milliseconds.
const LEASE: Duration = Duration::from_millis(5_000);
/// How often it is renewed.
const RENEW_MS: u64 = 1_000;

/// All leases.
#[derive(Default)]
pub struct Leases(Mutex<BTreeMap<NodeId, (NodeInfo, Instant)>>);

impl Leases {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, (NodeInfo, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has all of them end at once.
    pub fn expire(&self) {
        self.lock().clear();
    }
}

struct Mine {
    info: NodeInfo,
    announced: bool,
    left: bool,
    /// The last renewal, and the first one of those that succeeded one after the other until then.
    renewed: Option<(Instant, Instant)>,
    view: Arc<View>,
    /// What the view is said to be, whatever the leases say.
    wrong: Option<Vec<NodeId>>,
    watchers: Vec<watch::Sender<Arc<View>>>,
}

/// A node's lease and view.
pub struct LeaseSeat {
    leases: Arc<Leases>,
    gate: Arc<Gate>,
    mine: Mutex<Mine>,
}

impl LeaseSeat {
    /// A node that starts; it looks at the leases from now on.
    pub fn take(leases: Arc<Leases>, gate: Arc<Gate>, at: usize, rng: Rng) -> Arc<Self> {
        let info = NodeInfo { id: name(at), incarnation: rng.bits() >> 11, state: NodeState::Starting };
        let view = Arc::new(View::new([info.clone()]));
        let (announced, left, renewed, wrong) = (false, false, None, None);
        let mine = Mine { info, announced, left, renewed, view, wrong, watchers: Vec::new() };
        let seat = Arc::new(Self { leases, gate, mine: Mutex::new(mine) });
        let keeper = seat.clone();
        tokio::spawn(async move {
            while !keeper.gate.is_dead() {
                keeper.gate.pass().await;
                keeper.renew();
                keeper.look();
                sleep(Duration::from_millis(rng.between(RENEW_MS / 4, RENEW_MS))).await;
            }
        });
        seat
    }

    fn mine(&self) -> MutexGuard<'_, Mine> {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reaches(&self) -> bool {
        !self.gate.bus_away.load(SeqCst) && !self.gate.is_dead() && !self.gate.is_paused()
    }

    fn renew(&self) {
        let mut mine = self.mine();
        if !mine.announced || mine.left || !self.reaches() {
            return;
        }
        let now = Instant::now();
        let since = mine.renewed.filter(|(last, _)| now - *last < LEASE).map_or(now, |(_, since)| since);
        mine.renewed = Some((now, since));
        self.leases.lock().insert(mine.info.id.clone(), (mine.info.clone(), now + LEASE));
    }

    /// Makes the view what the leases say, as far as they may be believed.
    fn look(&self) {
        let mut mine = self.mine();
        if !self.reaches() {
            return;
        }
        let now = Instant::now();
        let mut nodes: BTreeMap<NodeId, NodeInfo> = BTreeMap::new();
        for (id, (info, until)) in self.leases.lock().iter() {
            if *until > now {
                nodes.insert(id.clone(), info.clone());
            }
        }
        // Who is missing may be so for lack of one's own connection: that is ruled out by a lease's time of renewals.
        let sure = mine.renewed.is_some_and(|(last, since)| now - last < LEASE && now - since >= LEASE);
        for node in mine.view.nodes() {
            if !sure && !nodes.contains_key(&node.id) {
                nodes.insert(node.id.clone(), node.clone());
            }
        }
        if let Some(only) = &mine.wrong {
            nodes.retain(|id, _| only.contains(id));
        }
        nodes.insert(mine.info.id.clone(), mine.info.clone());
        mine.show(View::new(nodes.into_values()));
    }

    /// Makes the view one of these nodes alone, or a true one again.
    pub fn mislead(&self, only: Option<Vec<NodeId>>) {
        self.mine().wrong = only;
        self.look();
    }
}

impl Mine {
    fn show(&mut self, view: View) {
        if *self.view != view {
            self.view = Arc::new(view);
            let view = self.view.clone();
            self.watchers.retain(|watcher| watcher.send(view.clone()).is_ok());
        }
    }
}

#[async_trait]
impl Membership for LeaseSeat {
    fn me(&self) -> NodeInfo {
        self.mine().info.clone()
    }

    fn view(&self) -> watch::Receiver<Arc<View>> {
        let mut mine = self.mine();
        // A channel each: those who wait on one are woken in no order that a seed decides.
        let (send, receive) = watch::channel(mine.view.clone());
        mine.watchers.push(send);
        receive
    }

    async fn announce(&self, state: NodeState) -> Result<(), MembershipError> {
        {
            let mut mine = self.mine();
            (mine.info.state, mine.announced) = (state, true);
        }
        self.renew();
        self.look();
        if self.reaches() { Ok(()) } else { Err(MembershipError::Unavailable("no way to the leases".into())) }
    }

    async fn leave(&self) {
        let mut mine = self.mine();
        mine.left = true;
        if self.reaches() {
            self.leases.lock().remove(&mine.info.id);
        }
    }

    fn is_renewed(&self) -> bool {
        self.mine().renewed.is_some_and(|(last, _)| last.elapsed() < LEASE)
    }
}
