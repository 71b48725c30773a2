//! Presence, typing, read marks, invitations and revoked tokens across nodes; draining.

use parlance_actors::node::Options;
use parlance_actors::ports::bus::Bus;
use parlance_actors::service::Service;
use parlance_schema::notice::Notice;
use parlance_schema::{Code, UserId};
use serde_json::{Value, json};

use super::Flock;
use super::net::Link;
use crate::actors::bed::{Client, eventually, pass, send};

const CUT: Link = Link { cut: true, delay_ms: (0, 0), lost: 0, twice: 0, mute: false };

/// What a client was told of a user's status, in order.
fn told(client: &Client, room: u64, user: u64) -> Vec<Value> {
    let of = |push: &&&Value| push["room"] == room && push["user"] == user;
    client.pushed("presence").iter().filter(of).map(|push| push["status"].clone()).collect()
}

async fn status(flock: &Flock, node: usize, who: u64, user: u64) -> Value {
    let asked = json!({"op": "whereabouts", "users": [user]});
    flock.nodes[node].perform(who, asked).await.unwrap()["presence"][0]["status"].clone()
}

#[tokio::test(start_paused = true)]
async fn presence_is_that_of_all_nodes_together() {
    let flock = Flock::new(3).await;
    let room = flock.group_on(0, 3, 1, &[2]).await;
    let mut one = flock.nodes[0].client(1).await;
    let mut two = flock.nodes[1].client(2).await;
    pass(1_000).await;
    one.drain();
    assert_eq!(told(&one, room, 2), ["online"]);
    for node in 0..3 {
        assert_eq!(status(&flock, node, 1, 2).await, "online", "on node {node}");
    }
    // A second device elsewhere is no news; the first one's end is none either.
    let mut second = flock.nodes[2].client(2).await;
    pass(1_000).await;
    drop(two.leave());
    pass(10_000).await;
    one.drain();
    assert_eq!(told(&one, room, 2), ["online"]);
    second.ask(json!({"op": "presence", "status": "away"})).await;
    pass(1_000).await;
    one.drain();
    assert_eq!(told(&one, room, 2), ["online", "away"]);
    // Over no connection, on a node where the user has none.
    flock.nodes[0].perform(2, json!({"op": "presence", "status": "do_not_disturb"})).await.unwrap();
    pass(1_000).await;
    assert_eq!(status(&flock, 1, 1, 2).await, "do_not_disturb");
    drop(second.leave());
    pass(10_000).await;
    one.drain();
    assert_eq!(told(&one, room, 2), ["online", "away", "do_not_disturb", "offline"]);
    two = flock.nodes[0].client(2).await;
    pass(1_000).await;
    assert_eq!(status(&flock, 2, 1, 2).await, "online");
    drop(two.leave());
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_s_users_go_offline_once() {
    let mut flock = Flock::new(3).await;
    let room = flock.group_on(0, 3, 1, &[2, 3]).await;
    let mut one = flock.nodes[0].client(1).await;
    let mut three = flock.nodes[1].client(3).await;
    let two = flock.nodes[2].client(2).await;
    pass(1_000).await;
    flock.net.kill("c");
    let dead = flock.nodes.pop();
    pass(5_000).await;
    assert_eq!(status(&flock, 0, 1, 2).await, "online", "nobody says yet that it is dead");
    flock.net.expire("c");
    pass(10_000).await;
    for client in [&mut one, &mut three] {
        client.drain();
        assert_eq!(told(client, room, 2), ["online", "offline"], "client {}", client.id);
    }
    for node in 0..2 {
        assert_eq!(status(&flock, node, 1, 2).await, "offline");
    }
    let seen = flock.nodes[0].perform(1, json!({"op": "whereabouts", "users": [2]})).await.unwrap();
    assert!(seen["presence"][0]["last_seen"].is_number(), "{seen}");
    drop((two, dead));
}

#[tokio::test(start_paused = true)]
async fn lost_presence_is_noticed_and_traffic_is_of_joins_and_leaves_alone() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(0, 2, 1, &[2]).await;
    let one = flock.nodes[0].client(1).await;
    pass(5_000).await;
    flock.net.link("b", "a", CUT);
    let two = flock.nodes[1].client(2).await;
    pass(1_000).await;
    assert_eq!(status(&flock, 0, 1, 2).await, "offline");
    flock.net.link("b", "a", Link::default());
    pass(12_000).await;
    assert_eq!(status(&flock, 0, 1, 2).await, "online");
    // Forty who come within one gathering are one piece of news, and nobody stays news.
    pass(61_000).await;
    let before = flock.net.sent();
    let mut crowd = Vec::new();
    for id in 3..43 {
        crowd.push(flock.nodes[1].connect(id).await);
    }
    pass(1_000).await;
    assert!(flock.net.sent() - before <= 6, "{} messages", flock.net.sent() - before);
    drop((one.leave(), two.leave(), room));
}

