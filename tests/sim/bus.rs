//! The bus between simulated nodes: late, lossy, twice, out of order, cut in one direction or both.
//!
//! A lane leads from each node to each other one. What travels on it keeps its order, unless it is told to overtake.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use parlance_actors::ports::bus::{
    AskError, Bus, BusState, NodeEvent, Question, Reply, Responder, RoomEvent, Sink, Subscription,
};
use parlance_schema::node::NodeId;
use parlance_schema::notice::Notice;
use parlance_schema::{RoomId, UserId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::gate::Gate;
use super::rng::Rng;

/// How the network misbehaves, in cases of a thousand, and how late it is at most.
#[derive(Clone, Copy, Debug)]
pub struct BusFaults {
    pub lost: u64,
    pub twice: u64,
    pub overtaking: u64,
    pub late_ms: u64,
}

#[derive(Clone)]
enum News {
    Room(RoomId, RoomEvent),
    User(UserId, Notice),
    Nodes(NodeId, NodeEvent),
}

enum Parcel {
    News(News),
    Question(Question, oneshot::Sender<Reply>),
}

/// What hangs on the bus at one node.
struct End {
    gate: Arc<Gate>,
    rooms: Vec<(u64, RoomId, Sink<RoomEvent>)>,
    users: Vec<(u64, UserId, Sink<Notice>)>,
    nodes: Vec<(u64, Sink<(NodeId, NodeEvent)>)>,
    responder: Option<(u64, Responder)>,
    states: Vec<watch::Sender<BusState>>,
    connections: u64,
}

struct Net {
    ends: Vec<End>,
    lanes: Vec<Vec<mpsc::UnboundedSender<(Instant, Parcel)>>>,
    /// Pairs between which nothing passes, in this direction.
    cut: BTreeSet<(usize, usize)>,
    bus_faults: BusFaults,
    next: u64,
}

/// The network of all nodes.
pub struct Fabric {
    net: Mutex<Net>,
    rng: Rng,
}

pub fn name(node: usize) -> NodeId {
    format!("node-{node}").parse().unwrap()
}

impl Fabric {
    pub fn new(nodes: usize, rng: Rng, bus_faults: BusFaults) -> Arc<Self> {
        let end = |_| End {
            gate: Arc::default(),
            rooms: Vec::new(),
            users: Vec::new(),
            nodes: Vec::new(),
            responder: None,
            states: Vec::new(),
            connections: 1,
        };
        let ends = (0..nodes).map(end).collect();
        let net = Net { ends, lanes: Vec::new(), cut: BTreeSet::new(), bus_faults, next: 0 };
        let fabric = Arc::new(Self { net: Mutex::new(net), rng });
        let lane = |from, to| {
            let (send, receive) = mpsc::unbounded_channel();
            tokio::spawn(fabric.clone().carry(from, to, receive));
            send
        };
        let lanes = (0..nodes).map(|from| (0..nodes).map(|to| lane(from, to)).collect()).collect();
        fabric.net().lanes = lanes;
        fabric
    }

    fn net(&self) -> MutexGuard<'_, Net> {
        self.net.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node that starts, in place of whoever was there.
    pub fn plug(self: &Arc<Self>, node: usize, gate: Arc<Gate>) -> Arc<dyn Bus> {
        let mut net = self.net();
        let connections = net.ends[node].connections + 1;
        net.ends[node] = End {
            gate: gate.clone(),
            rooms: Vec::new(),
            users: Vec::new(),
            nodes: Vec::new(),
            responder: None,
            states: Vec::new(),
            connections,
        };
        Arc::new(Plug { fabric: self.clone(), node, gate })
    }

    pub fn set_bus_faults(&self, bus_faults: BusFaults) {
        self.net().bus_faults = bus_faults;
    }

    /// Cuts or heals one direction.
    pub fn cut(&self, from: usize, to: usize, on: bool) {
        let mut net = self.net();
        if on {
            net.cut.insert((from, to))
        } else {
            net.cut.remove(&(from, to))
        };
    }

    pub fn heal(&self) {
        self.net().cut.clear();
    }

    /// Takes a node off the bus altogether, or brings it back: it notices both.
    pub fn away(&self, node: usize, on: bool) {
        let mut net = self.net();
        let end = &mut net.ends[node];
        end.gate.bus_away.store(on, std::sync::atomic::Ordering::SeqCst);
        end.connections += u64::from(!on);
        let state = if on { BusState::Away } else { BusState::Connected(end.connections) };
        end.states.retain(|sender| sender.send(state).is_ok());
    }

    fn passes(&self, from: usize, to: usize) -> bool {
        let net = self.net();
        let away = |node: usize| net.ends[node].gate.bus_away.load(std::sync::atomic::Ordering::SeqCst);
        !net.cut.contains(&(from, to)) && !away(from) && !away(to)
    }

    fn gate(&self, node: usize) -> Arc<Gate> {
        self.net().ends[node].gate.clone()
    }

    /// Sends something to all nodes but the sender.
    fn send(self: &Arc<Self>, from: usize, news: &News) {
        let (nodes, bus_faults) = {
            let net = self.net();
            (net.ends.len(), net.bus_faults)
        };
        for to in (0..nodes).filter(|to| *to != from) {
            if !self.passes(from, to) || self.rng.chance(bus_faults.lost) {
                continue;
            }
            for _ in 0..=u64::from(self.rng.chance(bus_faults.twice)) {
                let at = Instant::now() + Duration::from_millis(self.rng.below(bus_faults.late_ms + 1));
                if self.rng.chance(bus_faults.overtaking) {
                    let (fabric, news) = (self.clone(), news.clone());
                    let at = at + Duration::from_millis(self.rng.below(10 * bus_faults.late_ms + 1));
                    tokio::spawn(async move {
                        sleep_until(at).await;
                        fabric.arrive(from, to, Parcel::News(news)).await;
                    });
                } else {
                    let _ = self.net().lanes[from][to].send((at, Parcel::News(news.clone())));
                }
            }
        }
    }

    async fn carry(self: Arc<Self>, from: usize, to: usize, mut lane: mpsc::UnboundedReceiver<(Instant, Parcel)>) {
        while let Some((at, parcel)) = lane.recv().await {
            sleep_until(at).await;
            self.arrive(from, to, parcel).await;
        }
    }

    async fn arrive(self: &Arc<Self>, from: usize, to: usize, parcel: Parcel) {
        let gate = self.gate(to);
        if !gate.opens().await || !self.passes(from, to) {
            return;
        }
        match parcel {
            Parcel::News(news) => self.hand_over(to, news),
            Parcel::Question(question, back) => self.put(from, to, question, back),
        }
    }

    fn hand_over(&self, to: usize, news: News) {
        // The sinks are called without the lock, so that one may subscribe or drop a subscription.
        match news {
            News::Room(room, event) => {
                let sinks: Vec<_> = {
                    let net = self.net();
                    net.ends[to].rooms.iter().filter(|(_, of, _)| *of == room).map(|(_, _, s)| s.clone()).collect()
                };
                sinks.iter().for_each(|sink| sink(event.clone()));
            }
            News::User(user, notice) => {
                let sinks: Vec<_> = {
                    let net = self.net();
                    net.ends[to].users.iter().filter(|(_, of, _)| *of == user).map(|(_, _, s)| s.clone()).collect()
                };
                sinks.iter().for_each(|sink| sink(notice.clone()));
            }
            News::Nodes(from, event) => {
                let sinks: Vec<_> = self.net().ends[to].nodes.iter().map(|(_, sink)| sink.clone()).collect();
                sinks.iter().for_each(|sink| sink((from.clone(), event.clone())));
            }
        }
    }

    /// Puts a question to a node, in the order in which questions come, and brings its answer back, unless either way is cut.
    fn put(self: &Arc<Self>, from: usize, to: usize, question: Question, back: oneshot::Sender<Reply>) {
        let responder = self.net().ends[to].responder.as_ref().map(|(_, responder)| responder.clone());
        let Some(responder) = responder else { return };
        let (fabric, gate) = (self.clone(), self.gate(to));
        let answer = responder(name(from), question);
        tokio::spawn(async move {
            let reply = answer.await;
            let late = fabric.net().bus_faults.late_ms;
            sleep(Duration::from_millis(fabric.rng.below(late + 1))).await;
            if gate.opens().await && fabric.passes(to, from) {
                let _ = back.send(reply);
            }
        });
    }

    async fn ask(self: &Arc<Self>, from: usize, to: usize, question: Question) -> Result<Reply, AskError> {
        let bus_faults = self.net().bus_faults;
        let there = {
            let net = self.net();
            net.ends[to].responder.is_some() && !net.ends[to].gate.is_dead()
        };
        let lost = !self.passes(from, to) || self.rng.chance(bus_faults.lost);
        let (back, reply) = oneshot::channel();
        if there && !lost {
            // Now and then a lane stands still for longer than anybody waits.
            let still = if self.rng.chance(bus_faults.overtaking / 10) { self.rng.between(2_000, 6_000) } else { 0 };
            let at = Instant::now() + Duration::from_millis(still + self.rng.below(bus_faults.late_ms + 1));
            let lane = self.net().lanes[from][to].clone();
            if self.rng.chance(bus_faults.twice) {
                let _ = lane.send((at, Parcel::Question(question.clone(), oneshot::channel().0)));
            }
            let _ = lane.send((at, Parcel::Question(question, back)));
        } else if self.rng.chance(500) {
            sleep(Duration::from_millis(self.rng.below(bus_faults.late_ms + 1))).await;
            return Err(AskError::Unreachable);
        } else {
            drop(back);
        }
        match reply.await {
            Ok(reply) => Ok(reply),
            // Nothing will come; whoever asked can't know that.
            Err(_) => std::future::pending().await,
        }
    }
}

/// A node's place on the bus.
struct Plug {
    fabric: Arc<Fabric>,
    node: usize,
    gate: Arc<Gate>,
}

impl Plug {
    fn publish(&self, news: News) {
        if self.gate.is_dead() {
            return;
        }
        if !matches!(news, News::Nodes(..)) {
            self.fabric.hand_over(self.node, news.clone());
        }
        if !self.gate.is_paused() {
            return self.fabric.send(self.node, &news);
        }
        let (fabric, gate, node) = (self.fabric.clone(), self.gate.clone(), self.node);
        tokio::spawn(async move {
            if gate.opens().await {
                fabric.send(node, &news);
            }
        });
    }

    fn subscribe(&self, add: impl FnOnce(&mut End, u64)) -> Subscription {
        let mut net = self.fabric.net();
        net.next += 1;
        let id = net.next;
        if !self.gate.is_dead() {
            add(&mut net.ends[self.node], id);
        }
        Box::new(Ticket { fabric: self.fabric.clone(), node: self.node, id })
    }
}

/// Ends its subscription when dropped.
struct Ticket {
    fabric: Arc<Fabric>,
    node: usize,
    id: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let gone = {
            let mut net = self.fabric.net();
            let end = &mut net.ends[self.node];
            let id = self.id;
            let rooms: Vec<_> = end.rooms.extract_if(.., |(of, _, _)| *of == id).collect();
            let users: Vec<_> = end.users.extract_if(.., |(of, _, _)| *of == id).collect();
            let nodes: Vec<_> = end.nodes.extract_if(.., |(of, _)| *of == id).collect();
            let responder = end.responder.take_if(|(of, _)| *of == id);
            (rooms, users, nodes, responder)
        };
        // What a sink holds may end subscriptions in its turn.
        drop(gone);
    }
}

