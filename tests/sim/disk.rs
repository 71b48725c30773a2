//! What the simulated store holds, one for all nodes: a model of its own, which shares nothing with the real stores.
//!
//! An append is there from the moment at which it is applied. Until its writer was answered, or somebody looked at the log
//! in earnest, it is *in doubt*: who only reads what a quorum has may or may not see it. Lists that follow from the log may be
//! seen as they were a while ago.

mod feed;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlance_actors::ports::store::{
    Account, Append, AppendError, ClaimKind, IdKind, MessageState, Range, ReadMark, StoredMessage, Waking,
};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::{ClientId, MessageId, RoomId, Seq, TenantId, UserId};
use tokio::time::Instant;

/// What can be switched off, to see that it is missed.
#[derive(Clone, Copy, Debug)]
pub struct Switches {
    /// An append is refused where the log does not end as it expects.
    pub condition: bool,
    /// A sender's client id is written once.
    pub dedup: bool,
    /// A hole that a relay notices is read from the log.
    pub repair: bool,
    /// A mark of unfinished work is kept.
    pub mark: bool,
    /// It is there before its writer goes on.
    pub mark_first: bool,
    /// An append that was begun before its log was fenced is refused.
    pub fence: bool,
    /// It is fenced where the next entry goes.
    pub fence_bucket: bool,
    /// Marks wait for all consumers that are registered, not for those of a node's own settings.
    pub registered: bool,
    /// A consumer says that it is done when it is.
    pub effect_first: bool,
    /// Marks of nodes that are gone are found.
    pub sweep: bool,
    /// A mark for later is kept.
    pub due: bool,
}

impl Switches {
    pub const ON: Self = Self {
        condition: true,
        dedup: true,
        repair: true,
        mark: true,
        mark_first: true,
        fence: true,
        fence_bucket: true,
        registered: true,
        effect_first: true,
        sweep: true,
        due: true,
    };
}

/// How somebody looks at the store.
#[derive(Clone, Copy, Debug)]
pub enum Visibility {
    /// As it is, what is in doubt included.
    Sharp,
    /// Without what is in doubt, and lists as they were so long ago.
    Blind(Duration),
}

impl Visibility {
    fn lag(self) -> Duration {
        if let Visibility::Blind(lag) = self { lag } else { Duration::ZERO }
    }
}

struct Row {
    entry: Arc<Entry>,
    settled: bool,
}

#[derive(Default)]
struct Log {
    rows: Vec<Row>,
    pairs: BTreeMap<(UserId, ClientId), Seq>,
    states: BTreeMap<Seq, MessageState>,
    snapshot: Option<(Seq, Vec<u8>)>,
}

#[derive(Default)]
struct All {
    logs: BTreeMap<RoomId, Log>,
    messages: BTreeMap<MessageId, (Instant, RoomId, Seq)>,
    /// Who came and went, in order.
    moves: Vec<(Instant, UserId, RoomId, bool)>,
    claims: BTreeMap<(TenantId, String), u64>,
    ids: BTreeMap<String, u64>,
    marks: BTreeMap<(RoomId, UserId), ReadMark>,
    accounts: BTreeMap<UserId, Account>,
    feed: feed::Feed,
}

pub struct Disk {
    all: Mutex<All>,
    /// Rooms whose appends time out more often than others', and come late.
    late: Mutex<std::collections::BTreeSet<RoomId>>,
    /// Appends that timed out and are still to come.
    pub to_come: AtomicUsize,
    pub switches: Switches,
}

impl Disk {
    pub fn new(switches: Switches) -> Self {
        Self { all: Mutex::default(), late: Mutex::default(), to_come: AtomicUsize::new(0), switches }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a room's appends time out more often.
    pub fn late(&self, room: RoomId) {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).insert(room);
    }

