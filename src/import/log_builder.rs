//! A room's entries, as its commands would have made them.
//!
//! The owner opens the room and adds the others when they joined; messages follow in the order of their times. Whoever
//! wrote without being in the chat any more is added before their first message, and leaves after their last one.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use parlance_actors::node::encode_state;
use parlance_actors::ports::store::{Append, ReadMark};
use parlance_domain::message;
use parlance_domain::room::State;
use parlance_schema::command::{History, Kind, MemberRole};
use parlance_schema::content::{Content, MESSAGE_TYPE, Meta};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::{ID_MAX, MEMBERS_MAX};
use parlance_schema::message::MessageState;
use parlance_schema::{ClientId, MessageId, Millis, RoomId, Seq, TenantId, UserId};

use super::Error;
use super::chats::{Joining, Room};
use super::sort::Message;

/// Entries after a snapshot that a room may wake from without another one.
const TAIL_MAX: Seq = 64;

/// A room whose log is being written, between two pieces.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub state: State,
    /// What the last snapshot was folded up to.
    pub kept: Seq,
}

/// Writes one room's entries.
pub(super) struct LogBuilder<'a> {
    import: &'a str,
    room: &'a Room,
    open: Open,
    append: Append,
    entries: Vec<Arc<Entry>>,
    /// Members, in the order of joining, who are in the log already.
    joined: usize,
    name: String,
}

const fn millis(micros: u64) -> Millis {
    micros / 1_000
}

/// The append id of a room's imported entries: not random, so that an import that was interrupted writes the same ones.
fn append_id(import: &str, room: RoomId) -> u64 {
    let bytes = import.bytes().chain(room.get().to_le_bytes());
    // FNV-1a.
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ hash >> 53) & ID_MAX
}

/// The client id that the entry of a message has.
pub(super) fn name_of(import: &str, message: u64) -> String {
    format!("{import}/{message}")
}

impl<'a> LogBuilder<'a> {
    /// Begins a room's log.
    pub fn open(import: &'a str, tenant: TenantId, room: &'a Room) -> Result<Self, Error> {
        let (owner, at) = (room.owner, millis(room.created));
        let first = room.members.iter().filter(|m| room.kind == Kind::Direct || millis(m.at) == at);
        let mut members = vec![owner];
        members.extend(first.map(|member| member.user).filter(|user| *user != owner));
        let fact = Fact::Created {
            tenant,
            kind: room.kind,
            name: room.name.clone(),
            members: members.clone(),
            history: History::All,
        };
        let append = append_id(import, room.id);
        let mut name = String::new();
        let client_id = client_id(&mut name, import, format_args!("entry/1"))?;
        let entry = Entry { seq: 1, at, by: owner, client_id, posts: 0, append, fact };
        let state = State::opened(&entry).ok_or_else(|| Error::Other("a room that can't be opened".to_owned()))?;
        let open = Open { state, kept: 0 };
        let mut builder = Self::new(import, tenant, room, open, 0);
        builder.append.members.extend(members.iter().map(|user| (*user, true)));
        builder.entries.push(Arc::new(entry));
        let admins: Vec<_> = room.members.iter().filter(|m| m.admin && members.contains(&m.user)).collect();
        admins.into_iter().try_for_each(|member| builder.promote(member.user, at))?;
        Ok(builder)
    }

    /// Goes on with a room's log.
    pub fn resume(import: &'a str, tenant: TenantId, room: &'a Room, open: Open) -> Self {
        let last = open.state.last;
        Self::new(import, tenant, room, open, last)
    }

    fn new(import: &'a str, tenant: TenantId, room: &'a Room, open: Open, expected: Seq) -> Self {
        let append = Append {
            room: room.id,
            tenant,
            expected,
            entries: Arc::new([]),
            snapshot: None,
            messages: Vec::new(),
            members: Vec::new(),
            erase: Vec::new(),
            fence: None,
            mark: None,
        };
        Self { import, room, open, append, entries: Vec::new(), joined: 0, name: String::new() }
    }