#[async_trait]
impl Bus for Plug {
    fn publish_room(&self, room: RoomId, event: RoomEvent) {
        self.publish(News::Room(room, event));
    }

    fn publish_user(&self, user: UserId, notice: Notice) {
        self.publish(News::User(user, notice));
    }

    fn subscribe_room(&self, room: RoomId, sink: Sink<RoomEvent>) -> Subscription {
        self.subscribe(|end, id| end.rooms.push((id, room, sink)))
    }

    fn subscribe_user(&self, user: UserId, sink: Sink<Notice>) -> Subscription {
        self.subscribe(|end, id| end.users.push((id, user, sink)))
    }

    fn publish_nodes(&self, event: NodeEvent) {
        self.publish(News::Nodes(name(self.node), event));
    }

    fn subscribe_nodes(&self, sink: Sink<(NodeId, NodeEvent)>) -> Subscription {
        self.subscribe(|end, id| end.nodes.push((id, sink)))
    }

    fn respond(&self, responder: Responder) -> Subscription {
        self.subscribe(|end, id| end.responder = Some((id, responder)))
    }

    async fn ask(&self, node: &NodeId, question: Question, within: Duration) -> Result<Reply, AskError> {
        let nodes = self.fabric.net().ends.len();
        let Some(to) = (0..nodes).find(|to| name(*to) == *node) else { return Err(AskError::Unreachable) };
        let asked = async {
            self.gate.pass().await;
            let reply = self.fabric.ask(self.node, to, question).await;
            self.gate.pass().await;
            reply
        };
        timeout(within, asked).await.unwrap_or(Err(AskError::Unanswered))
    }

    fn state(&self) -> watch::Receiver<BusState> {
        let mut net = self.fabric.net();
        let end = &mut net.ends[self.node];
        let away = end.gate.bus_away.load(std::sync::atomic::Ordering::SeqCst);
        let state = if away { BusState::Away } else { BusState::Connected(end.connections) };
        // A channel each: those who wait on one are woken in no order that a seed decides.
        let (send, receive) = watch::channel(state);
        end.states.push(send);
        receive
    }

    fn backend(&self) -> &'static str {
        "simulated"
    }
}
