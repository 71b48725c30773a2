//! The messages' file, read and brought into the rooms' order.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use parlance_actors::ports::store::IdKind;
use parlance_domain::content_rules::check_text;
use parlance_schema::UserId;
use parlance_schema::command::Kind;

use super::chats::Rooms;
use super::fields::Fields;
use super::job::{Job, Phase, What};
use super::people::People;
use super::sort::{Chunk, Message, Sorted, Sorter};
use super::source::{Batch, Column, Input, Next, Row, Rows};
use super::{Bar, Error, Options, field, ordered_pool};

/// Characters of a message's type.
const WORD_CHARS_MAX: usize = 32;

pub(super) const COLUMNS: [Column; 10] = [
    Column { names: &["id", "message_id"], required: true },
    Column { names: &["chat_id"], required: true },
    Column { names: &["sender_id", "user_id"], required: true },
    Column { names: &["content"], required: true },
    Column { names: &["timestamp", "created_at"], required: true },
    Column { names: &["message_type"], required: false },
    Column { names: &["is_edited"], required: false },
    Column { names: &["is_deleted"], required: false },
    Column { names: &["reply_to", "reply_to_id"], required: false },
    Column { names: &["edited_at", "updated_at"], required: false },
];
const ID: usize = 0;
const CHAT: usize = 1;
const SENDER: usize = 2;
const CONTENT: usize = 3;
const TIMESTAMP: usize = 4;
const WORD: usize = 5;
const IS_EDITED: usize = 6;
const IS_DELETED: usize = 7;
const REPLY_TO: usize = 8;
const EDITED_AT: usize = 9;

/// What the file had.
#[derive(Default)]
pub(super) struct Read {
    /// The messages, in the rooms' order.
    pub sorted: Sorted,
    /// Of those who wrote in a group that they are not in any more, their last message: its time, id and row.
    pub farewells: HashMap<(u32, UserId), (u64, u64, u64)>,
    /// Whether any message answers another.
    pub replies: bool,
}

/// What some rows had.
struct Parsed {
    rows: u64,
    chunk: Chunk,
    read: Read,
    largest: u64,
    remarks: Vec<Remark>,
}

/// What is to be said about a row.
enum Remark {
    Refused { row: u64, id: Option<u64>, why: String },
    Changed { row: u64, id: u64, changes: Vec<String> },
}

/// Reads the file; the first time it is written down what is refused.
pub(super) async fn read(
    job: &mut Job,
    options: &Options,
    input: &Input,
    rooms: &Rooms,
    people: &People,
    scratch: &Path,
) -> Result<Read, Error> {
    let mut rows = Rows::open(input, &COLUMNS)?;
    let size = std::fs::metadata(&input.path).map_or(0, |file| file.len());
    let mut bar = Bar::new("reading messages", size);
    let mut piece = job.piece();
    let mut sorter = Sorter::new(scratch, options.sort_bytes);
    let mut read = Read::default();
    let (mut largest, mut count) = (0, 0);
    // Batches that were looked at are filled again: memory that is new each time costs more than what is done with it.
    let spare = RefCell::new(Vec::new());
    let next = || {
        bar.now_at(rows.bytes());
        rows.batch(spare.borrow_mut().pop().unwrap_or_default())
    };
    let work = |batch: Batch| (Parsed::new(&batch, rooms, people), batch);
    let done = |(parsed, batch): (Parsed, Batch)| {
        spare.borrow_mut().push(batch);
        count += parsed.rows;
        largest = largest.max(parsed.largest);
        read.replies |= parsed.read.replies;
        for (who, last) in parsed.read.farewells {
            let before = read.farewells.entry(who).or_default();
            *before = (*before).max(last);
        }
        for remark in parsed.remarks {
            match remark {
                Remark::Refused { row, id, why } => piece.refuse(What::Messages, row, id, why),
                Remark::Changed { row, id, changes } => piece.change(What::Messages, row, id, &changes),
            }
        }
        sorter.add(parsed.chunk)
    };
    ordered_pool::in_order(next, work, done)?;
    job.check_digest(What::Messages, rows.digest())?;
    read.sorted = sorter.sorted()?;
    if job.progress.phase < Phase::Logs {
        piece.progress.digests.clone_from(&job.progress.digests);
        piece.progress.tallies[What::Messages as usize].read = count;
        piece.progress.phase = Phase::Logs;
        if largest > 0 {
            piece.past(IdKind::Message, largest);
        }
        job.commit_all(&piece).await?;
    }
    Ok(read)
}

