//! Random services: what was in their files is what the native operations show, and an import that is interrupted anywhere
//! comes to the same as one that isn't.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parlance_actors::node::Options as Node;
use parlance_actors::ports::Store;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Service, picture, run};
use crate::actors::bed::Bed;
use crate::actors::faults::Faulty;

/// The first instant of random services, in microseconds.
const START: u64 = 1_700_000_000_000_000;
/// Chats have ids above those of users, so that a picture of both is told apart.
const CHAT: u64 = 10;

#[derive(Clone, Debug)]
struct Message {
    chat: u64,
    sender: u64,
    at: u64,
    text: String,
    image: bool,
    edited: bool,
    deleted: bool,
    reply_to: Option<u64>,
}

/// Whether it is direct, and who is in it since when, and whether they are admins.
type Chat = (bool, BTreeMap<u64, (u64, bool)>);

/// Users are 1 to `users`.
#[derive(Clone, Debug)]
struct World {
    users: u64,
    chats: Vec<Chat>,
    messages: Vec<Message>,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ,\"\n\r;]{0,30}x",
        prop::sample::select(crate::store::sample_sentences()),
        "\\PC{0,20}y",
        Just("=1+1, \"\"quoted\"\"".to_owned()),
    ]
}

fn world() -> impl Strategy<Value = World> {
    let member = (1..9_u64, (0..40_u64, any::<bool>()));
    let chat =
        (any::<bool>(), prop::collection::btree_map(member.clone().prop_map(|m| m.0), member.prop_map(|m| m.1), 1..6));
    let flags = (any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let message = (0..5_u64, 1..9_u64, 0..60_u64, text(), flags, prop::option::weighted(0.3, 1..40_u64));
    let message = message.prop_map(|(chat, sender, at, text, (image, edited, deleted), reply_to)| Message {
        chat: CHAT + chat,
        sender,
        at: START + at * 1_000,
        text,
        image,
        edited,
        deleted,
        reply_to,
    });
    (prop::collection::vec(chat, 1..5), prop::collection::vec(message, 0..40)).prop_map(|(chats, messages)| World {
        users: 8,
        chats,
        messages,
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

impl World {
    fn files(&self) -> Service {
        let mut service = Service::default();
        for user in 1..=self.users {
            service.users +=
                &format!("{user},user{user},u{user}@example.org,{},true,{},\n", quoted("Ü \"ser\""), START);
        }
        for (at, (direct, members)) in self.chats.iter().enumerate() {
            let id = CHAT + at as u64;
            let kind = if *direct { "direct" } else { "group" };
            service.chats += &format!("{id},{},{kind},{START},{START},true\n", quoted(&format!("Chat, {id}")));
            for (user, (since, admin)) in members {
                service.participants += &format!("{user},{id},{},{admin}\n", START + since * 1_000);
            }
        }
        for (id, m) in (1..).zip(&self.messages) {
            let kind = if m.image { "image" } else { "text" };
            let reply = m.reply_to.map_or(String::new(), |id| id.to_string());
            let (text, edited, deleted) = (quoted(&m.text), m.edited, m.deleted);
            service.messages +=
                &format!("{id},{},{},{text},{},{kind},{edited},{deleted},{reply}\n", m.chat, m.sender, m.at);
        }
        service
    }

    /// For each chat that has a room of its own: its place, and whether it is direct. The first of a pair's is theirs.
    fn rooms(&self) -> BTreeMap<u64, (u64, bool)> {
        let mut pairs = BTreeMap::new();
        let room = |(at, (direct, members)): (usize, &Chat)| {
            let id = CHAT + at as u64;
            let pair: Vec<_> = members.keys().copied().collect();
            let direct = *direct && pair.len() == 2;
            let room = if direct { *pairs.entry(pair).or_insert(id) } else { id };
            (id, (room, direct))
        };
        self.chats.iter().enumerate().map(room).collect()
    }

    /// The messages that a room should have, in order: id and message.
    fn said(&self, room: u64) -> Vec<(u64, &Message)> {
        let rooms = self.rooms();
        let mut said: Vec<_> = (1..)
            .zip(&self.messages)
            .filter(|(_, m)| rooms.get(&m.chat).is_some_and(|(of, _)| *of == room))
            .filter(|(_, m)| {
                let (direct, members) = (rooms[&m.chat].1, &self.chats[(m.chat - CHAT) as usize].1);
                !direct || members.contains_key(&m.sender)
            })
            .collect();
        said.sort_by_key(|(id, m)| (m.at, *id));
        said
    }
}

async fn compare(world: &World, bed: &Bed) -> Result<(), TestCaseError> {
    let rooms = world.rooms();
    let own: BTreeSet<u64> = rooms.values().map(|(room, _)| *room).collect();
    for room in own {
        let (direct, members) = (rooms[&room].1, &world.chats[(room - CHAT) as usize].1);
        for (user, (since, admin)) in members {
            let view = bed.perform(*user, json!({"op": "room", "room": room})).await.unwrap();
            prop_assert_eq!(&view["kind"], if direct { "direct" } else { "group" });
            prop_assert_eq!((&view["unread"], &view["created_at"]), (&json!(0), &json!(START / 1_000)));
            let listed = bed.perform(*user, json!({"op": "rooms"})).await.unwrap();
            let items = listed["items"].as_array().or_else(|| listed["rooms"].as_array()).unwrap();
            prop_assert!(items.iter().any(|item| item["id"] == room), "{}", listed);
            if !direct {
                prop_assert_eq!(&view["name"], &json!(format!("Chat, {room}")));
                prop_assert!(!admin || view["role"] != "member", "{}", view);
                let all = bed.perform(*user, json!({"op": "members", "room": room})).await.unwrap();
                let all = all["items"].as_array().or_else(|| all["members"].as_array()).unwrap();
                prop_assert_eq!(all.len(), members.len());
                let mine = all.iter().find(|member| member["user"] == *user).unwrap();
                prop_assert!(view["role"] == "owner" || mine["joined_at"] == START / 1_000 + since, "{}", mine);
            }
        }
        let reader = *members.keys().next().unwrap();
        let page =
            bed.perform(reader, json!({"op": "messages", "room": room, "after": 0, "limit": 200})).await.unwrap();
        let page = page["items"].as_array().unwrap();
        let said = world.said(room);
        prop_assert_eq!(page.len(), said.len(), "room {}: {:?}", room, said);
        let seqs: BTreeMap<u64, &Value> =
            page.iter().map(|item| (item["id"].as_u64().unwrap(), &item["seq"])).collect();
        let order: BTreeMap<u64, usize> = said.iter().enumerate().map(|(at, (id, _))| (*id, at)).collect();
        for (item, (id, m)) in page.iter().zip(&said) {
            prop_assert_eq!((&item["id"], &item["by"]), (&json!(id), &json!(m.sender)));
            prop_assert_eq!(&item["at"], &json!(m.at / 1_000));
            prop_assert_eq!(item["revision"].as_u64().unwrap() > 0, m.edited);
            prop_assert_eq!(!item["deleted_at"].is_null(), m.deleted);
            let text = if m.deleted { Value::Null } else { json!({"text": m.text}) };
            prop_assert_eq!(&item["content"], &text);
            let meta = if m.image && !m.deleted { json!({"message_type": "image"}) } else { json!({}) };
            prop_assert_eq!(&item["meta"], &meta);
            let earlier = m.reply_to.filter(|target| order.get(target).is_some_and(|at| *at < order[id]));
            prop_assert_eq!(&item["reply_to"], earlier.map_or(&Value::Null, |target| seqs[&target]));
        }
    }
    Ok(())
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_there_is_what_is_shown(world in world(), batch in prop::sample::select(vec![1, 3, 1_000]), sort in prop::sample::select(vec![1, 600, 1 << 20])) {
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut options = world.files().write(folder.path());
            (options.batch_entries, options.sort_bytes) = (batch, sort);
            let store = Arc::new(Faulty::default());
            let (summary, said) = run(&(store.clone() as Arc<dyn Store>), &options).await.unwrap();
            for tally in summary.tallies {
                prop_assert_eq!(tally.read, tally.imported + tally.refused, "{}", said);
            }
            let bed = Bed::over(store, Node { commands_per_s: 0, ..Node::default() }).await;
            compare(&world, &bed).await?;
            // And rooms go on from there.
            let (room, members) = (CHAT, &world.chats[0].1);
            let user = *members.keys().next().unwrap();
            let last = bed.perform(user, json!({"op": "room", "room": room})).await.unwrap()["last"].as_u64().unwrap();
            let sent = bed.perform(user, crate::actors::bed::send(room, "and on")).await.unwrap();
            prop_assert_eq!(sent["seq"].as_u64(), Some(last + 1));
            bed.node.stop().await;
            Ok(())
        })?;
    }

    #[test]
    fn an_interrupted_import_comes_to_the_same(world in world(), batch in 1..9_usize, cuts in prop::collection::vec(0..6_u64, 1..20)) {
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut options = world.files().write(folder.path());
            options.batch_entries = batch;
            let whole: Arc<dyn Store> = Arc::new(Faulty::default());
            let (expected, _) = run(&whole, &options).await.unwrap();
            let store = Arc::new(Faulty::default());
            let mut cuts = cuts.iter();
            let summary = loop {
                let left = cuts.next().copied();
                *store.bulks_left.lock().unwrap() = left;
                match run(&(store.clone() as Arc<dyn Store>), &options).await {
                    Ok((summary, _)) => break summary,
                    Err(error) => prop_assert!(left.is_some(), "{}", error),
                }
            };
            prop_assert_eq!(summary.tallies, expected.tallies);
            prop_assert_eq!(picture(&*store, 60).await, picture(&*whole, 60).await);
            Ok(())
        })?;
    }
}
