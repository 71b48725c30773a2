//! Which node a room is at home on: rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit
//! rates", 1998). Each node's weight for a room is a hash of both, and the heaviest one is its home. When a node comes or
//! goes, only the rooms move that are placed on it.

use parlance_schema::RoomId;
use parlance_schema::node::NodeId;

/// The room's home among `nodes`; `None` when there are none. The same for the same set, whatever its order.
pub fn home<'a>(room: RoomId, nodes: impl Iterator<Item = &'a NodeId>) -> Option<&'a NodeId> {
    nodes.max_by_key(|node| (weight(room, node), *node))
}

/// FNV-1a over the name, mixed with the room by the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
fn weight(room: RoomId, node: &NodeId) -> u64 {
    let name = node
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mix(name ^ mix(room.get()))
}

fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn nodes(count: usize) -> Vec<NodeId> {
        (0..count).map(|at| format!("node-{at}").parse().unwrap()).collect()
    }

    fn rooms() -> impl Iterator<Item = RoomId> {
        (1..=30_000).map(RoomId::new)
    }

    #[test]
    fn rooms_spread_evenly() {
        let nodes = nodes(5);
        let mut count: BTreeMap<&NodeId, u32> = BTreeMap::new();
        rooms().for_each(|room| *count.entry(home(room, nodes.iter()).unwrap()).or_default() += 1);
        // 6,000 each; six standard deviations of a binomial distribution are 416.
        assert!(count.len() == 5 && count.values().all(|n| n.abs_diff(6_000) < 416), "{count:?}");
    }

    #[test]
    fn only_the_rooms_of_a_node_that_goes_move() {
        let (before, after) = (nodes(4), nodes(3));
        for room in rooms() {
            let (was, is) = (home(room, before.iter()).unwrap(), home(room, after.iter()).unwrap());
            assert!(was == is || *was == before[3]);
        }
    }

    #[test]
    fn order_does_not_matter_and_none_has_none() {
        let nodes = nodes(4);
        assert!(rooms().all(|room| home(room, nodes.iter()) == home(room, nodes.iter().rev())));
        assert_eq!(home(RoomId::new(1), [].into_iter()), None);
    }

    #[test]
    fn homes_never_change_with_a_version() {
        let nodes = nodes(3);
        let homes: Vec<&str> = (1..=8).map(|room| home(RoomId::new(room), nodes.iter()).unwrap().as_str()).collect();
        assert_eq!(homes, HOMES);
    }

    /// What the functions above came to when they were written; nodes of different versions must agree.
    const HOMES: [&str; 8] = ["node-2", "node-2", "node-1", "node-1", "node-2", "node-0", "node-0", "node-1"];
}
