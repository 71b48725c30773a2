//! A network for several nodes in one process: a bus and a membership for each, over links that can be cut, delayed, and made
//! to lose or repeat what goes over them, one way or both. Everything that goes over a link is written and read again, as it
//! would be between processes. Deterministic: the same seed, under the same runtime, does the same.

#[path = "net/end.rs"]
mod end;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use parlance_actors::ports::bus::{BusState, NodeEvent, Question, Reply, Responder, RoomEvent, Sink};
use parlance_actors::ports::membership::{NodeId, NodeInfo, NodeState, View};
use parlance_schema::notice::Notice;
use parlance_schema::{RoomId, UserId};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

pub use end::End;

/// What becomes of what goes over a link, one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Nothing arrives, and nobody is told.
    pub cut: bool,
    /// Milliseconds that it takes, at least and at most. What was sent first arrives first.
    pub delay_ms: (u64, u64),
    /// How many of 1,000 are lost.
    pub lost: u64,
    /// How many of 1,000 arrive twice.
    pub twice: u64,
    /// What is published is lost; questions and answers arrive.
    pub mute: bool,
}

/// The network.
pub struct Net {
    world: Mutex<World>,
    me: Weak<Net>,
}

struct World {
    stations: BTreeMap<NodeId, Station>,
    links: BTreeMap<(NodeId, NodeId), Link>,
    pipes: BTreeMap<(NodeId, NodeId), mpsc::UnboundedSender<(Instant, Parcel)>>,
    /// Whether views follow what nodes announce; else they are set by hand.
    follows: bool,
    seed: u64,
    sent: u64,
}

/// A node's end of the network.
struct Station {
    rooms: BTreeMap<RoomId, Sinks<RoomEvent>>,
    users: BTreeMap<UserId, Sinks<Notice>>,
    nodes: Sinks<(NodeId, NodeEvent)>,
    responder: Option<Responder>,
    next: u64,
    state: watch::Sender<BusState>,
    connections: u64,
    view: watch::Sender<Arc<View>>,
    info: NodeInfo,
    announced: bool,
    alive: bool,
}

type Sinks<E> = BTreeMap<u64, Sink<E>>;

/// What goes over a link.
enum Parcel {
    Room(RoomId, RoomEvent),
    User(UserId, Notice),
    Nodes(NodeEvent),
    Question(Question, Back),
    Answer(Reply, Back),
}

type Back = Arc<Mutex<Option<oneshot::Sender<Reply>>>>;

fn again<T: Serialize + DeserializeOwned>(it: &T) -> T {
    let bytes = rmp_serde::to_vec_named(it).unwrap();
    rmp_serde::from_slice(&bytes).unwrap()
}

impl Parcel {
    fn again(&self) -> Self {
        match self {
            Parcel::Room(room, event) => Parcel::Room(*room, again(event)),
            Parcel::User(user, notice) => Parcel::User(*user, again(notice)),
            Parcel::Nodes(event) => Parcel::Nodes(again(event)),
            Parcel::Question(question, back) => Parcel::Question(again(question), back.clone()),
            Parcel::Answer(reply, back) => Parcel::Answer(again(reply), back.clone()),
        }
    }
}

