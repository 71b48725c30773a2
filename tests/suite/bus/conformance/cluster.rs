//! What holds between nodes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parlance_actors::ports::bus::{
    AskError, NodeEvent, PresenceNews, Question, Reply, Responder, RoomEvent, Subscription,
};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::node::NodeId;
use parlance_schema::notice::Notice;
use parlance_schema::{RoomId, UserId};

use super::{Bed, Heard, appended, entry, eventually, open, open_user, seqs};

pub const NODES: usize = 3;
const ROOM: RoomId = RoomId::new(12);
const WITHIN: Duration = Duration::from_secs(10);

/// All nodes listen to a room, and have heard the first one's marker.
async fn audience(bed: &Bed, room: RoomId) -> (Vec<Heard<RoomEvent>>, Vec<Subscription>) {
    let heard: Vec<_> = bed.members.iter().map(|_| Heard::new()).collect();
    let sinks = bed.members.iter().zip(&heard);
    let listening = sinks.map(|(member, heard)| member.bus.subscribe_room(room, heard.sink())).collect();
    for from in 0..bed.members.len() {
        for heard in &heard {
            open(bed.bus(from), room, from as u64 + 1, heard).await;
        }
    }
    (heard, listening)
}

pub async fn all_hear_once_and_in_order(bed: &Bed) {
    let (heard, _listening) = audience(bed, ROOM).await;
    let all: Vec<_> = (1..=1_000).collect();
    for seq in &all {
        bed.bus(0).publish_room(ROOM, appended(*seq));
        if seq % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for heard in &heard {
        eventually("the last entry", || seqs(&heard.all()).last() == Some(&1_000)).await;
        assert_eq!(seqs(&heard.all()), all);
    }
}

pub async fn order_is_kept_per_publisher(bed: &Bed) {
    let (heard, _listening) = audience(bed, ROOM).await;
    for seq in 1..=300 {
        for from in 0..NODES {
            bed.bus(from).publish_room(ROOM, appended(1_000 * from as u64 + seq));
        }
        if seq % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for heard in &heard {
        eventually("all entries", || seqs(&heard.all()).len() == 300 * NODES).await;
        for from in 0..NODES as u64 {
            let of: Vec<_> = seqs(&heard.all()).into_iter().filter(|seq| seq / 1_000 == from).collect();
            assert_eq!(of, (from * 1_000 + 1..=from * 1_000 + 300).collect::<Vec<_>>());
        }
    }
}

pub async fn what_one_says_does_not_come_back(bed: &Bed) {
    let (heard, _listening) = audience(bed, ROOM).await;
    bed.bus(0).publish_room(ROOM, appended(1));
    eventually("the first", || seqs(&heard[1].all()) == [1]).await;
    // What comes after it on the same way tells that it would have come.
    bed.bus(1).publish_room(ROOM, appended(2));
    eventually("the second", || seqs(&heard[0].all()).contains(&2)).await;
    assert_eq!(seqs(&heard[0].all()), [1, 2]);
}

pub async fn sinks_of_one_node_hear_once_each(bed: &Bed) {
    let (heard, _listening) = audience(bed, ROOM).await;
    let second = Heard::new();
    let again = bed.bus(1).subscribe_room(ROOM, second.sink());
    bed.bus(0).publish_room(ROOM, appended(1));
    eventually("both", || !seqs(&second.all()).is_empty() && !seqs(&heard[1].all()).is_empty()).await;
    drop(again);
    bed.bus(0).publish_room(ROOM, appended(2));
    eventually("the one that is left", || seqs(&heard[1].all()).contains(&2)).await;
    assert_eq!((seqs(&heard[1].all()), seqs(&second.all())), (vec![1, 2], vec![1]));
}

pub async fn nobody_hears_after_unsubscribing(bed: &Bed) {
    let (heard, mut listening) = audience(bed, ROOM).await;
    drop(listening.remove(1));
    let before = heard[1].len();
    bed.bus(0).publish_room(ROOM, appended(1));
    eventually("who still listens", || seqs(&heard[2].all()) == [1]).await;
    let again = Heard::new();
    let _again = bed.bus(1).subscribe_room(ROOM, again.sink());
    open(bed.bus(0), ROOM, 1, &again).await;
    bed.bus(0).publish_room(ROOM, appended(2));
    eventually("who listens again", || seqs(&again.all()) == [2]).await;
    assert_eq!(heard[1].len(), before);
}

pub async fn users_hear(bed: &Bed) {
    let (ada, bob) = (UserId::new(1), UserId::new(2));
    let (hers, elsewhere, his) = (Heard::new(), Heard::new(), Heard::new());
    let _hers = bed.bus(0).subscribe_user(ada, hers.sink());
    let _elsewhere = bed.bus(1).subscribe_user(ada, elsewhere.sink());
    let _his = bed.bus(1).subscribe_user(bob, his.sink());
    open_user(bed.bus(2), ada, &hers).await;
    open_user(bed.bus(2), ada, &elsewhere).await;
    open_user(bed.bus(2), bob, &his).await;
    let added = Notice::RoomAdded { room: ROOM };
    bed.bus(2).publish_user(ada, added.clone());
    for heard in [&hers, &elsewhere] {
        eventually("her sessions", || heard.all().contains(&added)).await;
        assert_eq!(heard.all().iter().filter(|notice| **notice == added).count(), 1);
    }
    assert!(!his.all().contains(&added));
}

fn news(number: u64) -> NodeEvent {
    NodeEvent::Presence(PresenceNews { incarnation: u64::MAX, number, users: Vec::new() })
}

pub async fn nodes_hear_each_other(bed: &Bed) {
    let heard: Vec<Heard<(NodeId, NodeEvent)>> = (0..NODES).map(|_| Heard::new()).collect();
    let _listening: Vec<_> = (0..NODES).map(|at| bed.bus(at).subscribe_nodes(heard[at].sink())).collect();
    let said = |at: usize, number: u64| heard[at].all().iter().any(|(_, event)| *event == news(number));
    eventually("all hear the first", || {
        bed.bus(0).publish_nodes(news(0));
        said(1, 0) && said(2, 0)
    })
    .await;
    eventually("the first hears another", || {
        bed.bus(1).publish_nodes(news(1));
        said(0, 1)
    })
    .await;
    for number in 10..20 {
        bed.bus(0).publish_nodes(news(number));
    }
    for heard in &heard[1..] {
        let numbers = || {
            let of = |(from, event): &(NodeId, NodeEvent)| {
                let NodeEvent::Presence(news) = event;
                (*from == bed.members[0].id && news.number >= 10).then_some(news.number)
            };
            heard.all().iter().filter_map(of).collect::<Vec<_>>()
        };
        eventually("all of it", || numbers() == (10..20).collect::<Vec<_>>()).await;
    }
    assert!(heard[0].all().iter().all(|(from, _)| *from != bed.members[0].id));
}

pub async fn rooms_are_apart(bed: &Bed) {
    let rooms: Vec<RoomId> = (1..=50).map(RoomId::new).collect();
    let heard: Vec<_> = rooms.iter().map(|_| Heard::new()).collect();
    let listening: Vec<_> =
        rooms.iter().zip(&heard).map(|(room, heard)| bed.bus(1).subscribe_room(*room, heard.sink())).collect();
    for (room, heard) in rooms.iter().zip(&heard) {
        open(bed.bus(0), *room, 1, heard).await;
    }
    for room in &rooms {
        bed.bus(0).publish_room(*room, appended(room.get()));
    }
    for (room, heard) in rooms.iter().zip(&heard) {
        eventually("the room's own", || seqs(&heard.all()) == [room.get()]).await;
    }
    drop(listening);
}

/// An append of so many entries with 8 KiB each.
pub fn large(entries: u64) -> RoomEvent {
    let words = "wörds ".repeat(1_170);
    let one = |seq| {
        let content = serde_json::from_value(serde_json::json!({"text": words})).unwrap();
        let fact = Fact::Edited { target: 1, revision: 1, content: Some(content) };
        Arc::new(Entry { fact, ..(*entry(seq)).clone() })
    };
    RoomEvent::Appended((1..=entries).map(one).collect())
}

pub async fn large_appends_arrive_or_are_told_of(bed: &Bed) {
    let (heard, _listening) = audience(bed, ROOM).await;
    let event = large(63);
    bed.bus(0).publish_room(ROOM, event.clone());
    eventually("half a mebibyte", || {
        heard[1].all().iter().any(|there| *there == event || *there == RoomEvent::Last(63))
    })
    .await;
    assert!(heard[0].all().contains(&event), "the node itself has it whole");
}

/// Answers with the number of the room that is asked about.
fn echo() -> Responder {
    Arc::new(|_, question| {
        Box::pin(async move {
            match question {
                Question::Last { rooms } => Reply::Last(rooms.into_iter().map(|room| (room, room.get())).collect()),
                _ => Reply::NotMine(None),
            }
        })
    })
}

/// Asks until there is an answer: who begins to listen is not known everywhere at once.
async fn reach(bed: &Bed, from: usize, to: usize) {
    let deadline = tokio::time::Instant::now() + WITHIN;
    while bed.bus(from).ask(&bed.members[to].id, Question::Presence, WITHIN).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "{to} is never reached");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn questions_are_answered(bed: &Bed) {
    let askers: Heard<NodeId> = Heard::new();
    let (note, answer) = (askers.sink(), echo());
    let responder: Responder = Arc::new(move |from, question| {
        note(from.clone());
        answer(from, question)
    });
    let _answering = bed.bus(1).respond(responder);
    reach(bed, 0, 1).await;
    reach(bed, 2, 1).await;
    let ask = |from: usize, room: u64| {
        bed.bus(from).ask(&bed.members[1].id, Question::Last { rooms: vec![RoomId::new(room)] }, WITHIN)
    };
    let answers = join_all((1..=200).map(|room| ask(if room % 2 == 0 { 0 } else { 2 }, room))).await;
    assert_eq!(answers, (1..=200).map(|room| Ok(Reply::Last(vec![(RoomId::new(room), room)]))).collect::<Vec<_>>());
    let by = |at: usize| askers.all().iter().filter(|from| **from == bed.members[at].id).count();
    assert!(by(0) > 100 && by(2) > 100 && by(1) == 0);
}

pub async fn a_node_answers_itself(bed: &Bed) {
    let question = || Question::Last { rooms: vec![ROOM] };
    let mine = &bed.members[0].id;
    assert_eq!(bed.bus(0).ask(mine, question(), WITHIN).await, Err(AskError::Unreachable));
    let answering = bed.bus(0).respond(echo());
    assert_eq!(bed.bus(0).ask(mine, question(), WITHIN).await, Ok(Reply::Last(vec![(ROOM, ROOM.get())])));
    drop(answering);
    assert_eq!(bed.bus(0).ask(mine, question(), WITHIN).await, Err(AskError::Unreachable));
}

pub async fn who_does_not_listen_is_unreachable(bed: &Bed) {
    let other = &bed.members[1].id;
    let nobody = "nobody".parse().unwrap();
    for node in [other, &nobody] {
        let began = tokio::time::Instant::now();
        assert_eq!(bed.bus(0).ask(node, Question::Presence, WITHIN).await, Err(AskError::Unreachable));
        assert!(began.elapsed() < WITHIN / 2, "it is known at once");
    }
    let answering = bed.bus(1).respond(echo());
    reach(bed, 0, 1).await;
    drop(answering);
    let deadline = tokio::time::Instant::now() + WITHIN;
    // A question that is under way at that moment may stay without an answer.
    let soon = Duration::from_millis(200);
    while bed.bus(0).ask(other, Question::Presence, soon).await != Err(AskError::Unreachable) {
        assert!(tokio::time::Instant::now() < deadline, "a node that stopped to answer is still reached");
    }
}

pub async fn silence_is_told(bed: &Bed) {
    let heard: Heard<NodeId> = Heard::new();
    let note = heard.sink();
    let _answering = bed.bus(1).respond(Arc::new(move |from, question| {
        note(from);
        Box::pin(async move {
            if question == Question::Presence { Reply::NotMine(None) } else { std::future::pending().await }
        })
    }));
    reach(bed, 0, 1).await;
    let asked = heard.len();
    let answer =
        bed.bus(0).ask(&bed.members[1].id, Question::Last { rooms: vec![ROOM] }, Duration::from_millis(200)).await;
    assert_eq!(answer, Err(AskError::Unanswered));
    assert_eq!(heard.len(), asked + 1);
}
