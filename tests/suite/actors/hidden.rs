//! Whoever joins later is told nothing about what was before: on no wire, by no resume, and by no question.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parlance::api::socket::NATIVE_WIRES;
use parlance::dialect::chat_service::wire::Frames;
use parlance::gateway::native::{Json, Msgpack};
use parlance_actors::link::{Link, Receiver};
use parlance_actors::node::Victim;
use parlance_actors::service::{After, Service, What};
use parlance_actors::wire::Wire;
use parlance_schema::{MessageId, RoomId};
use serde_json::{Value, json};

use super::bed::{BOUND, Bed, EXPIRES, pass, principal, send};

/// Histories that are tried.
const SEEDS: u64 = 16;
/// Who joins later.
const LATE: u64 = 5;

/// A connection of which every byte is kept.
struct Tap {
    link: Arc<Link>,
    receiver: Box<dyn Receiver>,
    bytes: Vec<u8>,
}

impl Tap {
    async fn native(bed: &Bed, wire: Arc<dyn Wire>, text: bool) -> Self {
        let link = Link::new(bed.node.next_session(), principal(LATE), wire, EXPIRES);
        let receiver = bed.node.connect(link.clone()).await.unwrap();
        let mut tap = Self { link, receiver, bytes: Vec::new() };
        let resume = json!({"n": 1, "op": "resume", "positions": {}});
        let resume = if text { resume.to_string().into_bytes() } else { rmp_serde::to_vec_named(&resume).unwrap() };
        tap.receiver.message(&tap.link, text, &resume);
        tap
    }

    async fn chat(bed: &Bed, room: u64, after: Option<After>) -> Self {
        let wire = Arc::new(Frames::new(NATIVE_WIRES, RoomId::new(room)));
        let (room, session) = (Some(RoomId::new(room)), bed.node.next_session());
        let link = Link::serving(room, BOUND, session, principal(LATE), wire, EXPIRES);
        let receiver = bed.node.enter(link.clone(), after).await.unwrap();
        Self { link, receiver, bytes: Vec::new() }
    }

    fn drain(&mut self) {
        let mut written = 0;
        loop {
            let mut frames = VecDeque::new();
            if self.link.outbox.take(written, &mut frames).catch_up {
                self.receiver.drained(&self.link);
            }
            written = frames.iter().map(Bytes::len).sum();
            frames.iter().for_each(|frame| self.bytes.extend_from_slice(frame));
            if written == 0 {
                return;
            }
        }
    }

    fn has(&self, word: &str) -> bool {
        self.bytes.windows(word.len()).any(|window| window == word.as_bytes())
    }
}

/// Numbers that are the same for a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }
}

/// A room's messages so far, and each word with the message that it is about.
#[derive(Default)]
struct Story {
    messages: Vec<u64>,
    words: Vec<(u64, String)>,
}

impl Story {
    /// Has somebody do something; what is refused does nothing.
    async fn go_on(&mut self, bed: &Bed, room: u64, dice: &mut Dice) {
        let who = 1 + dice.roll(2) as u64;
        let word = format!("w{}.", self.words.len());
        let old = if self.messages.is_empty() { 0 } else { self.messages[dice.roll(self.messages.len())] };
        let op = match dice.roll(8) {
            0 | 1 => send(room, &word),
            2 => {
                let content = json!({"text": word});
                json!({"op": "send", "room": room, "content": content, "reply_to": old, "mentions": [1]})
            }
            3 | 4 => json!({"op": "edit", "room": room, "seq": old, "content": {"text": word}}),
            5 => json!({"op": "react", "room": room, "seq": old, "emoji": word}),
            6 => {
                let about = |(message, word): &(u64, String)| (*message == old).then(|| word.clone());
                let emoji = self.words.iter().rev().find_map(about).unwrap_or_default();
                json!({"op": "unreact", "room": room, "seq": old, "emoji": emoji})
            }
            _ => json!({"op": "delete", "room": room, "seq": old}),
        };
        let sent = op["op"] == "send";
        let Ok(done) = bed.perform(who, op).await else { return };
        let message = if sent { done["seq"].as_u64().unwrap() } else { old };
        if sent {
            self.messages.push(message);
        }
        self.words.push((message, word));
    }

    fn secrets(&self, first: u64) -> Vec<&str> {
        self.words.iter().filter(|(message, _)| *message < first).map(|(_, word)| word.as_str()).collect()
    }
}