impl Net {
    pub fn new(seed: u64) -> Arc<Self> {
        let world = World {
            stations: BTreeMap::new(),
            links: BTreeMap::new(),
            pipes: BTreeMap::new(),
            follows: true,
            seed,
            sent: 0,
        };
        Arc::new_cyclic(|me| Self { world: Mutex::new(world), me: me.clone() })
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node joins, or comes back as another incarnation: its bus and its membership.
    pub fn join(&self, name: &str, incarnation: u64) -> (Arc<End>, Arc<End>) {
        let id: NodeId = name.parse().unwrap();
        let info = NodeInfo { id: id.clone(), incarnation, state: NodeState::Starting };
        let mut world = self.world();
        let connections = world.stations.get(&id).map_or(0, |station| station.connections) + 1;
        let station = Station {
            rooms: BTreeMap::new(),
            users: BTreeMap::new(),
            nodes: BTreeMap::new(),
            responder: None,
            next: 0,
            state: watch::Sender::new(BusState::Connected(connections)),
            connections,
            view: watch::Sender::new(Arc::new(View::new([info.clone()]))),
            info,
            announced: false,
            alive: true,
        };
        world.stations.insert(id.clone(), station);
        let net = self.me.upgrade().unwrap();
        let end = Arc::new(End::new(net, id, incarnation));
        (end.clone(), end)
    }

    /// Sets what becomes of what goes from one node to another.
    pub fn link(&self, from: &str, to: &str, link: Link) {
        self.world().links.insert((from.parse().unwrap(), to.parse().unwrap()), link);
    }

    /// Sets what becomes of what goes between all nodes, both ways.
    pub fn links(&self, link: Link) {
        let mut world = self.world();
        let names: Vec<NodeId> = world.stations.keys().cloned().collect();
        for from in &names {
            for to in names.iter().filter(|to| *to != from) {
                world.links.insert((from.clone(), to.clone()), link);
            }
        }
    }

    /// A node loses its connection to the bus, and knows; or has it again.
    pub fn connected(&self, name: &str, connected: bool) {
        let mut world = self.world();
        let station = world.stations.get_mut(&name.parse().unwrap()).unwrap();
        if connected {
            station.connections += 1;
            station.state.send_replace(BusState::Connected(station.connections));
        } else {
            station.state.send_replace(BusState::Away);
        }
    }

    /// A node dies: nothing that it says is heard any more, and it hears nothing. Its lease stays until [`Net::expire`].
    pub fn kill(&self, name: &str) {
        let mut world = self.world();
        let station = world.stations.get_mut(&name.parse().unwrap()).unwrap();
        station.alive = false;
        let _gone = (
            std::mem::take(&mut station.rooms),
            std::mem::take(&mut station.users),
            std::mem::take(&mut station.nodes),
            station.responder.take(),
        );
        drop(world);
    }

    /// A node's lease runs out: the others take it off their views.
    pub fn expire(&self, name: &str) {
        let mut world = self.world();
        world.stations.get_mut(&name.parse().unwrap()).unwrap().announced = false;
        world.spread();
    }

    /// From now on views are what [`Net::see`] says, or again what nodes announce.
    pub fn follow(&self, follows: bool) {
        let mut world = self.world();
        world.follows = follows;
        world.spread();
    }

    /// Sets a node's view.
    pub fn see(&self, name: &str, ready: &[&str]) {
        let world = self.world();
        let info = |name: &&str| {
            let station = &world.stations[&name.parse().unwrap()];
            NodeInfo { state: NodeState::Ready, ..station.info.clone() }
        };
        let view = View::new(ready.iter().map(info));
        world.stations[&name.parse().unwrap()].view.send_replace(Arc::new(view));
    }

    /// How many parcels were sent over links so far.
    pub fn sent(&self) -> u64 {
        self.world().sent
    }

    fn publish(&self, from: &NodeId, parcel: &Parcel, own: bool) {
        if own {
            self.deliver(from, from, parcel.again());
        }
        let mut world = self.world();
        let there = world.stations.get(from).is_some_and(Station::is_connected);
        let others: Vec<NodeId> = world.stations.keys().filter(|to| *to != from).cloned().collect();
        for to in others.iter().filter(|_| there) {
            // The real bus carries a subject only where somebody subscribes.
            let wanted = world.stations.get(to).is_some_and(|station| station.wants(parcel));
            if wanted {
                world.send(&self.me, from, to, parcel);
            }
        }
    }

    /// Hands a parcel over, without the lock: whoever gets it may call the bus.
    fn deliver(&self, from: &NodeId, to: &NodeId, parcel: Parcel) {
        let world = self.world();
        let Some(station) = world.stations.get(to).filter(|station| station.alive) else { return };
        if from != to && !station.is_connected() {
            return;
        }
        match parcel {
            Parcel::Room(room, event) => {
                let sinks: Vec<_> = station.rooms.get(&room).into_iter().flatten().map(|(_, s)| s.clone()).collect();
                drop(world);
                sinks.iter().for_each(|sink| sink(event.clone()));
            }
            Parcel::User(user, notice) => {
                let sinks: Vec<_> = station.users.get(&user).into_iter().flatten().map(|(_, s)| s.clone()).collect();
                drop(world);
                sinks.iter().for_each(|sink| sink(notice.clone()));
            }
            Parcel::Nodes(event) => {
                let sinks: Vec<_> = station.nodes.values().cloned().collect();
                drop(world);
                sinks.iter().for_each(|sink| sink((from.clone(), event.clone())));
            }
            Parcel::Question(question, back) => {
                let Some(responder) = station.responder.clone() else { return };
                drop(world);
                let answer = responder(from.clone(), question);
                let (net, from, to) = (self.me.clone(), from.clone(), to.clone());
                tokio::spawn(async move {
                    let reply = answer.await;
                    if let Some(net) = net.upgrade() {
                        net.world().send(&net.me, &to, &from, &Parcel::Answer(reply, back));
                    }
                });
            }
            Parcel::Answer(reply, back) => {
                drop(world);
                if let Some(back) = back.lock().unwrap().take() {
                    let _ = back.send(reply);
                }
            }
        }
    }

    fn change<T>(&self, id: &NodeId, incarnation: u64, change: impl FnOnce(&mut Station) -> T) -> Option<T> {
        let mut world = self.world();
        let station = world.stations.get_mut(id).filter(|station| station.info.incarnation == incarnation)?;
        Some(change(station))
    }
}

impl World {
    fn random(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Puts a parcel on a link.
    fn send(&mut self, net: &Weak<Net>, from: &NodeId, to: &NodeId, parcel: &Parcel) {
        self.sent += 1;
        let link = self.links.get(&(from.clone(), to.clone())).copied().unwrap_or_default();
        let connected = self.stations.get(from).is_some_and(Station::is_connected);
        let published = matches!(parcel, Parcel::Room(..) | Parcel::User(..) | Parcel::Nodes(..));
        if !connected || link.cut || (link.mute && published) || self.random() % 1_000 < link.lost {
            return;
        }
        let times = if self.random() % 1_000 < link.twice { 2 } else { 1 };
        for _ in 0..times {
            let (least, most) = link.delay_ms;
            let at = Instant::now() + Duration::from_millis(least + self.random() % (most.max(least) - least + 1));
            let pipe = self.pipes.entry((from.clone(), to.clone())).or_insert_with(|| {
                let (pipe, mut end) = mpsc::unbounded_channel::<(Instant, Parcel)>();
                let (net, from, to) = (net.clone(), from.clone(), to.clone());
                tokio::spawn(async move {
                    while let Some((at, parcel)) = end.recv().await {
                        sleep_until(at).await;
                        let Some(net) = net.upgrade() else { return };
                        net.deliver(&from, &to, parcel);
                    }
                });
                pipe
            });
            let _ = pipe.send((at, parcel.again()));
        }
    }

    /// Gives every node the view of what was announced.
    fn spread(&mut self) {
        if !self.follows {
            return;
        }
        let told: Vec<NodeInfo> =
            self.stations.values().filter(|station| station.announced).map(|station| station.info.clone()).collect();
        for station in self.stations.values() {
            // Each has itself in view, whatever the leases say.
            let own = (!station.announced).then(|| station.info.clone());
            let view = Arc::new(View::new(told.iter().cloned().chain(own)));
            station.view.send_if_modified(|seen| {
                let news = **seen != *view;
                *seen = view;
                news
            });
        }
    }
}

impl Station {
    fn is_connected(&self) -> bool {
        self.alive && matches!(*self.state.borrow(), BusState::Connected(_))
    }

    fn wants(&self, parcel: &Parcel) -> bool {
        match parcel {
            Parcel::Room(room, _) => self.rooms.contains_key(room),
            Parcel::User(user, _) => self.users.contains_key(user),
            _ => true,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
