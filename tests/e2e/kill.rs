//! `kill -9` under load: nothing acknowledged is lost, nothing is missing or doubled, and clients come back by themselves.

use crate::stage::Stage;

/// Rounds, where the environment (`PARLANCE_KILL_ROUNDS`) names no other number.
const ROUNDS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_that_it_acknowledged() {
    let rounds = std::env::var("PARLANCE_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let mut stage = Stage::set(4, 6).await;
    let traffic = stage.traffic(3);
    for round in 0..rounds {
        // How much is done before the kill differs from round to round, so that it meets appends at all stages.
        stage.acked_more(3 + (round as u64 * 37) % 120).await;
        stage.server.kill_in_turn(round);
        stage.server.restart().await;
    }
    stage.acked_more(20).await;
    traffic.stop().await;
    // Of several nodes, each is killed alone, and with the others: in half of the rounds.
    let kills = if stage.server.nodes.len() > 1 { rounds / 2 } else { rounds };
    for client in &stage.clients {
        let (connections, resets) = client.see(|state| (state.connections, state.resets));
        assert!(connections as usize > kills / 2, "{connections} connections in {kills} kills");
        assert_eq!(resets, 0);
    }
    let counts = stage.judge().await;
    println!("{rounds} rounds: {counts}");
}
