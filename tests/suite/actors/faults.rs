//! A store and a bus that do what they should, or fail as a test tells them to.

mod feed;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use parlance::bus::local::Local;
use parlance::store::Memory;
use parlance_actors::ports::Store;
use parlance_actors::ports::bus::{Bus, RoomEvent, Sink, Subscription};
use parlance_actors::ports::store::{
    Account, AccountError, AccountStore, Append, AppendError, Bulk, BulkError, BulkStore, ClaimKind, ClaimStore,
    Family, IdKind, LogStore, Range, ReadMark, Record, StoreError, StoreHealth, StoredMessage, Waking, Who,
};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::notice::Notice;
use parlance_schema::{ClientId, MessageId, Millis, RoomId, Seq, TenantId, UserId};

/// What happens to the next append.
#[derive(Clone, Copy, Debug)]
pub enum Twist {
    /// Refused; nothing is written.
    Unavailable,
    /// Written, but nobody says so.
    UnknownApplied,
    /// Not written, and nobody says so.
    UnknownNot,
    /// Somebody else writes so many messages first.
    Foreign(usize),
    /// Somebody else writes the very same commands first.
    Overtaken,
    /// It takes so many milliseconds.
    Slow(u64),
    /// Not written, nobody says so, and the next look at the log panics.
    UnknownThenPanic,
}

/// A memory store that fails as told.
#[derive(Default)]
pub struct Faulty {
    pub inner: Arc<Memory>,
    pub twists: Mutex<VecDeque<Twist>>,
    /// First number and count of each append that was written.
    pub appends: Mutex<Vec<(Seq, usize)>>,
    /// Milliseconds that each reading of a log takes.
    pub read_ms: AtomicU64,
    /// Milliseconds that listing somebody's rooms takes, after it was read.
    pub list_ms: AtomicU64,
    /// While set, everything is unavailable.
    pub down: AtomicBool,
    pub epoch: AtomicU64,
    /// Set: the next reading of messages panics, and is done again when it is asked for again.
    pub panics: AtomicBool,
    /// Whether marks of unfinished work come before appends and not with them, as on a CQL server.
    pub marks_before: AtomicBool,
    /// Pieces of imports that are written before the disk is full; none: it is never full.
    pub bulks_left: Mutex<Option<u64>>,
    foreign: AtomicU64,
}

impl Faulty {
    /// Another way to the same store, which fails by itself.
    pub fn beside(&self) -> Self {
        Self { inner: self.inner.clone(), ..Self::default() }
    }

    pub fn script(&self, twists: impl IntoIterator<Item = Twist>) {
        self.twists.lock().unwrap().extend(twists);
    }

    /// What a second owner writes: messages of whoever wrote last.
    pub async fn write_behind(&self, room: RoomId, count: usize) {
        let all = Range { from: 1, to: Seq::MAX >> 1, limit: usize::MAX, backwards: true };
        let last = self.inner.entries(room, all).await.unwrap().first().cloned();
        let (seq, posts) = last.as_ref().map_or((0, 0), |entry| (entry.seq, entry.posts));
        let by = last.as_ref().map_or(UserId::new(1), |entry| entry.by);
        let append = self.foreign.fetch_add(1, Ordering::SeqCst) + 7_000_000;
        let mut entries: Vec<Arc<Entry>> = Vec::new();
        for at in 0..count as u64 {
            let id = MessageId::new((1 << 40) + self.foreign.fetch_add(1, Ordering::SeqCst));
            let client_id = ClientId::new(format!("foreign-{id}")).unwrap();
            let content = Some(parlance_schema::content::Content::text("from elsewhere"));
            let fact = Fact::Posted { id, content, reply_to: None, mentions: Vec::new(), meta: Default::default() };
            let (seq, posts) = (seq + 1 + at, posts + 1 + at);
            entries.push(Arc::new(Entry { seq, at: 1, by, client_id, posts, append, fact }));
        }
        // As any append, none crosses a bucket of the log.
        for part in entries.chunk_by(|a, b| (a.seq - 1) / LOG_BUCKET == (b.seq - 1) / LOG_BUCKET) {
            self.inner.append(plain(room, part[0].seq - 1, part.to_vec())).await.unwrap();
        }
    }

    /// Somebody else writes an append's very commands, if nobody has yet.
    async fn overtake(&self, append: &Append) {
        let append_id = self.foreign.fetch_add(1, Ordering::SeqCst) + 7_000_000;
        let copy = |entry: &Arc<Entry>| Arc::new(Entry { append: append_id, ..(**entry).clone() });
        let theirs = Append { entries: append.entries.iter().map(copy).collect(), ..append.clone() };
        let _ = self.inner.append(theirs).await;
    }

    fn up(&self) -> Result<(), StoreError> {
        let down = self.down.load(Ordering::SeqCst);
        if down { Err(StoreError::Unavailable("it is down".into())) } else { Ok(()) }
    }

