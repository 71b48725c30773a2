//! The rooms' logs, written piece by piece: while the store writes one, the next one is made.
//!
//! Whether an id is taken is found by writing: then the store says which, and the piece is made again without them.

use std::collections::HashMap;

use parlance_actors::node::read_room;
use parlance_actors::ports::store::{Bulk, BulkError, ClaimKind, IdKind, Range, Taken};
use parlance_schema::command::Kind;
use parlance_schema::{MessageId, Seq};
use tokio::task::JoinHandle;

use super::chats::{Room, Rooms};
use super::job::{Job, Kept, Piece, Progress, What, encode, failed};
use super::log_builder::{LogBuilder, Open, Window, name_of};
use super::messages::Read;
use super::sort::Message;
use super::{Bar, Error, Options};

/// Bytes of text that are written together.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Rooms that are written together.
const BATCH_ROOMS: usize = 4_096;

/// What is done next.
enum Step {
    Open,
    Post(Message),
    Close,
}

/// What a message that can't be written as it is becomes.
enum Ruling {
    Id(u64),
    Refuse(String),
}

/// Where the writing is.
#[derive(Clone)]
struct Cursor {
    progress: Progress,
    /// The room that is half written.
    open: Option<Open>,
}

/// A piece that was made.
struct Made {
    piece: Piece,
    /// For a message's entry in an append, the step that it came from.
    sources: HashMap<(usize, Seq), usize>,
}

/// A piece that the store is writing.
struct Flight {
    steps: Vec<Step>,
    before: Cursor,
    made: Made,
    writing: JoinHandle<Result<(), BulkError>>,
}

struct Writer<'a> {
    job: &'a mut Job,
    rooms: &'a [Room],
    read: Read,
    cursor: Cursor,
    window: Window,
    /// The step that a piece which is made next has.
    step: u64,
    /// The place and state of what is gathered next, ahead of the cursor.
    place: usize,
    opened: bool,
    peeked: Option<Message>,
    batch_entries: usize,
}

/// Writes all logs, or what is missing still.
pub(super) async fn write(job: &mut Job, options: &Options, rooms: Rooms, mut read: Read) -> Result<(), Error> {
    let progress = job.progress.clone();
    read.sorted.skip(progress.messages)?;
    let open = match rooms.all.get(progress.room) {
        Some(room) => read_room(job.store.as_ref(), room.id).await?.map(|(state, kept)| Open { state, kept }),
        None => None,
    };
    let mut bar = Bar::new("writing messages", read.sorted.count() + rooms.all.len() as u64);
    let (step, place, opened) = (job.step, progress.room, open.is_some());
    let cursor = Cursor { progress, open };
    let batch_entries = options.batch_entries.max(1);
    let window = Window::default();
    let mut writer =
        Writer { job, rooms: &rooms.all, read, cursor, window, step, place, opened, peeked: None, batch_entries };
    let mut flight: Option<Flight> = None;
    loop {
        let steps = writer.gather()?;
        if steps.is_empty() {
            break;
        }
        let mut before = writer.cursor.clone();
        let mut made = writer.make(&steps, &HashMap::new()).await?;
        if let Some(flight) = flight.take()
            && writer.land(flight).await? == Landed::Anew
        {
            // This piece was made on top of one that is another one now.
            before = writer.cursor.clone();
            made = writer.make(&steps, &HashMap::new()).await?;
        }
        flight = Some(writer.launch(steps, before, made)?);
        bar.now_at(writer.cursor.progress.messages + writer.cursor.progress.room as u64);
    }
    if let Some(flight) = flight {
        writer.land(flight).await?;
    }
    Ok(())
}

/// How a piece was written.
#[derive(PartialEq, Eq)]
enum Landed {
    AsMade,
    Anew,
}