#[tokio::test(start_paused = true)]
async fn connections_of_a_user_are_counted_over_all_nodes() {
    let flock = Flock::with(2, Options { connections_per_user: 3, ..Options::default() }).await;
    let _held = [flock.nodes[0].connect(1).await, flock.nodes[0].connect(1).await, flock.nodes[1].connect(1).await];
    pass(1_000).await;
    for node in &flock.nodes {
        let link = parlance_actors::link::Link::new(
            node.node.next_session(),
            crate::actors::bed::principal(1),
            std::sync::Arc::new(parlance::gateway::native::Json),
            u64::MAX,
        );
        assert_eq!(node.node.connect(link).await.err().map(|fault| fault.code), Some(Code::RateLimited));
    }
    let stats = flock.nodes[0].perform(1, json!({"op": "stats"})).await.unwrap();
    assert_eq!(stats["connections"], 3, "{stats}");
}

#[tokio::test(start_paused = true)]
async fn typing_and_read_marks_reach_other_nodes_and_unread_counts_follow() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(0, 2, 1, &[2]).await;
    let (mut one, mut two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    for n in 0..4 {
        one.ask(send(room, &format!("{n}"))).await;
    }
    two.reach(room, 5).await;
    two.ask(json!({"op": "typing", "room": room, "on": true})).await;
    one.push("typing").await;
    let unread = async |node: usize| {
        flock.nodes[node].perform(2, json!({"op": "room", "room": room})).await.unwrap()["unread"].clone()
    };
    assert_eq!((unread(0).await, unread(1).await), (json!(4), json!(4)));
    two.ask(json!({"op": "read", "room": room, "seq": 3})).await;
    pass(100).await;
    assert_eq!((unread(0).await, unread(1).await), (json!(2), json!(2)));
    // A mark that was lost with the bus is read from the store when that is back.
    flock.net.connected("a", false);
    two.ask(json!({"op": "read", "room": room, "seq": 5})).await;
    pass(1_000).await;
    assert_eq!(unread(0).await, 2);
    flock.net.connected("a", true);
    pass(1_000).await;
    assert_eq!((unread(0).await, unread(1).await), (json!(0), json!(0)));
}

/// A mark is published before it is written: a relay that begins in between finds it in neither place.
#[tokio::test(start_paused = true)]
async fn a_read_mark_set_as_another_node_begins_to_relay_is_found() {
    let flock = Flock::new(3).await;
    let room = flock.group_on(0, 2, 1, &[2]).await;
    let mut two = flock.nodes[1].client(2).await;
    for n in 0..4 {
        flock.nodes[0].perform(1, send(room, &format!("{n}"))).await.unwrap();
    }
    two.reach(room, 5).await;
    let unread = async |node: usize| {
        flock.nodes[node].perform(2, json!({"op": "room", "room": room})).await.unwrap()["unread"].clone()
    };
    two.ask(json!({"op": "read", "room": room, "seq": 5})).await;
    assert_eq!(unread(1).await, 0);
    let at_first = unread(2).await;
    pass(3_000).await;
    assert_eq!((at_first, unread(2).await), (json!(4), json!(0)));
}

