//! Commands for rooms that are at home elsewhere.

use std::sync::atomic::Ordering;

use parlance_schema::Code;
use serde_json::json;

use super::net::Link;
use super::{Flock, NAMES};
use crate::actors::bed::{eventually, pass, send, send_as};
use crate::actors::faults::Twist;

#[tokio::test(start_paused = true)]
async fn a_command_is_done_at_its_room_s_home_and_all_members_see_it() {
    let flock = Flock::new(3).await;
    for (at, home) in NAMES.into_iter().enumerate().take(3) {
        let room = flock.group_on(at, 3, 1, &[2, 3]).await;
        let mut clients = Vec::new();
        for (node, id) in flock.nodes.iter().zip(1..) {
            clients.push(node.client(id).await);
        }
        for client in &mut clients {
            let text = format!("from {}", client.id);
            assert_eq!(client.ask(send(room, &text)).await["seq"], client.id + 1);
        }
        for client in &mut clients {
            client.reach(room, 4).await;
        }
        for (node, name) in flock.nodes.iter().zip(NAMES) {
            let awake = !node.picture(&format!("rooms/{room}")).await.is_null();
            assert_eq!(awake, name == home, "on {name}");
        }
        clients.into_iter().for_each(|client| drop(client.leave()));
    }
}

#[tokio::test(start_paused = true)]
async fn who_sends_many_at_once_keeps_their_order_over_a_link_that_loses_and_repeats() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(1, 2, 1, &[2]).await;
    let (mut one, mut two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    flock.net.links(Link { lost: 150, twice: 150, delay_ms: (0, 30), ..Link::default() });
    for round in 0..6 {
        let asked: Vec<u64> = (0..30)
            .map(|n| one.tell(send_as(room, &format!("{}", round * 30 + n), &format!("{}", round * 30 + n))))
            .collect();
        for n in asked {
            let reply = one.reply(n).await;
            assert!(reply.get("ok").is_some(), "{reply}");
        }
    }
    let said = flock.nodes[0].said(room).await;
    assert_eq!(said, (0..180).map(|n| n.to_string()).collect::<Vec<_>>());
    two.reach(room, 181).await;
    one.reach(room, 181).await;
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_answer_is_lost_is_done_once() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(1, 2, 1, &[2]).await;
    let mut one = flock.nodes[0].client(1).await;
    flock.net.link("b", "a", Link { cut: true, ..Link::default() });
    let n = one.tell(send_as(room, "once", "x"));
    eventually("it is done", async || flock.nodes[0].said(room).await == ["once"]).await;
    flock.net.link("b", "a", Link::default());
    assert_eq!(one.reply(n).await["ok"]["seq"], 2);
    assert_eq!(flock.nodes[0].said(room).await, ["once"]);
}