/// Checks that nothing in an answer or a push is about something from before a number.
fn tells_nothing(shown: &Value, first: u64, secrets: &[&str]) {
    let text = shown.to_string();
    assert!(!secrets.iter().any(|word| text.contains(word)), "{text} tells one of {secrets:?}");
    for field in ["\"target\":", "\"reply_to\":"] {
        for (at, _) in text.match_indices(field) {
            let digits: String = text[at + field.len()..].chars().take_while(char::is_ascii_digit).collect();
            assert!(digits.parse::<u64>().map_or(true, |seq| seq >= first), "{text} names {digits} of before {first}");
        }
    }
}

async fn history(seed: u64) {
    let bed = Bed::new().await;
    let mut dice = Dice(seed);
    let room = bed.group(1, &[2]).await;
    bed.perform(1, json!({"op": "configure", "room": room, "history": "since_joined"})).await.unwrap();
    let mut story = Story::default();
    // Until there is something that whoever joins later must not learn.
    let mut turns = 0;
    while turns < 12 || story.words.is_empty() {
        turns += 1;
        story.go_on(&bed, room, &mut dice).await;
    }
    // Some connections are there before, some come later.
    let mut native = bed.client(LATE).await;
    let mut taps =
        vec![Tap::native(&bed, Arc::new(Json), true).await, Tap::native(&bed, Arc::new(Msgpack), false).await];
    pass(50).await;
    let added = bed.perform(1, json!({"op": "add", "room": room, "users": [LATE]})).await.unwrap();
    let first = added["seq"].as_u64().unwrap();
    let old: Vec<u64> = story.messages.clone();
    taps.push(Tap::chat(&bed, room, None).await);
    taps.push(Tap::chat(&bed, room, Some(After::Nothing)).await);
    for turn in 0..40 {
        story.go_on(&bed, room, &mut dice).await;
        match dice.roll(6) {
            // What they miss then is read from the log.
            0 => {
                bed.node.end(Victim::Relay(RoomId::new(room)), true);
            }
            1 => taps.iter_mut().for_each(Tap::drain),
            2 if turn > 20 => pass(20).await,
            _ => {}
        }
    }
    let last = bed.log(room).await.last().unwrap().seq;
    native.reach(room, last).await;
    assert_eq!(native.seqs(room), (first..=last).collect::<Vec<_>>(), "a gapless log from the joining on");
    let mut again = bed.connect(LATE).await;
    let from = [0, 1, first - 1, first][dice.roll(4)];
    again.resume(json!({room.to_string(): {"epoch": 1, "seq": from}})).await;
    again.reach(room, last).await;
    taps.push(Tap::chat(&bed, room, Some(After::Nothing)).await);
    pass(200).await;
    let secrets = story.secrets(first);
    assert!(!secrets.is_empty() && old.iter().all(|seq| *seq < first));
    for client in [&mut native, &mut again] {
        client.drain();
        client.pushes.iter().for_each(|push| tells_nothing(push, first, &secrets));
    }
    let ids: Vec<Value> = bed.log(room).await.iter().map(|entry| serde_json::to_value(&**entry).unwrap()).collect();
    let ids =
        ids.iter().filter(|e| e["fact"] == "posted" && e["seq"].as_u64().unwrap() < first).map(|e| e["id"].clone());
    let ids: Vec<Value> = ids.collect();
    for tap in &mut taps {
        tap.drain();
        assert!(!tap.bytes.is_empty());
        let told: Vec<_> = secrets.iter().filter(|word| tap.has(word)).collect();
        assert!(told.is_empty(), "{told:?} of seed {seed}");
        for id in &ids {
            assert!(!tap.has(&format!("\"message_id\":{id}}}")) && !tap.has(&format!("\"id\":{id},")), "message {id}");
        }
    }
    for op in [
        json!({"op": "entries", "room": room}),
        json!({"op": "entries", "room": room, "after": 0, "limit": 200}),
        json!({"op": "messages", "room": room, "limit": 200}),
        json!({"op": "room", "room": room}),
        json!({"op": "rooms"}),
        json!({"op": "members", "room": room}),
    ] {
        tells_nothing(&bed.perform(LATE, op).await.unwrap(), first, &secrets);
    }
    for seq in story.messages.iter().filter(|seq| **seq >= first) {
        let answer = bed.perform(LATE, json!({"op": "message", "room": room, "seq": seq})).await.unwrap();
        tells_nothing(&answer, first, &secrets);
    }
    // A message that one may not read and one that isn't there look the same.
    for id in &ids {
        let strange = bed.perform(LATE, json!({"op": "find", "message": 999_999})).await.unwrap_err();
        assert_eq!(bed.perform(LATE, json!({"op": "find", "message": id})).await.unwrap_err(), strange);
        let told = async |id: u64| {
            let mut tap = Tap::chat(&bed, room, Some(After::Message(MessageId::new(id)))).await;
            pass(50).await;
            tap.drain();
            tap.bytes
        };
        assert_eq!(told(id.as_u64().unwrap()).await, told(999_999).await);
    }
    // Those who were there all the time see all of it.
    let whole = bed.perform(2, json!({"op": "entries", "room": room, "after": 0, "limit": 200})).await.unwrap();
    let stored: Vec<_> = bed.log(room).await.iter().map(|entry| serde_json::to_value(&**entry).unwrap()).collect();
    assert_eq!(whole["items"].as_array().unwrap(), &stored[..whole["items"].as_array().unwrap().len()]);
}