    pub fn is_late(&self, room: RoomId) -> bool {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).contains(&room)
    }

    /// Every room's last number.
    pub fn lasts(&self) -> BTreeMap<u64, u64> {
        let all = self.lock();
        all.logs.iter().map(|(room, log)| (room.get(), log.rows.len() as u64)).collect()
    }

    /// Appends on its conditions; what is written is in doubt until [`Disk::settle`].
    pub fn append(&self, append: &Append) -> Result<(), AppendError> {
        let last = append.expected + append.entries.len() as Seq;
        assert!(append.expected / LOG_BUCKET == (last - 1) / LOG_BUCKET, "an append crosses a bucket of the log");
        let mut all = self.lock();
        let log = all.logs.entry(append.room).or_default();
        // A refusal is an answer of the log, like any look at it in earnest.
        log.settle();
        let last = log.rows.len() as Seq;
        if self.switches.condition && last != append.expected {
            return Err(AppendError::Conflict { last });
        }
        if self.switches.condition && all.feed.fence_after(append.room, append.expected) != append.fence {
            return Err(AppendError::Fenced);
        }
        let log = all.logs.entry(append.room).or_default();
        if self.switches.dedup {
            let known = |(at, e): (usize, &Arc<Entry>)| Some((at, *log.pairs.get(&(e.by, e.client_id.clone()))?));
            let twice: Vec<_> = append.entries.iter().enumerate().filter_map(known).collect();
            if !twice.is_empty() {
                return Err(AppendError::Duplicate(twice));
            }
        }
        all.write(append);
        Ok(())
    }

    /// Notes that the log's writer was answered.
    pub fn settle(&self, room: RoomId) {
        if let Some(log) = self.lock().logs.get_mut(&room) {
            log.settle();
        }
    }

    /// Reads what a room wakes from, in earnest.
    pub fn wake(&self, room: RoomId) -> Option<Waking> {
        let mut all = self.lock();
        let log = all.logs.get_mut(&room).filter(|log| !log.rows.is_empty())?;
        log.settle();
        let from = log.snapshot.as_ref().map_or(0, |(seq, _)| *seq as usize).min(log.rows.len());
        let (snapshot, last) = (log.snapshot.clone(), log.rows.len() as Seq);
        let tail = log.rows[from..].iter().map(|row| row.entry.clone()).collect();
        Some(Waking { snapshot, tail, fence: all.feed.fence_after(room, last) })
    }

    pub fn keep(&self, room: RoomId, seq: Seq, state: Vec<u8>) {
        if let Some(log) = self.lock().logs.get_mut(&room) {
            log.keep(seq, state);
        }
    }

    pub fn entries(&self, room: RoomId, range: Range, visibility: Visibility) -> Vec<Arc<Entry>> {
        self.lock().logs.get(&room).map(|log| log.range(range, visibility)).unwrap_or_default()
    }

    pub fn messages(&self, room: RoomId, range: Range, visibility: Visibility) -> Vec<StoredMessage> {
        let all = self.lock();
        let Some(log) = all.logs.get(&room) else { return Vec::new() };
        let entries = log.range(Range { limit: usize::MAX, ..range }, visibility);
        let posts = entries.into_iter().filter(|entry| is_post(entry)).take(range.limit);
        posts.map(|entry| StoredMessage { state: log.states.get(&entry.seq).cloned(), entry }).collect()
    }

    pub fn find(&self, room: RoomId, by: UserId, client_id: &ClientId) -> Option<Seq> {
        let mut all = self.lock();
        let log = all.logs.get_mut(&room).filter(|_| self.switches.dedup)?;
        log.settle();
        log.pairs.get(&(by, client_id.clone())).copied()
    }

    pub fn locate(&self, message: MessageId, visibility: Visibility) -> Option<(RoomId, Seq)> {
        let found = self.lock().messages.get(&message).copied();
        found.filter(|(at, _, _)| at.elapsed() >= visibility.lag()).map(|(_, room, seq)| (room, seq))
    }

    pub fn rooms_of(&self, user: UserId, visibility: Visibility) -> Vec<RoomId> {
        let all = self.lock();
        let mut rooms = BTreeMap::new();
        for (_, _, room, there) in
            all.moves.iter().filter(|(at, who, _, _)| *who == user && at.elapsed() >= visibility.lag())
        {
            rooms.insert(*room, *there);
        }
        rooms.into_iter().filter(|(_, there)| *there).map(|(room, _)| room).collect()
    }

    pub fn mark(&self, room: RoomId, user: UserId, mark: ReadMark) {
        let mut all = self.lock();
        let kept = all.marks.entry((room, user)).or_insert(mark);
        if mark.seq > kept.seq {
            *kept = mark;
        }
    }

    pub fn marks(&self, room: RoomId) -> Vec<(UserId, ReadMark)> {
        let all = self.lock();
        all.marks.iter().filter(|((of, _), _)| *of == room).map(|((_, user), mark)| (*user, *mark)).collect()
    }

    pub fn claim(&self, tenant: TenantId, kind: ClaimKind, key: &str, target: u64) -> u64 {
        *self.lock().claims.entry((tenant, format!("{kind:?} {key}"))).or_insert(target)
    }

    pub fn take_ids(&self, kind: IdKind, count: u64) -> u64 {
        let mut all = self.lock();
        let next = all.ids.entry(format!("{kind:?}")).or_insert(1);
        *next += count;
        *next - count
    }

    pub fn put_account(&self, account: &Account) {
        self.lock().accounts.insert(account.id, account.clone());
    }

    pub fn accounts(&self) -> Vec<Account> {
        self.lock().accounts.values().cloned().collect()
    }
}