#[tokio::test(start_paused = true)]
async fn an_invitation_that_was_lost_is_found() {
    let flock = Flock::with(2, Options { silence_ms: u64::MAX, ..Options::default() }).await;
    let mut two = flock.nodes[1].client(2).await;
    flock.net.links(Link { mute: true, ..Link::default() });
    let room = flock.group_on(0, 2, 1, &[2]).await;
    flock.nodes[0].perform(1, send(room, "are you there?")).await.unwrap();
    flock.net.links(Link::default());
    pass(1_000).await;
    two.drain();
    let added = |client: &Client| client.pushed("room_added").iter().filter(|push| push["room"] == room).count();
    assert_eq!(added(&two), 0);
    pass(85_000).await;
    two.drain();
    assert_eq!(added(&two), 1);
    two.reach(room, 2).await;
    assert_eq!(two.seqs(room), [1, 2]);
    pass(150_000).await;
    two.drain();
    assert_eq!(two.seqs(room), [1, 2], "it was pushed again");
}

#[tokio::test(start_paused = true)]
async fn revoked_tokens_close_connections_on_all_nodes() {
    let flock = Flock::new(2).await;
    let (mut here, mut there) = (flock.nodes[0].client(2).await, flock.nodes[1].client(2).await);
    let (bus, _) = flock.net.join("z", 9);
    bus.publish_user(UserId::new(2), Notice::Revoked { before: 1 });
    assert_eq!((here.closed().await, there.closed().await), (4_401, 4_401));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_void_is_noticed_when_the_notice_was_lost() {
    let flock = Flock::with(2, Options { silence_ms: u64::MAX, ..Options::default() }).await;
    let mut client = flock.nodes[1].client(5).await;
    client.link.liveness.keep_token("5");
    pass(90_000).await;
    client.drain();
    assert_eq!(client.close, None, "a good token was refused");
    // The same token is another one's now, as after a change of role.
    client.link.liveness.keep_token("6");
    pass(85_000).await;
    client.drain();
    assert_eq!(client.close, Some(4_401));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_loses_nothing_and_sends_its_clients_away_in_turn() {
    let options = Options { commands_per_s: 0, reconnects_per_s: 20, ..Options::default() };
    let flock = Flock::with(2, options).await;
    let room = flock.group_on(0, 2, 1, &[2]).await;
    let mut crowd = Vec::new();
    for id in 20..60 {
        crowd.push(flock.nodes[0].connect(id).await);
    }
    let (mut one, mut two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    let asked: Vec<u64> = (0..20).map(|n| one.tell(send(room, &format!("{n}")))).collect();
    let began = tokio::time::Instant::now();
    let node = &flock.nodes[0];
    let drained = async {
        node.node.drain(0).await;
        node.node.stop().await;
    };
    let clients = async {
        for n in asked {
            assert!(one.reply(n).await.get("ok").is_some());
        }
        let mut times = Vec::new();
        while times.len() < 40 {
            pass(10).await;
            for client in crowd.iter_mut().filter(|client| client.close.is_none()) {
                client.drain();
                if let Some(code) = client.close {
                    assert_eq!(code, 1_012);
                    times.push(began.elapsed().as_millis());
                    client.link.gone();
                    client.receiver.closed(&client.link);
                }
            }
            one.drain();
            if one.close.is_some() {
                one.link.gone();
                one.receiver.closed(&one.link);
            }
        }
        times
    };
    let ((), times) = tokio::join!(drained, clients);
    for window in times.windows(23) {
        assert!(window[22] - window[0] >= 900, "a burst: {times:?}");
    }
    two.ask(send(room, "after")).await;
    two.reach(room, 22).await;
    assert_eq!(flock.nodes[1].said(room).await.len(), 21);
    let health = flock.nodes[1].node.health().await;
    assert_eq!(health.cluster.nodes.len(), 1, "{health:?}");
    eventually("no room is left there", async || flock.nodes[0].picture(&format!("rooms/{room}")).await.is_null())
        .await;
}

#[tokio::test(start_paused = true)]
async fn health_tells_of_a_bus_that_is_away() {
    let flock = Flock::new(2).await;
    let health = flock.nodes[0].node.health().await;
    assert!(health.ready && health.cluster.connected && health.cluster.renewed, "{health:?}");
    assert_eq!(health.cluster.nodes.len(), 2);
    flock.net.connected("a", false);
    let health = flock.nodes[0].node.health().await;
    assert!(health.ready && !health.cluster.connected && !health.cluster.renewed, "{health:?}");
}