#[tokio::test(start_paused = true)]
async fn no_word_of_what_was_before_reaches_who_joined_later() {
    for seed in 0..SEEDS {
        history(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_an_earlier_message_is_a_number_and_nothing_else() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    bed.perform(1, json!({"op": "configure", "room": room, "history": "since_joined"})).await.unwrap();
    bed.perform(1, send(room, "before")).await.unwrap();
    let mut there = bed.client(2).await;
    let mut late = bed.client(LATE).await;
    bed.perform(1, json!({"op": "add", "room": room, "users": [LATE]})).await.unwrap();
    bed.perform(1, json!({"op": "edit", "room": room, "seq": 3, "content": {"text": "other words"}})).await.unwrap();
    bed.perform(1, json!({"op": "send", "room": room, "content": {"text": "see"}, "reply_to": 3})).await.unwrap();
    late.reach(room, 6).await;
    there.reach(room, 6).await;
    let shown: Vec<&Value> = late.entries(room).collect();
    let stored = bed.log(room).await;
    let (at, append) = (stored[4].at, stored[4].append);
    assert_eq!(*shown[1], json!({"seq": 5, "at": at, "posts": 1, "append": append, "fact": "hidden"}));
    assert_eq!((&shown[2]["fact"], &shown[2]["reply_to"]), (&json!("posted"), &Value::Null));
    let whole: Vec<&Value> = there.entries(room).collect();
    assert_eq!((&whole[1]["fact"], &whole[2]["reply_to"]), (&json!("edited"), &json!(3)));
    // Whoever may read all again sees all again.
    bed.perform(1, json!({"op": "configure", "room": room, "history": "all"})).await.unwrap();
    bed.perform(1, json!({"op": "edit", "room": room, "seq": 3, "content": {"text": "third words"}})).await.unwrap();
    late.reach(room, 8).await;
    let shown: Vec<&Value> = late.entries(room).collect();
    assert_eq!((&shown[4]["fact"], &shown[4]["target"]), (&json!("edited"), &json!(3)));
}

#[tokio::test(start_paused = true)]
async fn whether_a_hidden_message_is_there_is_not_told() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    bed.perform(1, json!({"op": "configure", "room": room, "history": "since_joined"})).await.unwrap();
    let hidden = bed.perform(1, send(room, "before")).await.unwrap()["id"].as_u64().unwrap();
    bed.perform(1, json!({"op": "add", "room": room, "users": [LATE]})).await.unwrap();
    let is_there = async |who, what| bed.node.is_there(principal(who), what).await.unwrap();
    let message = What::Message(MessageId::new(hidden));
    assert!(!is_there(LATE, message).await, "a member who may not read it");
    assert!(is_there(6, message).await, "somebody who is not in the room");
    assert!(!is_there(101, message).await, "somebody of another tenant");
    for who in [LATE, 6] {
        assert!(is_there(who, What::Room(RoomId::new(room))).await);
    }
}

#[tokio::test(start_paused = true)]
async fn read_marks_of_before_are_not_told() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    bed.perform(1, json!({"op": "configure", "room": room, "history": "since_joined"})).await.unwrap();
    for _ in 0..3 {
        bed.perform(1, send(room, "before")).await.unwrap();
    }
    bed.perform(2, json!({"op": "read", "room": room, "seq": 3})).await.unwrap();
    let mut late = bed.client(LATE).await;
    bed.perform(1, json!({"op": "add", "room": room, "users": [LATE]})).await.unwrap();
    late.reach(room, 6).await;
    bed.perform(2, json!({"op": "read", "room": room, "seq": 4})).await.unwrap();
    pass(300).await;
    late.drain();
    assert!(late.pushed("read").is_empty(), "{:?}", late.pushed("read"));
    let members = bed.perform(LATE, json!({"op": "members", "room": room})).await.unwrap();
    let read = |who: u64| {
        let all = members["members"].as_array().unwrap();
        all.iter().find(|member| member["user"] == who).unwrap()["read"].clone()
    };
    assert_eq!(read(2), 0);
    bed.perform(2, json!({"op": "read", "room": room, "seq": 6})).await.unwrap();
    assert_eq!(late.push("read").await["seq"], 6);
}