impl<'a> Writer<'a> {
    /// The steps of the next piece; none at the end.
    fn gather(&mut self) -> Result<Vec<Step>, Error> {
        let (mut steps, mut bytes, mut closed) = (Vec::new(), 0, 0);
        while steps.len() < self.batch_entries && bytes < BATCH_BYTES && closed < BATCH_ROOMS {
            if self.place >= self.rooms.len() {
                break;
            }
            if !self.opened {
                steps.push(Step::Open);
                self.opened = true;
                continue;
            }
            if self.peeked.is_none() {
                self.peeked = self.read.sorted.next()?;
            }
            match self.peeked.take_if(|message| message.room as usize == self.place) {
                Some(message) => {
                    bytes += message.text.len();
                    steps.push(Step::Post(message));
                }
                None => {
                    steps.push(Step::Close);
                    (self.place, self.opened) = (self.place + 1, false);
                    closed += 1;
                }
            }
        }
        Ok(steps)
    }

    /// Makes a piece of steps, and moves the cursor.
    async fn make(&mut self, steps: &[Step], rulings: &HashMap<u64, Ruling>) -> Result<Made, Error> {
        let bulk = Bulk { import: self.job.name.clone(), step: self.step, ..Bulk::default() };
        let mut piece = Piece { bulk, progress: self.cursor.progress.clone() };
        let mut sources = HashMap::with_capacity(steps.len());
        let rooms = self.rooms;
        let (name, tenant) = (self.job.name.clone(), piece.progress.tenant);
        let mut builder = match (rooms.get(piece.progress.room), self.cursor.open.take()) {
            (Some(room), Some(open)) => Some(LogBuilder::resume(&name, tenant, room, open)),
            _ => None,
        };
        for (at, step) in steps.iter().enumerate() {
            let Some(room) = rooms.get(piece.progress.room) else { break };
            match (step, &mut builder) {
                (Step::Open, builder) => {
                    if room.kind == Kind::Direct {
                        let pair = room.members.iter().map(|member| member.user);
                        let (a, b) = (pair.clone().min(), pair.max());
                        let key = a.zip(b).map_or_else(String::new, |(a, b)| format!("{a}:{b}"));
                        piece.bulk.claims.push((tenant, ClaimKind::Direct, key, room.id.get()));
                    }
                    *builder = Some(LogBuilder::open(&name, tenant, room)?);
                }
                (Step::Post(message), Some(builder)) => {
                    if let Some(seq) = self.post(builder, message, rulings, &mut piece).await? {
                        sources.insert((piece.bulk.appends.len(), seq), at);
                    }
                }
                (Step::Close, open) => {
                    if let Some(mut builder) = open.take() {
                        piece.bulk.marks.extend(builder.close()?);
                        piece.bulk.appends.extend(builder.finish(false).0);
                    }
                    piece.progress.room += 1;
                }
                (Step::Post(_), None) => return Err(Error::Other("a message before its room".to_owned())),
            }
        }
        if let Some(builder) = builder {
            let (append, open) = builder.finish(true);
            piece.bulk.appends.extend(append);
            self.cursor.open = Some(open);
        }
        self.cursor.progress = piece.progress.clone();
        self.step += 1;
        Ok(Made { piece, sources })
    }

    /// Writes a message, unless it is refused; the number of its entry.
    async fn post(
        &mut self,
        builder: &mut LogBuilder<'_>,
        message: &Message,
        rulings: &HashMap<u64, Ruling>,
        piece: &mut Piece,
    ) -> Result<Option<Seq>, Error> {
        let farewell = self.read.farewells.get(&(message.room, message.sender));
        let last = farewell == Some(&(message.at, message.id, message.row));
        piece.progress.messages += 1;
        let mut changes = Vec::new();
        let id = match rulings.get(&message.row) {
            Some(Ruling::Refuse(why)) => {
                piece.refuse(What::Messages, message.row, Some(message.id), why.clone());
                builder.pass(message, last)?;
                return Ok(None);
            }
            Some(Ruling::Id(id)) => {
                piece.keep(Kept::Message, message.id, *id);
                piece.past(IdKind::Message, *id);
                changes.push(format!("the id is taken; it is {id} now"));
                *id
            }
            None => message.id,
        };
        let reply_to = match message.reply_to {
            Some(target) => self.answered(message.room, target).await?,
            None => None,
        };
        if let (Some(target), None) = (message.reply_to, reply_to) {
            changes
                .push(format!("message {target}, which it answers, is no earlier one of the chat; that was left out"));
        }
        let seq = builder.post(message, MessageId::new(id), reply_to, last)?;
        piece.import(What::Messages, message.row, message.id, &changes);
        if self.read.replies {
            self.window.add(message, seq);
        }
        Ok(Some(seq))
    }

