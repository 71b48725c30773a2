//! What nodes tell each other of their users: what changed, numbered and gathered for a moment; a beat with the last number; all
//! of them, where something was missed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use parlance_schema::UserId;
use parlance_schema::node::NodeId;
use parlance_schema::user::Status;
use ractor::ActorRef;

use super::actor::{Msg, State, publish};
use super::remote::Heard;
use crate::ports::bus::{NodeEvent, PresenceNews, Question, Reply};

/// How long changes are gathered.
pub(super) const FLUSH: Duration = Duration::from_millis(250);
/// How often the last number is told, so that news which were lost and followed by none are noticed.
pub(super) const BEAT: Duration = Duration::from_secs(10);
/// How long an answer may take, and how long it is until it is asked again.
const ASK: Duration = Duration::from_secs(1);
/// Users in one piece of news.
const NEWS_MAX: usize = 2_000;

impl State {
    pub(super) fn news(&mut self, me: &ActorRef<Msg>, from: NodeId, news: &PresenceNews) {
        match self.online.others.hear(&from, news) {
            Heard::Known => {}
            Heard::Gap => self.ask(me, from),
            Heard::Another(users) => {
                self.node_lost(me, users);
                self.ask(me, from);
            }
        }
    }

    pub(super) fn snapshot(&mut self, me: &ActorRef<Msg>, from: NodeId, all: Option<PresenceNews>) {
        self.asking.remove(&from);
        let view = self.shared.cluster.now();
        let Some(info) = view.get(&from) else { return };
        match all {
            // One from before it started anew is of no use.
            Some(all) if all.incarnation == info.incarnation => self.online.others.replace(&from, &all),
            _ => drop(me.send_after(ASK, || Msg::Viewed)),
        }
    }

    /// Asks a node for all of its users.
    fn ask(&mut self, me: &ActorRef<Msg>, node: NodeId) {
        if !self.asking.insert(node.clone()) {
            return;
        }
        let (shared, me) = (self.shared.clone(), me.clone());
        tokio::spawn(async move {
            let all = match shared.bus.ask(&node, Question::Presence, ASK).await {
                Ok(Reply::Presence(all)) => Some(all),
                _ => None,
            };
            let _ = me.cast(Msg::Snapshot(node, all));
        });
    }

    /// Forgets the users of nodes that are gone, and asks for those of new ones.
    pub(super) fn viewed(&mut self, me: &ActorRef<Msg>) {
        let view = self.shared.cluster.now();
        for node in self.online.others.gone(&view) {
            let users = self.online.others.forget(&node);
            tracing::info!(%node, users = users.len(), "a node is gone, and its users with it");
            self.node_lost(me, users);
        }
        let others = view.nodes().iter().filter(|node| node.id != *self.shared.cluster.me());
        let unknown: Vec<NodeId> =
            others.map(|node| node.id.clone()).filter(|id| !self.online.others.knows(id)).collect();
        unknown.into_iter().for_each(|node| self.ask(me, node));
        self.online.clustered.store(!self.shared.cluster.is_single_node(), Ordering::Release);
    }

    /// Users whose node has died may come back elsewhere in a moment.
    fn node_lost(&self, me: &ActorRef<Msg>, users: Vec<UserId>) {
        if !users.is_empty() {
            let wait = Duration::from_millis(self.shared.options.offline_after_ms);
            me.send_after(wait, move || Msg::LostNode(users));
        }
    }

    /// Tells the rooms of users whose node has died, for whom nobody else does.
    pub(super) fn announce_lost(&self, users: Vec<UserId>) {
        for user in users {
            let here = self.online.users.contains_key(&user);
            if here || self.shared.cluster.speaks_for(user) {
                let offline = self.online.status(user) == Status::Offline;
                publish(&self.shared, &self.online, user, offline.then(|| self.shared.clock.now()));
            }
        }
    }

    /// Tells the other nodes what changed.
    pub(super) fn flush(&self) {
        let online = &self.online;
        let changed = std::mem::take(&mut *online.changed());
        let users: Vec<_> = changed.into_iter().map(|user| online.here(user)).collect();
        for users in users.chunks(NEWS_MAX) {
            let number = online.number.fetch_add(1, Ordering::AcqRel) + 1;
            self.publish(number, users.to_vec());
        }
    }

    pub(super) fn beat(&self) {
        if !self.shared.cluster.is_single_node() {
            self.publish(self.online.number.load(Ordering::Acquire), Vec::new());
        }
    }

    fn publish(&self, number: u64, users: Vec<(UserId, Status, u32)>) {
        let incarnation = self.shared.cluster.incarnation();
        self.shared.bus.publish_nodes(NodeEvent::Presence(PresenceNews { incarnation, number, users }));
    }
}
