//! A node's end of the network, as the bus and the membership that its actors know.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use parlance_actors::ports::bus::{
    AskError, Bus, BusState, NodeEvent, Question, Reply, Responder, RoomEvent, Sink, Subscription,
};
use parlance_actors::ports::membership::{Membership, MembershipError, NodeId, NodeInfo, NodeState, View};
use parlance_schema::notice::Notice;
use parlance_schema::{RoomId, UserId};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::{Net, Parcel, Station};

/// A node's handle: its bus, and its membership.
pub struct End {
    net: Arc<Net>,
    id: NodeId,
    incarnation: u64,
}

/// Ends a subscription when dropped.
struct Ticket<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync> Drop for Ticket<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl End {
    pub(super) fn new(net: Arc<Net>, id: NodeId, incarnation: u64) -> Self {
        Self { net, id, incarnation }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Station) -> T) -> Option<T> {
        self.net.change(&self.id, self.incarnation, change)
    }

    fn ticket(&self, end: impl Fn(&mut Station) + Send + Sync + 'static) -> Subscription {
        let (net, id, incarnation) = (self.net.clone(), self.id.clone(), self.incarnation);
        Box::new(Ticket(move || {
            let _ = net.change(&id, incarnation, &end);
        }))
    }
}

#[async_trait]
impl Bus for End {
    fn publish_room(&self, room: RoomId, event: RoomEvent) {
        self.net.publish(&self.id, &Parcel::Room(room, event), true);
    }

    fn publish_user(&self, user: UserId, notice: Notice) {
        self.net.publish(&self.id, &Parcel::User(user, notice), true);
    }

    fn subscribe_room(&self, room: RoomId, sink: Sink<RoomEvent>) -> Subscription {
        let number = self.change(|station| {
            let number = station.number();
            station.rooms.entry(room).or_default().insert(number, sink);
            number
        });
        self.ticket(move |station| {
            let sinks = station.rooms.entry(room).or_default();
            number.map(|number| sinks.remove(&number));
            if sinks.is_empty() {
                station.rooms.remove(&room);
            }
        })
    }

    fn subscribe_user(&self, user: UserId, sink: Sink<Notice>) -> Subscription {
        let number = self.change(|station| {
            let number = station.number();
            station.users.entry(user).or_default().insert(number, sink);
            number
        });
        self.ticket(move |station| {
            let sinks = station.users.entry(user).or_default();
            number.map(|number| sinks.remove(&number));
            if sinks.is_empty() {
                station.users.remove(&user);
            }
        })
    }

    fn publish_nodes(&self, event: NodeEvent) {
        self.net.publish(&self.id, &Parcel::Nodes(event), false);
    }

    fn subscribe_nodes(&self, sink: Sink<(NodeId, NodeEvent)>) -> Subscription {
        let number = self.change(|station| {
            let number = station.number();
            station.nodes.insert(number, sink);
            number
        });
        self.ticket(move |station| drop(number.map(|number| station.nodes.remove(&number))))
    }

    fn respond(&self, responder: Responder) -> Subscription {
        self.change(|station| station.responder = Some(responder));
        self.ticket(|station| station.responder = None)
    }

    async fn ask(&self, node: &NodeId, question: Question, within: Duration) -> Result<Reply, AskError> {
        let (back, answer) = oneshot::channel();
        {
            let mut world = self.net.world();
            let here = world.stations.get(&self.id).is_some_and(Station::is_connected);
            let there = world.stations.get(node).is_some_and(|to| to.is_connected() && to.responder.is_some());
            if !here || !there {
                return Err(AskError::Unreachable);
            }
            let back = Arc::new(Mutex::new(Some(back)));
            world.send(&self.net.me, &self.id, node, &Parcel::Question(question, back));
        }
        let answer = timeout(within, answer).await.map_err(|_| AskError::Unanswered)?;
        match answer {
            Ok(reply) => Ok(reply),
            // It was lost on its way: nobody says so before the time is over.
            Err(_) => {
                tokio::time::sleep(within).await;
                Err(AskError::Unanswered)
            }
        }
    }

    fn state(&self) -> watch::Receiver<BusState> {
        let state = self.change(|station| station.state.subscribe());
        state.unwrap_or_else(|| watch::channel(BusState::Away).1)
    }

    fn backend(&self) -> &'static str {
        "net"
    }
}

#[async_trait]
impl Membership for End {
    fn me(&self) -> NodeInfo {
        let gone = || NodeInfo { id: self.id.clone(), incarnation: self.incarnation, state: NodeState::Draining };
        self.change(|station| station.info.clone()).unwrap_or_else(gone)
    }

    fn view(&self) -> watch::Receiver<Arc<View>> {
        let view = self.change(|station| station.view.subscribe());
        view.unwrap_or_else(|| watch::channel(Arc::default()).1)
    }

    async fn announce(&self, state: NodeState) -> Result<(), MembershipError> {
        let told = self.change(|station| {
            station.info.state = state;
            station.announced = station.is_connected();
            station.announced
        });
        self.net.world().spread();
        if told == Some(true) { Ok(()) } else { Err(MembershipError::Unavailable("not connected".into())) }
    }

    async fn leave(&self) {
        self.change(|station| station.announced = false);
        self.net.world().spread();
    }

    fn is_renewed(&self) -> bool {
        self.change(|station| station.announced && station.is_connected()).unwrap_or(false)
    }
}