impl Parsed {
    fn new(batch: &Batch, rooms: &Rooms, people: &People) -> Self {
        let chunk = Chunk::new(batch.bytes(), batch.count());
        let rows = batch.count() as u64;
        let mut parsed = Self { rows, chunk, read: Read::default(), largest: 0, remarks: Vec::new() };
        for next in batch.rows() {
            match next {
                Next::End => break,
                Next::Bad(row, why) => parsed.refuse(row, None, why),
                Next::Row(row) => {
                    let id = row.text(ID).ok().flatten().and_then(|text| field::id(text).ok());
                    match message(&row, rooms, people) {
                        Ok((message, changes)) => parsed.take(&message, changes, rooms),
                        Err(why) => parsed.refuse(row.number, id, why),
                    }
                }
            }
        }
        parsed.chunk.sort();
        parsed
    }

    fn take(&mut self, message: &Message<&str>, changes: Vec<String>, rooms: &Rooms) {
        if !changes.is_empty() {
            self.remarks.push(Remark::Changed { row: message.row, id: message.id, changes });
        }
        self.largest = self.largest.max(message.id);
        self.read.replies |= message.reply_to.is_some();
        let room = &rooms.all[message.room as usize];
        if !room.has(message.sender) {
            let last = self.read.farewells.entry((message.room, message.sender)).or_default();
            *last = (*last).max((message.at, message.id, message.row));
        }
        self.chunk.push(message);
    }

    fn refuse(&mut self, row: u64, id: Option<u64>, why: String) {
        self.remarks.push(Remark::Refused { row, id, why });
    }
}

/// A row's message, and what was changed about it.
fn message<'a>(row: &Row<'a>, rooms: &Rooms, people: &People) -> Result<(Message<&'a str>, Vec<String>), String> {
    let mut fields = Fields::new(row, &COLUMNS);
    let (id, chat) = (fields.required(ID, field::id)?, fields.required(CHAT, field::id)?);
    let place = rooms.of(chat).ok_or_else(|| format!("there is no chat {chat}, or it was refused"))?;
    let sender = fields.required(SENDER, field::id)?;
    let sender = people.get(sender).ok_or_else(|| format!("there is no user {sender}, or it was refused"))?;
    let room = &rooms.all[place as usize];
    if room.kind == Kind::Direct && !room.has(sender) {
        return Err("its sender is not one of the two in this direct chat".to_owned());
    }
    let at = fields.required(TIMESTAMP, field::micros)?;
    let told = |column: usize, why: &str| format!("{}: {why}", COLUMNS[column].names[0]);
    // Whether it was deleted is not guessed: words that were deleted would be there again, or others gone.
    let deleted = row.text(IS_DELETED).and_then(|text| text.map_or(Ok(false), field::truth));
    let deleted = deleted.map_err(|why| told(IS_DELETED, why))?;
    let content = if deleted { "" } else { row.text(CONTENT).map_err(|why| told(CONTENT, why))?.unwrap_or_default() };
    if !deleted {
        check_text(content).map_err(|fault| told(CONTENT, &fault.detail))?;
    }
    let later = fields.optional(EDITED_AT, None, "it was left out", field::micros).unwrap_or(at).max(at);
    let edited = fields.optional(IS_EDITED, None, "the message counts as not edited", field::truth).unwrap_or(false);
    let reply_to = fields.optional(REPLY_TO, None, "it was left out", field::id);
    let word = fields.optional(WORD, None, "it is text now", Ok).filter(|word| *word != "text");
    let fits = |word: &&str| word.chars().count() <= WORD_CHARS_MAX && !word.chars().any(char::is_control);
    if word.is_some_and(|word| !fits(&word)) {
        fields.changes.push(format!("a message_type has at most {WORD_CHARS_MAX} characters; it is text now"));
    }
    let message = Message {
        room: place,
        at,
        id,
        row: row.number,
        sender,
        edited: edited.then_some(later),
        deleted: deleted.then_some(later),
        reply_to,
        word: word.filter(fits).unwrap_or_default(),
        text: content,
    };
    Ok((message, fields.changes))
}
