//! Everything at once, on several threads: senders who insist, connections that come and go, a store that stumbles, and
//! actors that are ended at random. What must come out is known all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parlance_actors::node::Victim;
use parlance_actors::service::Service;
use parlance_schema::RoomId;
use serde_json::{Value, json};

use super::bed::{Bed, Client, pass, send_as};
use super::faults::{Delivery, Twist};

const USERS: u64 = 6;
const MESSAGES: usize = 150;

/// The numbers of each room that a user got over all connections.
type Got = BTreeMap<u64, Vec<u64>>;

/// A linear congruential generator: the same course for the same seed, as far as threads allow.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

fn take(client: &mut Client, got: &mut Got, positions: &mut BTreeMap<String, Value>, rooms: &[u64]) {
    client.drain();
    for room in rooms {
        let new = client.seqs(*room);
        if !new.is_empty() {
            positions.insert(room.to_string(), client.position(*room));
            got.entry(*room).or_default().extend(new);
        }
    }
    client.pushes.clear();
}

async fn resumed(bed: &Bed, user: u64, positions: &BTreeMap<String, Value>) -> Client {
    loop {
        let mut client = bed.connect(user).await;
        let n = client.tell(json!({"op": "resume", "positions": positions}));
        let reply = client.reply(n).await;
        match reply["ok"]["resumed"].as_array() {
            Some(resumed) => {
                assert!(resumed.iter().all(|one| one["outcome"] == "live"), "{reply}");
                return client;
            }
            None => assert_eq!(reply["fault"]["retry"], "later", "{reply}"),
        }
        client.leave();
        pass(5).await;
    }
}

/// One user's course: sends all messages, each until it was done, and reads; now and then comes back on a new connection.
async fn live(bed: Arc<Bed>, user: u64, rooms: Vec<u64>) -> Got {
    let mut dice = Dice(user * 7_919);
    let mut got = Got::new();
    let mut positions: BTreeMap<String, Value> =
        rooms.iter().map(|room| (room.to_string(), json!({"epoch": 1, "seq": 0}))).collect();
    let mut client = resumed(&bed, user, &positions).await;
    for at in 0..MESSAGES {
        let room = rooms[at % rooms.len()];
        let text = format!("{user}-{at}");
        loop {
            let n = client.tell(send_as(room, &text, &text));
            // A connection may end while one waits, as one with a poor network would.
            if dice.roll(12) == 0 {
                take(&mut client, &mut got, &mut positions, &rooms);
                client.leave();
                client = resumed(&bed, user, &positions).await;
                continue;
            }
            let reply = client.reply(n).await;
            take(&mut client, &mut got, &mut positions, &rooms);
            if reply.get("ok").is_some() {
                break;
            }
            assert_eq!(reply["fault"]["retry"], "later", "{reply}");
            pass(2 + dice.roll(10)).await;
        }
    }
    for room in &rooms {
        loop {
            let last = bed.log(*room).await.len() as u64;
            let posts = bed.said(*room).await.len();
            if posts == USERS as usize * MESSAGES / rooms.len()
                && got.get(room).and_then(|seqs| seqs.last()) == Some(&last)
            {
                break;
            }
            pass(20).await;
            take(&mut client, &mut got, &mut positions, &rooms);
        }
    }
    client.leave();
    got
}

async fn havoc(bed: Arc<Bed>, rooms: Vec<u64>, stop: Arc<AtomicBool>) {
    let mut dice = Dice(4_711);
    while !stop.load(Ordering::SeqCst) {
        let room = RoomId::new(rooms[dice.roll(rooms.len() as u64) as usize]);
        let panic = dice.roll(2) == 0;
        match dice.roll(8) {
            0 | 1 => drop(bed.node.end(Victim::Room(room), panic)),
            2 | 3 => drop(bed.node.end(Victim::Relay(room), panic)),
            4 => {
                let sessions: Vec<u64> = bed.node.actors().await.iter().filter_map(session).collect();
                if let Some(id) = sessions.get(dice.roll(sessions.len().max(1) as u64) as usize) {
                    bed.node.end(Victim::Session(*id), panic);
                }
            }
            // Not faster than the rooms get through them.
            5 | 6 if !bed.store.twists.lock().unwrap().is_empty() => {}
            5 => bed.store.script([Twist::UnknownApplied, Twist::Slow(5), Twist::UnknownNot]),
            6 => bed.store.script([Twist::Overtaken, Twist::Unavailable]),
            _ => {
                bed.bus.set(if panic { Delivery::Never } else { Delivery::Twice });
                pass(dice.roll(8)).await;
                bed.bus.set(Delivery::Once);
            }
        }
        pass(dice.roll(12)).await;
    }
}

fn session(actor: &parlance_actors::service::ActorView) -> Option<u64> {
    actor.path.strip_prefix("sessions/")?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_at_once_loses_doubles_and_reorders_nothing() {
    let bed = Arc::new(Bed::new().await);
    let others: Vec<u64> = (2..=USERS).collect();
    let mut rooms = Vec::new();
    for _ in 0..3 {
        rooms.push(bed.group(1, &others).await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let havoc = tokio::spawn(havoc(bed.clone(), rooms.clone(), stop.clone()));
    let lives: Vec<_> = (1..=USERS).map(|user| tokio::spawn(live(bed.clone(), user, rooms.clone()))).collect();
    let calm = tokio::spawn({
        let (bed, rooms, stop) = (bed.clone(), rooms.clone(), stop.clone());
        async move {
            while bed.said(rooms[0]).await.len() < USERS as usize * MESSAGES / 3 {
                pass(20).await;
            }
            pass(200).await;
            stop.store(true, Ordering::SeqCst);
            // What the bus lost last is noticed with the next entry.
            pass(100).await;
            for room in rooms {
                bed.bus.set(Delivery::Once);
                bed.bus.replay_last(RoomId::new(room));
            }
        }
    });
    for life in lives {
        let got = tokio::time::timeout(std::time::Duration::from_secs(60), life).await.unwrap().unwrap();
        for (room, seqs) in got {
            assert_eq!(seqs, (1..=bed.log(room).await.len() as u64).collect::<Vec<_>>());
        }
    }
    stop.store(true, Ordering::SeqCst);
    calm.await.unwrap();
    havoc.await.unwrap();
    for room in rooms {
        let said = bed.said(room).await;
        assert_eq!(said.iter().collect::<BTreeSet<_>>().len(), said.len(), "something was said twice");
        for user in 1..=USERS {
            let mine: Vec<usize> =
                said.iter().filter_map(|text| text.strip_prefix(&format!("{user}-"))?.parse().ok()).collect();
            assert!(mine.is_sorted(), "user {user}: {mine:?}");
        }
    }
}
