//! `stats`: how many are connected, to all nodes that answer in time.

use std::collections::HashSet;
use std::time::Duration;

use parlance_schema::user::{Principal, Role};
use parlance_schema::view::StatsView;
use parlance_schema::{Fault, RoomId};

use super::unavailable;
use crate::cluster::registries::Registries;
use crate::ports::bus::{Question, Reply};

/// How long another node may take to count its connections.
const COUNT: Duration = Duration::from_secs(2);

/// Counts the connections to all nodes that answer. Which rooms there are is not told to those who are in none of them.
pub(super) async fn stats(node: &Registries, who: Principal, all_rooms: bool) -> Result<StatsView, Fault> {
    let tenant = who.tenant;
    let mut stats = node.connections(tenant);
    let view = node.shared.cluster.now();
    let others = view.nodes().iter().filter(|other| other.id != *node.shared.cluster.me());
    let asked = others.map(|other| node.shared.bus.ask(&other.id, Question::Stats { tenant }, COUNT));
    for answer in futures_util::future::join_all(asked).await {
        if let Ok(Reply::Stats(theirs)) = answer {
            stats.add(&theirs);
        }
    }
    if !all_rooms && who.role < Role::TenantAdmin {
        let own = node.shared.store.rooms_of(who.user).await.map_err(unavailable)?;
        let own: HashSet<RoomId> = own.into_iter().collect();
        stats.per_room.retain(|room, _| own.contains(room));
    }
    Ok(stats)
}
