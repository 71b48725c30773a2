//! Entries, appends and accounts to test with. Ids come from the store, so that tests can share one.

use std::sync::Arc;

use parlance_actors::ports::Store;
use parlance_actors::ports::store::{Account, Append, IdKind, Range};
use parlance_schema::content::Content;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::user::Role;
use parlance_schema::{ClientId, MessageId, RoomId, Seq, TenantId, UserId};

/// Sentences in several scripts, with combining marks, right-to-left text and emoji.
pub const SENTENCES: [&str; 8] = [
    "Artificial intelligence is the branch of engineering and science devoted to constructing machines that think.",
    "¿Cómo estás hoy? Espero que la reunión de mañana no empiece demasiado temprano.",
    "هل يمكنك أن تشرح لي كيف يعمل هذا البرنامج من فضلك؟",
    "今日はいい天気ですね。散歩に行きませんか？ 🌸",
    "Тише едешь — дальше будешь, а кто спешит, тот людей смешит.",
    "क्या आप मुझे बता सकते हैं कि यह गाड़ी कहाँ जाती है?",
    "Cafe\u{301} cre\u{300}me et pa\u{302}te\u{301} a\u{300} emporter, s’il vous plai\u{302}t 👩🏽‍🍳👨‍👩‍👧‍👦",
    "מה שלומך היום? אני מקווה שהכול בסדר אצלך.",
];

/// A room that nobody has used.
pub async fn room(store: &Arc<dyn Store>) -> RoomId {
    RoomId::new(store.take_ids(IdKind::Room, 1).await.unwrap())
}

/// A user that nobody has used.
pub async fn user(store: &Arc<dyn Store>) -> UserId {
    UserId::new(store.take_ids(IdKind::User, 1).await.unwrap())
}

/// A message id that nobody has used.
pub async fn message(store: &Arc<dyn Store>) -> MessageId {
    MessageId::new(store.take_ids(IdKind::Message, 1).await.unwrap())
}

/// A tenant that nobody has used.
pub async fn tenant(store: &Arc<dyn Store>) -> TenantId {
    TenantId::new(1_000 + store.take_ids(IdKind::User, 1).await.unwrap())
}

pub fn client_id(text: impl AsRef<str>) -> ClientId {
    ClientId::new(text).unwrap()
}

/// An entry with its own number as its client id.
pub fn entry(seq: Seq, by: UserId, fact: Fact) -> Entry {
    let client_id = client_id(format!("own-{seq}"));
    Entry { seq, at: 1_760_000_000_000 + seq, by, client_id, posts: seq, append: 77, fact }
}

/// A message with one of the sentences.
pub async fn post(store: &Arc<dyn Store>, seq: Seq, by: UserId) -> Entry {
    post_as(seq, by, message(store).await)
}

pub fn post_as(seq: Seq, by: UserId, id: MessageId) -> Entry {
    let text = SENTENCES[seq as usize % SENTENCES.len()];
    let (mentions, meta) = (vec![by], [("client".to_owned(), "tests".to_owned())].into());
    entry(seq, by, Fact::Posted { id, content: Some(Content::text(text)), reply_to: None, mentions, meta })
}

/// An entry that is no message.
pub fn renamed(seq: Seq, by: UserId) -> Entry {
    entry(seq, by, Fact::Renamed { name: SENTENCES[seq as usize % SENTENCES.len()].chars().take(20).collect() })
}

/// An append of these entries and nothing else.
pub fn append(room: RoomId, entries: Vec<Entry>) -> Append {
    Append {
        room,
        tenant: TENANT_DEFAULT,
        expected: entries[0].seq - 1,
        entries: entries.into_iter().map(Arc::new).collect(),
        snapshot: None,
        messages: Vec::new(),
        members: Vec::new(),
        erase: Vec::new(),
        fence: None,
        mark: None,
    }
}

/// Entries as appends may take them: a few at a time, and no bucket crossed.
pub fn portions(entries: &[Entry], count: u64) -> impl Iterator<Item = &[Entry]> {
    entries.chunk_by(move |a, b| a.seq % count != 0 && (b.seq - 1) % LOG_BUCKET != 0)
}

/// Fills a log with messages from one user up to a number, a few at a time.
pub async fn fill(store: &Arc<dyn Store>, room: RoomId, by: UserId, to: Seq) -> Vec<Entry> {
    let mut all = Vec::new();
    for seq in 1..=to {
        all.push(post(store, seq, by).await);
    }
    for entries in portions(&all, 40) {
        store.append(append(room, entries.to_vec())).await.unwrap();
    }
    all
}

/// All of a log.
pub const ALL: Range = Range { from: 0, to: Seq::MAX, limit: usize::MAX, backwards: false };

/// The numbers of a room's whole log.
pub async fn numbers(store: &dyn Store, room: RoomId) -> Vec<Seq> {
    store.entries(room, ALL).await.unwrap().iter().map(|e| e.seq).collect()
}

pub fn account(id: UserId, tenant: TenantId, username: &str, email: Option<&str>) -> Account {
    Account {
        id,
        tenant,
        username: username.to_owned(),
        email: email.map(str::to_owned),
        full_name: format!("{username} Example"),
        password: Some("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned()),
        role: Role::User,
        active: true,
        created_at: 1_760_000_000_000,
        last_seen: None,
        valid_after: 5,
    }
}
