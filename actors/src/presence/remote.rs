//! Who is connected to other nodes: told by each of them as numbered news, and by a snapshot where news were missed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use parlance_schema::UserId;
use parlance_schema::node::{NodeId, View};
use parlance_schema::user::Status;

use super::registry::best;
use crate::ports::bus::PresenceNews;

/// The users of other nodes.
#[derive(Default)]
pub(crate) struct Others {
    nodes: Mutex<BTreeMap<NodeId, Node>>,
    /// The same by user, to be looked up.
    users: DashMap<UserId, Vec<(NodeId, Status, u32)>>,
}

#[derive(Default)]
struct Node {
    incarnation: u64,
    number: u64,
    users: BTreeSet<UserId>,
}

/// What news came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// They were taken in, or are known.
    Known,
    /// Something before them was missed.
    Gap,
    /// They are of a new start of the node: these users were connected to the one before.
    Another(Vec<UserId>),
}

impl Others {
    /// The most present status of a user on other nodes.
    pub(crate) fn status(&self, user: UserId) -> Status {
        self.users.get(&user).map(|nodes| best(nodes.iter().map(|(_, status, _)| *status))).unwrap_or_default()
    }

    /// Connections of a user to other nodes.
    pub(crate) fn connections(&self, user: UserId) -> usize {
        let count = |nodes: &Vec<(NodeId, Status, u32)>| nodes.iter().map(|(_, _, count)| *count as usize).sum();
        self.users.get(&user).map_or(0, |nodes| count(nodes.value()))
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<NodeId, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a node's news.
    pub(super) fn hear(&self, from: &NodeId, news: &PresenceNews) -> Heard {
        let mut nodes = self.nodes();
        let Some(node) = nodes.get_mut(from) else { return Heard::Gap };
        if node.incarnation != news.incarnation {
            drop(nodes);
            return Heard::Another(self.forget(from));
        }
        let next = node.number + u64::from(!news.users.is_empty());
        if news.number > next {
            return Heard::Gap;
        }
        if news.number == next && !news.users.is_empty() {
            node.number = next;
            self.put(from, node, &news.users);
        }
        Heard::Known
    }

    fn put(&self, from: &NodeId, node: &mut Node, users: &[(UserId, Status, u32)]) {
        for (user, status, count) in users {
            let mut nodes = self.users.entry(*user).or_default();
            nodes.retain(|(there, ..)| there != from);
            if *status == Status::Offline {
                node.users.remove(user);
            } else {
                nodes.push((from.clone(), *status, *count));
                node.users.insert(*user);
            }
            drop(nodes);
            self.users.remove_if(user, |_, nodes| nodes.is_empty());
        }
    }

    /// Takes all of a node's users, unless what is known is newer.
    pub(super) fn replace(&self, from: &NodeId, all: &PresenceNews) {
        let mut nodes = self.nodes();
        let node = nodes.entry(from.clone()).or_default();
        if node.incarnation == all.incarnation && node.number > all.number {
            return;
        }
        let there: BTreeSet<UserId> = all.users.iter().map(|(user, ..)| *user).collect();
        let gone: Vec<_> = node.users.difference(&there).map(|user| (*user, Status::Offline, 0)).collect();
        self.put(from, node, &gone);
        self.put(from, node, &all.users);
        (node.incarnation, node.number) = (all.incarnation, all.number);
    }

    /// Forgets a node; says who was connected to it.
    pub(super) fn forget(&self, node: &NodeId) -> Vec<UserId> {
        let mut nodes = self.nodes();
        let Some(mut there) = nodes.remove(node) else { return Vec::new() };
        let users: Vec<UserId> = there.users.iter().copied().collect();
        let gone: Vec<_> = users.iter().map(|user| (*user, Status::Offline, 0)).collect();
        self.put(node, &mut there, &gone);
        users
    }

    /// Nodes that are known and not in view, or in view as another incarnation.
    pub(super) fn gone(&self, view: &View) -> Vec<NodeId> {
        let nodes = self.nodes();
        let alive = |id: &NodeId, node: &Node| view.get(id).is_some_and(|info| info.incarnation == node.incarnation);
        nodes.iter().filter(|(id, node)| !alive(id, node)).map(|(id, _)| id.clone()).collect()
    }

    /// Whether a node's users are known.
    pub(super) fn knows(&self, node: &NodeId) -> bool {
        self.nodes().contains_key(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(incarnation: u64, number: u64, users: &[(u64, Status, u32)]) -> PresenceNews {
        let users = users.iter().map(|(user, status, count)| (UserId::new(*user), *status, *count)).collect();
        PresenceNews { incarnation, number, users }
    }

    #[test]
    fn news_are_taken_in_order_and_a_gap_is_noticed() {
        let (others, node): (Others, NodeId) = (Others::default(), "a".parse().unwrap());
        let ann = UserId::new(1);
        assert_eq!(others.hear(&node, &news(7, 1, &[(1, Status::Online, 1)])), Heard::Gap, "it is not known yet");
        others.replace(&node, &news(7, 1, &[(1, Status::Online, 1)]));
        assert_eq!((others.status(ann), others.connections(ann)), (Status::Online, 1));
        assert_eq!(others.hear(&node, &news(7, 2, &[(1, Status::Away, 2)])), Heard::Known);
        assert_eq!((others.status(ann), others.connections(ann)), (Status::Away, 2));
        assert_eq!(others.hear(&node, &news(7, 2, &[(1, Status::Online, 1)])), Heard::Known, "old news");
        assert_eq!(others.status(ann), Status::Away);
        assert_eq!(others.hear(&node, &news(7, 2, &[])), Heard::Known, "a beat");
        assert_eq!(others.hear(&node, &news(7, 3, &[])), Heard::Gap, "a beat that tells of lost news");
        assert_eq!(others.hear(&node, &news(7, 4, &[(1, Status::Offline, 0)])), Heard::Gap);
        others.replace(&node, &news(7, 4, &[(2, Status::Online, 1)]));
        assert_eq!((others.status(ann), others.status(UserId::new(2))), (Status::Offline, Status::Online));
        others.replace(&node, &news(7, 3, &[(1, Status::Online, 1)]));
        assert_eq!(others.status(ann), Status::Offline, "an old snapshot");
    }

    #[test]
    fn a_node_that_goes_takes_its_users_along_and_nobody_else_s() {
        let others = Others::default();
        let (a, b): (NodeId, NodeId) = ("a".parse().unwrap(), "b".parse().unwrap());
        others.replace(&a, &news(1, 0, &[(1, Status::Online, 1), (2, Status::Online, 1)]));
        others.replace(&b, &news(2, 0, &[(2, Status::DoNotDisturb, 3)]));
        assert_eq!(others.status(UserId::new(2)), Status::DoNotDisturb);
        assert_eq!(others.connections(UserId::new(2)), 4);
        assert_eq!(others.hear(&a, &news(9, 1, &[])), Heard::Another(vec![UserId::new(1), UserId::new(2)]));
        assert_eq!((others.status(UserId::new(1)), others.connections(UserId::new(2))), (Status::Offline, 3));
        assert_eq!(others.forget(&b), [UserId::new(2)]);
        assert!(others.users.is_empty());
    }
}