#[tokio::test(start_paused = true)]
async fn while_the_bus_is_away_rooms_at_home_here_work_and_others_are_refused_clearly() {
    let flock = Flock::new(2).await;
    let (here, there) = (flock.group_on(0, 2, 1, &[2]).await, flock.group_on(1, 2, 1, &[2]).await);
    let (mut one, mut two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    flock.net.connected("a", false);
    one.ask(send(here, "here")).await;
    let n = one.tell(send(there, "there"));
    let fault = one.reply(n).await["fault"].clone();
    assert_eq!((&fault["code"], &fault["retry"]), (&json!("busy"), &json!("later")));
    let fault = flock.nodes[0].perform(1, send(there, "there")).await.unwrap_err();
    assert_eq!(fault.code, Code::Busy);
    assert!(flock.nodes[0].said(there).await.is_empty());
    flock.net.connected("a", true);
    one.ask(send(there, "again")).await;
    two.reach(there, 2).await;
    two.reach(here, 2).await;
}

#[tokio::test(start_paused = true)]
async fn nodes_whose_views_differ_still_get_everything_done() {
    let flock = Flock::new(2).await;
    let (one_s, two_s) = (flock.group_on(0, 2, 1, &[2]).await, flock.group_on(1, 2, 1, &[2]).await);
    let (mut one, mut two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    flock.net.follow(false);
    // Each thinks that the other one has everything; then each that it has everything itself.
    for (a, b) in [(["b"], ["a"]), (["a"], ["b"])] {
        flock.net.see("a", &a);
        flock.net.see("b", &b);
        for _ in 0..5 {
            for room in [one_s, two_s] {
                let asked = [one.tell(send(room, "one")), two.tell(send(room, "two"))];
                assert!(one.reply(asked[0]).await.get("ok").is_some());
                assert!(two.reply(asked[1]).await.get("ok").is_some());
            }
        }
    }
    flock.net.follow(true);
    for room in [one_s, two_s] {
        one.reach(room, 21).await;
        two.reach(room, 21).await;
    }
}

#[tokio::test(start_paused = true)]
async fn rooms_move_with_what_waits_in_them_and_back() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(0, 2, 1, &[2]).await;
    let (mut one, mut two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    flock.net.follow(false);
    let mut asked = Vec::new();
    for round in 0..8 {
        flock.store.script([Twist::Slow(40)]);
        for n in 0..10 {
            asked.push(one.tell(send(room, &format!("{}", round * 20 + n))));
        }
        pass(10).await;
        let ready = [["b"], ["a"]][round % 2];
        flock.net.see("a", &ready);
        flock.net.see("b", &ready);
        for n in 10..20 {
            asked.push(one.tell(send(room, &format!("{}", round * 20 + n))));
        }
        for n in asked.drain(..) {
            let reply = one.reply(n).await;
            assert!(reply.get("ok").is_some(), "{reply}");
        }
        eventually("it is awake at home alone", async || {
            let path = format!("rooms/{room}");
            flock.nodes[round % 2].picture(&path).await.is_null()
        })
        .await;
    }
    assert_eq!(flock.nodes[0].said(room).await, (0..160).map(|n| n.to_string()).collect::<Vec<_>>());
    one.reach(room, 161).await;
    two.reach(room, 161).await;
}

#[tokio::test(start_paused = true)]
async fn two_who_both_think_that_it_is_theirs_lose_and_double_nothing() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(0, 2, 1, &[2]).await;
    let (mut one, mut two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    flock.net.follow(false);
    flock.net.see("b", &["b"]);
    flock.store.read_ms.store(3, Ordering::SeqCst);
    let mut asked = Vec::new();
    for n in 0..30 {
        asked.push((one.tell(send(room, &format!("a{n}"))), two.tell(send(room, &format!("b{n}")))));
        pass(2).await;
    }
    // The views agree before anybody's time is over.
    pass(300).await;
    flock.net.follow(true);
    for (a, b) in asked {
        let (a, b) = (one.reply(a).await, two.reply(b).await);
        assert!(a.get("ok").is_some() && b.get("ok").is_some(), "{a} {b}");
    }
    one.reach(room, 61).await;
    two.reach(room, 61).await;
    let said = flock.nodes[0].said(room).await;
    for of in ["a", "b"] {
        let theirs: Vec<_> = said.iter().filter(|text| text.starts_with(of)).cloned().collect();
        assert_eq!(theirs, (0..30).map(|n| format!("{of}{n}")).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_refused_twice_is_left_to_its_home() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(0, 2, 1, &[2]).await;
    let (mut one, mut two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    one.ask(send(room, "before")).await;
    flock.net.follow(false);
    // Each sends the other one's commands back: the one that was asked does it after all, until somebody writes behind it.
    flock.net.see("a", &["b"]);
    flock.net.see("b", &["a"]);
    flock.store.script([Twist::Foreign(1), Twist::Foreign(1), Twist::Foreign(1)]);
    let asked: Vec<u64> = (0..10).map(|n| one.tell(send(room, &format!("{n}")))).collect();
    pass(200).await;
    flock.net.see("b", &["b"]);
    for n in asked {
        let reply = one.reply(n).await;
        assert!(reply.get("ok").is_some(), "{reply}");
    }
    let said = flock.nodes[0].said(room).await;
    let own: Vec<_> = said.iter().filter(|text| text.parse::<u64>().is_ok()).cloned().collect();
    assert_eq!(own, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    let last = said.len() as u64 + 1;
    two.reach(room, last).await;
    one.reach(room, last).await;
    eventually("it has left the node that is not its home", async || {
        flock.nodes[0].picture(&format!("rooms/{room}")).await.is_null()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_has_its_rooms_served_by_others_and_nothing_is_lost() {
    let mut flock = Flock::new(3).await;
    let room = flock.group_on(2, 3, 1, &[2]).await;
    let (mut one, mut two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    one.ask(send(room, "before")).await;
    flock.net.kill("c");
    let dead = flock.nodes.pop().unwrap();
    let asked: Vec<u64> = (0..10).map(|n| one.tell(send(room, &format!("{n}")))).collect();
    pass(5_000).await;
    flock.net.expire("c");
    for n in asked {
        assert!(one.reply(n).await.get("ok").is_some());
    }
    two.reach(room, 12).await;
    one.reach(room, 12).await;
    drop(dead);
}