    /// Writes a message that has this id here; the number of its entry.
    pub fn post(&mut self, message: &Message, id: MessageId, reply_to: Option<Seq>, last: bool) -> Result<Seq, Error> {
        self.attend(message)?;
        let deleted = message.deleted.is_some();
        let content = || (!deleted).then(|| Content::text(&*message.text));
        let mut meta = Meta::new();
        if !deleted && !message.word.is_empty() {
            meta.insert(MESSAGE_TYPE.to_owned(), message.word.clone());
        }
        let at = millis(message.at);
        let fact = Fact::Posted { id, content: content(), reply_to, mentions: Vec::new(), meta };
        let target = self.write(at, message.sender, format_args!("{}", message.id), fact)?;
        let mut state = MessageState::default();
        if let Some(edited) = message.edited {
            let fact = Fact::Edited { target, revision: 1, content: content() };
            self.write(millis(edited), message.sender, format_args!("{}/edit", message.id), fact)?;
            self.fold_last(&mut state);
        }
        if let Some(deleted) = message.deleted {
            let fact = Fact::Deleted { target };
            self.write(millis(deleted), message.sender, format_args!("{}/delete", message.id), fact)?;
            self.fold_last(&mut state);
        }
        if message.edited.is_some() || deleted {
            self.append.messages.push((target, state));
        }
        self.part(message, last)?;
        Ok(target)
    }

    /// Passes over a message that was refused.
    pub fn pass(&mut self, message: &Message, last: bool) -> Result<(), Error> {
        self.part(message, last)
    }

    /// Ends the log; how far everybody has read then, which is all of it.
    pub fn close(&mut self) -> Result<Vec<(RoomId, UserId, ReadMark)>, Error> {
        self.admit_until(u64::MAX)?;
        if !self.room.active {
            let at = millis(self.room.updated).max(self.open.state.updated_at);
            let seq = self.open.state.last + 1;
            self.write(at, self.room.owner, format_args!("entry/{seq}"), Fact::Archived)?;
        }
        let state = &self.open.state;
        let mark = |own| ReadMark { seq: state.last, posts: state.posts, own };
        Ok(state.members.iter().map(|(user, member)| (self.room.id, *user, mark(member.own))).collect())
    }

    /// What was written, and the room as it is left; with a snapshot if it is to be gone on with, or the tail is long.
    pub fn finish(mut self, to_be_continued: bool) -> (Option<Append>, Open) {
        let tail = self.open.state.last - self.open.kept;
        if tail > 0 && (to_be_continued || tail > TAIL_MAX) {
            self.append.snapshot = encode_state(&self.open.state);
            self.open.kept = self.open.state.last;
        }
        self.append.entries = self.entries.into();
        let append = (!self.append.entries.is_empty()).then_some(self.append);
        (append, self.open)
    }

    /// Has everybody join who joined before a message, and its sender in any case.
    fn attend(&mut self, message: &Message) -> Result<(), Error> {
        self.admit_until(message.at)?;
        if self.open.state.members.contains_key(&message.sender) {
            return Ok(());
        }
        if let Some(member) = self.room.members.iter().find(|member| member.user == message.sender) {
            // The clocks of two tables differ.
            return self.admit(&[member.user], member.admin, millis(member.at));
        }
        if self.open.state.members.len() < MEMBERS_MAX {
            self.admit(&[message.sender], false, millis(message.at))?;
        }
        Ok(())
    }

    /// Has somebody leave whose last message it was.
    fn part(&mut self, message: &Message, last: bool) -> Result<(), Error> {
        if last && self.open.state.members.contains_key(&message.sender) {
            self.leave(message.sender, millis(message.at))?;
        }
        Ok(())
    }

