//! The subjects of a cluster on NATS: `parlance.<cluster>.room.<id>`, `….user.<id>`, `….node.<name>` and `….nodes`.

use parlance_schema::node::NodeId;
use parlance_schema::{RoomId, UserId};

/// What a node can listen to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// What happens in a room.
    Room(RoomId),
    /// What all sessions of a user are told.
    User(UserId),
    /// What all nodes are told.
    Nodes,
    /// What one node is asked.
    Node(NodeId),
}

impl Subject {
    /// As NATS has it, in a cluster of this name.
    #[must_use]
    pub fn of(&self, cluster: &str) -> String {
        match self {
            Subject::Room(room) => format!("parlance.{cluster}.room.{room}"),
            Subject::User(user) => format!("parlance.{cluster}.user.{user}"),
            Subject::Nodes => format!("parlance.{cluster}.nodes"),
            Subject::Node(node) => format!("parlance.{cluster}.node.{node}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_as_documented() {
        assert_eq!(Subject::Room(RoomId::new(7)).of("main"), "parlance.main.room.7");
        assert_eq!(Subject::User(UserId::new(8)).of("main"), "parlance.main.user.8");
        assert_eq!(Subject::Nodes.of("a-b"), "parlance.a-b.nodes");
        assert_eq!(Subject::Node("node-1".parse().unwrap()).of("main"), "parlance.main.node.node-1");
    }
}