fn is_post(entry: &Entry) -> bool {
    matches!(entry.fact, Fact::Posted { .. })
}

impl All {
    fn write(&mut self, append: &Append) {
        let now = Instant::now();
        let log = self.logs.entry(append.room).or_default();
        // On its condition the log ends there. Without it, what stood there is overwritten, as in a table.
        log.rows.truncate(append.expected as usize);
        for entry in append.entries.iter() {
            log.pairs.insert((entry.by, entry.client_id.clone()), entry.seq);
            if let Fact::Posted { id, .. } = entry.fact {
                self.messages.insert(id, (now, append.room, entry.seq));
            }
            log.rows.push(Row { entry: entry.clone(), settled: false });
        }
        log.states.extend(append.messages.iter().cloned());
        if let Some(state) = &append.snapshot {
            log.keep(append.expected + append.entries.len() as Seq, state.clone());
        }
        for seq in &append.erase {
            if let Some(row) = log.rows.get_mut(*seq as usize - 1) {
                Arc::make_mut(&mut row.entry).erase();
            }
        }
        self.moves.extend(append.members.iter().map(|(user, there)| (now, *user, append.room, *there)));
    }
}

impl Log {
    fn settle(&mut self) {
        self.rows.iter_mut().rev().take_while(|row| !row.settled).for_each(|row| row.settled = true);
    }

    fn keep(&mut self, seq: Seq, state: Vec<u8>) {
        let newer = self.snapshot.as_ref().is_none_or(|(kept, _)| seq > *kept);
        if newer && seq <= self.rows.len() as Seq {
            self.snapshot = Some((seq, state));
        }
    }

    fn range(&self, range: Range, visibility: Visibility) -> Vec<Arc<Entry>> {
        let seen = match visibility {
            Visibility::Blind(_) => self.rows.iter().take_while(|row| row.settled).count(),
            _ => self.rows.len(),
        };
        // Numbers begin at 1; the entry with number n is at n - 1.
        let begin = (range.from.max(1) - 1).min(seen as Seq) as usize;
        let end = range.to.min(seen as Seq).max(begin as Seq) as usize;
        let within = self.rows[begin..end].iter().map(|row| row.entry.clone());
        if range.backwards { within.rev().take(range.limit).collect() } else { within.take(range.limit).collect() }
    }
}