    fn admit_until(&mut self, at: u64) -> Result<(), Error> {
        let room = self.room;
        while let Some(member) = room.members.get(self.joined).filter(|member| member.at <= at) {
            // Those who joined at the same time were added at once.
            let same =
                room.members[self.joined..].iter().take_while(|m| millis(m.at) == millis(member.at) && m.at <= at);
            let same: Vec<_> = same.collect();
            self.joined += same.len();
            for admin in [true, false] {
                let new = |m: &&&Joining| m.admin == admin && !self.open.state.members.contains_key(&m.user);
                let users: Vec<UserId> = same.iter().filter(new).map(|member| member.user).collect();
                if !users.is_empty() {
                    self.admit(&users, admin, millis(member.at))?;
                }
            }
        }
        Ok(())
    }

    fn admit(&mut self, users: &[UserId], admin: bool, at: Millis) -> Result<(), Error> {
        while self.open.state.members.len() + users.len() > MEMBERS_MAX {
            // All who are in the chat fit; so somebody is here who isn't any more.
            let guest = self.open.state.members.keys().copied().find(|user| !self.room.has(*user));
            let Some(guest) = guest else { break };
            self.leave(guest, at)?;
        }
        let seq = self.open.state.last + 1;
        let fact = Fact::Added { users: users.to_vec() };
        self.write(at, self.room.owner, format_args!("entry/{seq}"), fact)?;
        if admin { users.iter().try_for_each(|user| self.promote(*user, at)) } else { Ok(()) }
    }

    fn promote(&mut self, user: UserId, at: Millis) -> Result<(), Error> {
        if user == self.room.owner || self.room.kind == Kind::Direct {
            return Ok(());
        }
        let seq = self.open.state.last + 1;
        let fact = Fact::Promoted { user, role: MemberRole::Admin };
        self.write(at, self.room.owner, format_args!("entry/{seq}"), fact).map(drop)
    }

    fn leave(&mut self, user: UserId, at: Millis) -> Result<(), Error> {
        let seq = self.open.state.last + 1;
        self.write(at, user, format_args!("entry/{seq}"), Fact::Left { heir: None }).map(drop)
    }

    fn write(&mut self, at: Millis, by: UserId, name: std::fmt::Arguments<'_>, fact: Fact) -> Result<Seq, Error> {
        let state = &mut self.open.state;
        let posts = state.posts + u64::from(matches!(fact, Fact::Posted { .. }));
        let client_id = client_id(&mut self.name, self.import, name)?;
        let append = append_id(self.import, self.room.id);
        let entry = Entry { seq: state.last + 1, at, by, client_id, posts, append, fact };
        self.append.members.extend(entry.membership());
        state.fold(&entry);
        let seq = entry.seq;
        self.entries.push(Arc::new(entry));
        Ok(seq)
    }

    fn fold_last(&self, state: &mut MessageState) {
        if let Some(entry) = self.entries.last() {
            message::fold(state, entry);
        }
    }
}

/// The name of an imported entry.
fn client_id(buffer: &mut String, import: &str, name: std::fmt::Arguments<'_>) -> Result<ClientId, Error> {
    buffer.clear();
    // Writing to a string can't fail.
    let _ = write!(buffer, "{import}/{name}");
    ClientId::new(&*buffer).map_err(|error| Error::Other(error.to_string()))
}

/// Where the latest messages are, for those that answer them.
#[derive(Default)]
pub(super) struct Window {
    places: HashMap<u64, (u32, Seq)>,
    order: std::collections::VecDeque<u64>,
}

impl Window {
    /// Messages that are remembered: more than two pieces have, since what was written before is found in the store.
    const MAX: usize = 1 << 18;

    pub fn add(&mut self, message: &Message, seq: Seq) {
        if self.places.insert(message.id, (message.room, seq)).is_none() {
            self.order.push_back(message.id);
        }
        if self.order.len() > Self::MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
    }

    pub fn find(&self, id: u64) -> Option<(u32, Seq)> {
        self.places.get(&id).copied()
    }

    pub fn clear(&mut self) {
        self.places.clear();
        self.order.clear();
    }
}