    #[expect(clippy::panic, reason = "this is what the test asked for")]
    fn panic_as_told(&self) {
        if self.panics.swap(false, Ordering::SeqCst) {
            panic!("the store was told to panic");
        }
    }

    async fn pause(&self, ms: &AtomicU64) {
        let ms = ms.load(Ordering::SeqCst);
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }
}

/// An append with nothing beside its entries.
pub fn plain(room: RoomId, expected: Seq, entries: Vec<Arc<Entry>>) -> Append {
    Append {
        room,
        tenant: TenantId::new(1),
        expected,
        entries: entries.into(),
        snapshot: None,
        messages: Vec::new(),
        members: Vec::new(),
        erase: Vec::new(),
        fence: None,
        mark: None,
    }
}

#[async_trait]
impl LogStore for Faulty {
    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst) + 1
    }

    async fn append(&self, append: Append) -> Result<(), AppendError> {
        tokio::task::yield_now().await;
        self.up()?;
        let twist = self.twists.lock().unwrap().pop_front();
        let written = (append.expected + 1, append.entries.len());
        let unknown = || AppendError::Store(StoreError::Unknown("time-out".into()));
        match twist {
            Some(Twist::Unavailable) => return Err(StoreError::Unavailable("as told".into()).into()),
            Some(Twist::UnknownNot) => return Err(unknown()),
            Some(Twist::UnknownThenPanic) => {
                self.panics.store(true, Ordering::SeqCst);
                return Err(unknown());
            }
            Some(Twist::Foreign(count)) => self.write_behind(append.room, count).await,
            Some(Twist::Overtaken) => self.overtake(&append).await,
            Some(Twist::Slow(ms)) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Some(Twist::UnknownApplied) | None => {}
        }
        self.inner.append(append).await?;
        self.appends.lock().unwrap().push(written);
        if matches!(twist, Some(Twist::UnknownApplied)) { Err(unknown()) } else { Ok(()) }
    }

    async fn wake(&self, room: RoomId) -> Result<Option<Waking>, StoreError> {
        self.up()?;
        self.panic_as_told();
        self.pause(&self.read_ms).await;
        self.inner.wake(room).await
    }

    async fn save_snapshot(&self, room: RoomId, seq: Seq, state: Vec<u8>) -> Result<(), StoreError> {
        self.up()?;
        self.inner.save_snapshot(room, seq, state).await
    }

    async fn entries(&self, room: RoomId, range: Range) -> Result<Vec<Arc<Entry>>, StoreError> {
        self.up()?;
        self.pause(&self.read_ms).await;
        self.inner.entries(room, range).await
    }

    async fn messages(&self, room: RoomId, range: Range) -> Result<Vec<StoredMessage>, StoreError> {
        self.up()?;
        self.panic_as_told();
        self.pause(&self.read_ms).await;
        self.inner.messages(room, range).await
    }

    async fn messages_at(&self, places: &[(RoomId, Seq)]) -> Result<Vec<Option<StoredMessage>>, StoreError> {
        self.up()?;
        self.panic_as_told();
        self.pause(&self.read_ms).await;
        self.inner.messages_at(places).await
    }

    async fn count_posts(&self, room: RoomId, after: Seq, by: UserId) -> Result<u64, StoreError> {
        self.up()?;
        self.pause(&self.read_ms).await;
        self.inner.count_posts(room, after, by).await
    }

    async fn locate(&self, message: MessageId) -> Result<Option<(RoomId, Seq)>, StoreError> {
        self.inner.locate(message).await
    }

    async fn find(&self, room: RoomId, by: UserId, client_id: &ClientId, upto: Seq) -> Result<Option<Seq>, StoreError> {
        self.up()?;
        self.pause(&self.read_ms).await;
        self.inner.find(room, by, client_id, upto).await
    }

    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        self.up()?;
        let rooms = self.inner.rooms_of(user).await;
        self.pause(&self.list_ms).await;
        rooms
    }

    async fn rooms_of_each(&self, users: &[UserId]) -> Result<Vec<Vec<RoomId>>, StoreError> {
        self.up()?;
        let rooms = self.inner.rooms_of_each(users).await;
        self.pause(&self.list_ms).await;
        rooms
    }

    async fn mark_read(&self, room: RoomId, marks: Vec<(UserId, ReadMark)>) -> Result<(), StoreError> {
        self.up()?;
        self.inner.mark_read(room, marks).await
    }

    async fn read_marks(&self, room: RoomId) -> Result<Vec<(UserId, ReadMark)>, StoreError> {
        self.up()?;
        self.inner.read_marks(room).await
    }
}

#[async_trait]
impl ClaimStore for Faulty {
    async fn claim(&self, tenant: TenantId, kind: ClaimKind, key: &str, target: u64) -> Result<u64, StoreError> {
        tokio::task::yield_now().await;
        self.up()?;
        self.inner.claim(tenant, kind, key, target).await
    }

