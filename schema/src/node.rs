//! Nodes of a cluster: their names, what state each is in, and a view of all of them.

use serde::{Deserialize, Serialize};

use crate::limits::NODE_ID_BYTES_MAX;

/// The name of a node, unique in its cluster: letters, digits, `-` and `_`, so that it can stand in a subject or a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(Box<str>);

/// Text that can't be a node's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node's name has 1 to {NODE_ID_BYTES_MAX} letters, digits, '-' and '_'")]
pub struct BadNodeId;

impl NodeId {
    /// The name of a node that is alone.
    #[must_use]
    pub fn single() -> Self {
        Self("alone".into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeId {
    type Error = BadNodeId;

    fn try_from(name: String) -> Result<Self, BadNodeId> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = (1..=NODE_ID_BYTES_MAX).contains(&name.len());
        if fits && name.bytes().all(good) { Ok(Self(name.into())) } else { Err(BadNodeId) }
    }
}

impl std::str::FromStr for NodeId {
    type Err = BadNodeId;

    fn from_str(name: &str) -> Result<Self, BadNodeId> {
        Self::try_from(name.to_owned())
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> String {
        id.0.into()
    }
}

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a node is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Not ready yet: no room is at home there.
    Starting,
    /// Serves; rooms are placed over the nodes in this state.
    Ready,
    /// Serves, but can't reach its store: rooms are at home there only while no node is ready.
    Degraded,
    /// Is about to stop: its rooms move away.
    Draining,
}

/// A node as its cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name.
    pub id: NodeId,
    /// A random number of this start, so that a node that came back is told from the one before.
    pub incarnation: u64,
    /// What it is about.
    pub state: NodeState,
}

/// The live nodes, by name; a view may be wrong for a while, and nothing but speed rests on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    nodes: Vec<NodeInfo>,
}

impl View {
    /// A view of these nodes; of two with one name the later one counts.
    #[must_use]
    pub fn new(nodes: impl IntoIterator<Item = NodeInfo>) -> Self {
        let by_id: std::collections::BTreeMap<NodeId, NodeInfo> =
            nodes.into_iter().map(|node| (node.id.clone(), node)).collect();
        Self { nodes: by_id.into_values().collect() }
    }

    /// All nodes, in the order of their names.
    #[must_use]
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// The nodes that are ready.
    pub fn ready(&self) -> impl Iterator<Item = &NodeInfo> {
        self.nodes.iter().filter(|node| node.state == NodeState::Ready)
    }

    /// The nodes that rooms are placed over: those that are ready; where none is, those that are degraded.
    pub fn homes(&self) -> impl Iterator<Item = &NodeInfo> {
        let state = if self.ready().next().is_some() { NodeState::Ready } else { NodeState::Degraded };
        self.nodes.iter().filter(move |node| node.state == state)
    }

    /// A node by name.
    #[must_use]
    pub fn get(&self, id: &NodeId) -> Option<&NodeInfo> {
        self.nodes.iter().find(|node| node.id == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_stand_in_subjects_and_keys() {
        for good in ["a", "node-1", "N_2", &"x".repeat(NODE_ID_BYTES_MAX)] {
            assert!(good.parse::<NodeId>().is_ok(), "{good}");
        }
        for bad in ["", "a.b", "a b", "*", ">", "é", &"x".repeat(NODE_ID_BYTES_MAX + 1)] {
            assert_eq!(bad.parse::<NodeId>(), Err(BadNodeId), "{bad}");
        }
    }

    #[test]
    fn a_view_has_each_name_once_in_order() {
        let node = |id: &str, incarnation, state| NodeInfo { id: id.parse().unwrap(), incarnation, state };
        let view = View::new([
            node("b", 1, NodeState::Ready),
            node("a", 2, NodeState::Draining),
            node("b", 3, NodeState::Ready),
        ]);
        assert_eq!(view.nodes(), [node("a", 2, NodeState::Draining), node("b", 3, NodeState::Ready)]);
        assert_eq!(view.ready().count(), 1);
    }
}