    /// The number of the message that one in this room answers, if it is an earlier one there.
    async fn answered(&self, room: u32, target: u64) -> Result<Option<Seq>, Error> {
        if let Some((place, seq)) = self.window.find(target) {
            return Ok((place == room).then_some(seq));
        }
        let id = MessageId::try_from(self.job.message(target).await?).ok();
        let Some(id) = id else { return Ok(None) };
        let found = self.job.store.locate(id).await?;
        let here = self.rooms.get(room as usize).map(|room| room.id);
        Ok(found.filter(|(there, _)| Some(*there) == here).map(|(_, seq)| seq))
    }

    fn launch(&self, steps: Vec<Step>, before: Cursor, mut made: Made) -> Result<Flight, Error> {
        let mut bulk = std::mem::take(&mut made.piece.bulk);
        bulk.progress = encode(&made.piece.progress)?;
        let store = self.job.store.clone();
        let writing = tokio::spawn(async move { store.bulk(bulk).await });
        Ok(Flight { steps, before, made, writing })
    }

    /// Waits until a piece is written; where some of it is taken, writes it without that.
    async fn land(&mut self, flight: Flight) -> Result<Landed, Error> {
        let Flight { steps, before, made, writing } = flight;
        let written = writing.await.map_err(|error| Error::Other(format!("the store's caller ended: {error}")))?;
        let mut taken = match written {
            Ok(()) => {
                self.job.landed(made.piece.progress);
                return Ok(Landed::AsMade);
            }
            Err(BulkError::Taken(taken)) => taken,
            Err(error) => return Err(failed(error)),
        };
        let (mut sources, mut rulings) = (made.sources, HashMap::new());
        loop {
            self.rule(&steps, &sources, &taken, &mut rulings).await?;
            // What is remembered comes in part from what was not written.
            self.window.clear();
            self.cursor = before.clone();
            self.step = self.job.step;
            let made = self.make(&steps, &rulings).await?;
            match self.job.commit(&made.piece).await? {
                Ok(()) => return Ok(Landed::Anew),
                Err(again) => (taken, sources) = (again, made.sources),
            }
        }
    }

    /// Decides about messages whose ids are taken: those of this import are doubles, the others get another id.
    async fn rule(
        &mut self,
        steps: &[Step],
        sources: &HashMap<(usize, Seq), usize>,
        taken: &[Taken],
        rulings: &mut HashMap<u64, Ruling>,
    ) -> Result<(), Error> {
        let mut before: HashMap<u64, u64> = HashMap::new();
        for step in steps {
            if let Step::Post(message) = step
                && !matches!(rulings.get(&message.row), Some(Ruling::Refuse(_)))
            {
                before.entry(message.id).or_insert(message.row);
            }
        }
        for word in taken {
            let place = if let Taken::Entry(append, seq) = word { sources.get(&(*append, *seq)) } else { None };
            let Some(Step::Post(message)) = place.and_then(|at| steps.get(*at)) else {
                return Err(Error::Other(format!("the store has changed meanwhile: {word:?}")));
            };
            let double = before.get(&message.id).is_some_and(|row| *row != message.row)
                || rulings.contains_key(&message.row)
                || self.is_ours(message.id).await?;
            let ruling = if double {
                Ruling::Refuse("another message before it has this id".to_owned())
            } else {
                Ruling::Id(self.job.next_id(IdKind::Message).await?)
            };
            rulings.insert(message.row, ruling);
        }
        Ok(())
    }

    /// Whether this import has written a message with an old id.
    async fn is_ours(&self, old: u64) -> Result<bool, Error> {
        if self.job.message(old).await? != old {
            return Ok(true);
        }
        let Ok(id) = MessageId::try_from(old) else { return Ok(false) };
        let Some((room, seq)) = self.job.store.locate(id).await? else { return Ok(false) };
        let range = Range { from: seq, to: seq, limit: 1, backwards: false };
        let entry = self.job.store.entries(room, range).await?.pop();
        Ok(entry.is_some_and(|entry| entry.client_id.as_str() == name_of(&self.job.name, old)))
    }
}