    async fn take_ids(&self, kind: IdKind, count: u64) -> Result<u64, StoreError> {
        self.up()?;
        self.inner.take_ids(kind, count).await
    }
}

macro_rules! passed_on {
    ($(async fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $result:ty;)*) => {
        #[async_trait]
        impl AccountStore for Faulty {
            $(async fn $name(&self $(, $arg: $type)*) -> $result { self.inner.$name($($arg),*).await })*
        }
    };
}

passed_on! {
    async fn create_account(&self, account: &Account) -> Result<(), AccountError>;
    async fn update_account(&self, account: &Account) -> Result<(), AccountError>;
    async fn replace_account(&self, before: &Account, after: &Account) -> Result<(), AccountError>;
    async fn account(&self, who: Who<'_>) -> Result<Option<Account>, StoreError>;
    async fn accounts(&self, ids: &[UserId]) -> Result<Vec<Account>, StoreError>;
    async fn search_accounts(&self, tenant: TenantId, text: &str, limit: usize) -> Result<Vec<Account>, StoreError>;
    async fn seen(&self, users: &[(UserId, Millis)]) -> Result<(), StoreError>;
    async fn create_family(&self, family: &Family) -> Result<(), StoreError>;
    async fn family(&self, id: &str) -> Result<Option<Family>, StoreError>;
    async fn rotate_family(&self, id: &str, from: &str, to: &str, expires_at: Millis) -> Result<bool, StoreError>;
    async fn revoke_family(&self, id: &str) -> Result<(), StoreError>;
    async fn revoke_families(&self, user: UserId, except: Option<&str>) -> Result<(), StoreError>;
    async fn sweep_families(&self, now: Millis) -> Result<usize, StoreError>;
    async fn audit(&self, at: Millis, by: UserId, room: Option<RoomId>, what: &str) -> Result<(), StoreError>;
}

#[async_trait]
impl BulkStore for Faulty {
    async fn bulk(&self, bulk: Bulk) -> Result<(), BulkError> {
        self.up()?;
        if let Some(left) = self.bulks_left.lock().unwrap().as_mut() {
            *left = left.checked_sub(1).ok_or_else(|| StoreError::Unavailable("the disk is full".to_owned()))?;
        }
        self.inner.bulk(bulk).await
    }

    async fn import(&self, name: &str) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        self.inner.import(name).await
    }

    async fn records(&self, import: &str, kind: u8, from: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.inner.records(import, kind, from, limit).await
    }

    async fn taken(&self, kind: IdKind, ids: &[u64]) -> Result<Vec<u64>, StoreError> {
        self.inner.taken(kind, ids).await
    }
}

#[async_trait]
impl Store for Faulty {
    async fn health(&self) -> StoreHealth {
        let health = self.inner.health().await;
        StoreHealth { writable: health.writable && self.up().is_ok(), ..health }
    }
}

/// What becomes of published entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Once,
    Never,
    Twice,
}

/// A bus that loses or repeats entries as told. Everything else arrives.
pub struct Lossy {
    inner: Local,
    pub delivery: Mutex<Delivery>,
    kept: Mutex<Vec<(RoomId, RoomEvent)>>,
}

impl Default for Lossy {
    fn default() -> Self {
        Self { inner: Local::default(), delivery: Mutex::new(Delivery::Once), kept: Mutex::default() }
    }
}

impl Lossy {
    pub fn set(&self, delivery: Delivery) {
        *self.delivery.lock().unwrap() = delivery;
    }

    /// Publishes once more, oldest first, everything that ever was.
    pub fn replay(&self) {
        for (room, event) in self.kept.lock().unwrap().iter() {
            self.inner.publish_room(*room, event.clone());
        }
    }
}

impl Lossy {
    /// Publishes a room's latest entries once more, as an owner does now and then.
    pub fn replay_last(&self, room: RoomId) {
        let kept = self.kept.lock().unwrap();
        if let Some((_, event)) = kept.iter().rev().find(|(of, _)| *of == room) {
            self.inner.publish_room(room, event.clone());
        }
    }
}

impl Bus for Lossy {
    fn publish_room(&self, room: RoomId, event: RoomEvent) {
        let delivery = *self.delivery.lock().unwrap();
        let entries = matches!(event, RoomEvent::Appended(_));
        if entries {
            self.kept.lock().unwrap().push((room, event.clone()));
        }
        if entries && delivery == Delivery::Never {
            return;
        }
        if entries && delivery == Delivery::Twice {
            self.inner.publish_room(room, event.clone());
        }
        self.inner.publish_room(room, event);
    }

    fn publish_user(&self, user: UserId, notice: Notice) {
        self.inner.publish_user(user, notice);
    }

    fn subscribe_room(&self, room: RoomId, sink: Sink<RoomEvent>) -> Subscription {
        self.inner.subscribe_room(room, sink)
    }

    fn subscribe_user(&self, user: UserId, sink: Sink<Notice>) -> Subscription {
        self.inner.subscribe_user(user, sink)
    }
}
