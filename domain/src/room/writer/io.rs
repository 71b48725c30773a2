//! What goes into a writer, and what it wants done.

use std::sync::Arc;

use parlance_schema::command::Command;
use parlance_schema::entry::Entry;
use parlance_schema::message::MessageState;
use parlance_schema::user::Principal;
use parlance_schema::view::Done;
use parlance_schema::{ClientId, Fault, MessageId, Millis, Seq, TenantId, UserId};

use crate::message::Target;
use crate::room::State;

/// A command, who gives it, and the way back.
#[derive(Debug)]
pub struct Envelope<R> {
    /// The sender.
    pub who: Principal,
    /// Their name for it.
    pub client_id: ClientId,
    /// The command.
    pub command: Command,
    /// The way back. It is used once, or handed back.
    pub reply: R,
}

/// What surrounds one step.
pub struct Env<'a> {
    /// The time that entries get.
    pub now: Millis,
    /// A clock that only goes forward, in milliseconds.
    pub elapsed_ms: u64,
    /// Random numbers from 1 to 2^53 - 1.
    pub random: &'a mut dyn FnMut() -> u64,
    /// Ids for new messages; `None` when none is at hand ([`Effect::FetchIds`]).
    pub message_id: &'a mut dyn FnMut() -> Option<MessageId>,
    /// Whether there is no other node that might write to the log.
    pub single_node: bool,
    /// Whether the room is at home on this node.
    pub at_home: bool,
    /// How long a room without work stays awake.
    pub idle_ms: u64,
}

/// What a writer is told.
#[derive(Debug)]
pub enum Input<R> {
    /// A command.
    Ask(Box<Envelope<R>>),
    /// A look-up came to this.
    Found(LookupId, Box<Found>),
    /// An append came to this.
    Appended(BatchId, Appended),
    /// The log was read again; `None` when it can't be read.
    Reread(BatchId, Option<Box<Reread>>),
    /// An id; ids are at hand again. `None` when none can be had now.
    Ids(Option<MessageId>),
    /// Some time has passed.
    Tick,
    /// Somebody is there to take what waits: the room ends here.
    HandOver,
    /// Nobody will come for what waits, after [`Effect::StepDown`].
    NobodyComes,
    /// The append in flight has taken too long for a room that is to end.
    Overdue,
    /// What was sent before the room was taken off the list has come.
    Farewell,
    /// The room could not be read when it woke.
    Unreadable,
}

/// Names a look-up, so that a late answer is taken for what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(pub(super) u64);

/// Names an append and the readings that follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub(super) u64);

/// The store could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread;

/// Who sent a command, and what they call it.
pub type Sender = (UserId, ClientId);

/// What a look-up found, item by item as it was asked for.
#[derive(Debug, Default)]
pub struct Found {
    /// Messages by number; `None` for a number that is not a message's.
    pub targets: Vec<(Seq, Result<Option<Target>, Unread>)>,
    /// What client ids came to; `None` for one that is not in the log.
    pub done: Vec<(Sender, Result<Option<Done>, Unread>)>,
    /// The append id of the entry at the number that was asked for; `None` when the log does not reach there.
    pub beyond: Option<Result<Option<u64>, Unread>>,
}

impl Found {
    /// What comes of a look-up when nothing could be read.
    #[must_use]
    pub fn unread(wanted: &Wanted) -> Self {
        Self {
            targets: wanted.targets.iter().map(|seq| (*seq, Err(Unread))).collect(),
            done: wanted.client_ids.iter().map(|key| (key.clone(), Err(Unread))).collect(),
            beyond: wanted.beyond.map(|_| Err(Unread)),
        }
    }
}

/// What an append came to.
#[derive(Debug)]
pub enum Appended {
    /// It is on disk.
    Done,
    /// The log had gone on without this writer, or may not be appended to by it: nothing was written.
    WentOn,
    /// Some client ids are in the log already: places in the append, and the numbers of their entries. Nothing was written.
    Duplicate(Vec<(usize, Seq)>),
    /// Somebody has made certain that nothing more lands that was begun before: nothing was written.
    Fenced,
    /// Certainly nothing was written.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// What the log says when it is read again.
#[derive(Debug)]
pub struct Reread {
    /// What it folds to; `None` when it is empty.
    pub state: Option<State>,
    /// Whether the append in doubt is in it.
    pub landed: bool,
    /// The entries that have the client ids which the store named, by their places in the append.
    pub found: Vec<(usize, Option<Arc<Entry>>)>,
}

/// Entries to be appended, and what follows from them.
#[derive(Clone, Debug)]
pub struct Append {
    /// The room's tenant.
    pub tenant: TenantId,
    /// The log's last number before.
    pub expected: Seq,
    /// The entries.
    pub entries: Arc<[Arc<Entry>]>,
    /// The state after them, where it is time to keep it.
    pub snapshot: Option<Box<State>>,
    /// Messages as they are after them.
    pub messages: Vec<(Seq, MessageState)>,
    /// Users who became members (true) or stopped being ones (false), in order.
    pub members: Vec<(UserId, bool)>,
    /// Numbers of entries whose words are to be erased.
    pub erase: Vec<Seq>,
}

/// What a writer must know of the log to decide or refuse commands.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Messages, by number.
    pub targets: Vec<Seq>,
    /// Client ids, of entries up to `settled` at least.
    pub client_ids: Vec<Sender>,
    /// The last number that is certainly in the log.
    pub settled: Seq,
    /// A number that the log does not reach, as far as the writer knows.
    pub beyond: Option<Seq>,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect<R> {
    /// Reads these from the store, all at once; answered by [`Input::Found`].
    LookUp(LookupId, Wanted),
    /// Appends; answered by [`Input::Appended`].
    Append(BatchId, Append),
    /// Reads the log again after a pause; answered by [`Input::Reread`].
    Reread {
        /// Which.
        id: BatchId,
        /// The first number and the append id of what is in doubt; `None` when nothing is.
        doubt: Option<(Seq, u64)>,
        /// Entries to read: places in the append, and numbers.
        pairs: Vec<(usize, Seq)>,
        /// How long to wait before.
        pause_ms: u64,
    },
    /// Tells everybody who follows the room about new entries.
    Publish(Arc<[Arc<Entry>]>),
    /// Tells them the last number.
    PublishLast(Seq),
    /// Tells them once more about the last append of the log: its last number and its append id.
    PublishAgain(Seq, u64),
    /// Answers a command.
    Reply(R, Result<Done, Fault>),
    /// Notes what a moderator did in a room that they are not in.
    Audit(UserId, &'static str),
    /// Has more ids at hand; answered by [`Input::Ids`].
    FetchIds,
    /// Keeps a state as a snapshot.
    KeepSnapshot(Box<State>),
    /// The room is idle: has somebody come for what waits, if nobody is on the way.
    Sleep,
    /// Another node writes to the log: has somebody come for what waits, or says that [`Input::NobodyComes`].
    StepDown,
    /// Sends [`Input::Overdue`] after a while.
    AwaitOverdue,
    /// Takes the room off the list, and sends [`Input::Farewell`] after what was sent to it until then.
    Unlist,
    /// Gives commands back that were not done here, or, where marked so, of which nobody knows whether they were.
    HandBack(Vec<(Envelope<R>, bool)>),
    /// Stops.
    Stop,
}
