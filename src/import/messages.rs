//! The messages' file, read and brought into the rooms' order.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use parlance_actors::ports::store::IdKind;
use parlance_domain::content_rules::check_text;
use parlance_schema::UserId;
use parlance_schema::command::Kind;

use super::chats::Rooms;
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
struct Remark {
    row: u64,
    id: Option<u64>,
    refused: bool,
    why: String,
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
        for Remark { row, id, refused, why } in parsed.remarks {
            match id {
                Some(id) if !refused => piece.change(What::Messages, row, id, why),
                _ => piece.refuse(What::Messages, row, id, why),
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
                    match message(&row, id, rooms, people, &mut parsed.remarks) {
                        Ok(message) => parsed.take(&message, rooms),
                        Err(why) => parsed.refuse(row.number, id, why),
                    }
                }
            }
        }
        parsed.chunk.sort();
        parsed
    }

    fn take(&mut self, message: &Message<&str>, rooms: &Rooms) {
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
        self.remarks.push(Remark { row, id, refused: true, why });
    }
}

fn message<'a>(
    row: &Row<'a>,
    id: Option<u64>,
    rooms: &Rooms,
    people: &People,
    remarks: &mut Vec<Remark>,
) -> Result<Message<&'a str>, String> {
    let told = |column: usize, why: &str| format!("{}: {why}", COLUMNS[column].names[0]);
    let text = |column: usize| row.text(column).map_err(|why| told(column, why));
    let number = |column: usize| -> Result<u64, String> {
        let text = text(column)?.ok_or_else(|| told(column, "missing"))?;
        field::id(text).map_err(|why| told(column, why))
    };
    let truth = |column: usize| -> Result<bool, String> {
        text(column)?.map_or(Ok(false), |text| field::truth(text).map_err(|why| told(column, why)))
    };
    let id = id.map_or_else(|| number(ID), Ok)?;
    let chat = number(CHAT)?;
    let place = rooms.of(chat).ok_or_else(|| format!("there is no chat {chat}, or it was refused"))?;
    let sender = number(SENDER)?;
    let sender = people.get(sender).ok_or_else(|| format!("there is no user {sender}, or it was refused"))?;
    let room = &rooms.all[place as usize];
    if room.kind == Kind::Direct && !room.has(sender) {
        return Err("its sender is not one of the two in this direct chat".to_owned());
    }
    let at = text(TIMESTAMP)?.ok_or_else(|| told(TIMESTAMP, "missing"))?;
    let at = field::micros(at).map_err(|why| told(TIMESTAMP, why))?;
    let later = text(EDITED_AT)?.map(field::micros).transpose().map_err(|why| told(EDITED_AT, why))?;
    let later = later.unwrap_or(at).max(at);
    let deleted = truth(IS_DELETED)?;
    let content = if deleted { "" } else { text(CONTENT)?.unwrap_or_default() };
    if !deleted {
        check_text(content).map_err(|fault| told(CONTENT, &fault.detail))?;
    }
    let reply_to = text(REPLY_TO)?.map(field::id).transpose().map_err(|why| told(REPLY_TO, why))?;
    let word = text(WORD)?.filter(|word| *word != "text");
    let fits = |word: &&str| word.chars().count() <= WORD_CHARS_MAX && !word.chars().any(char::is_control);
    if word.is_some_and(|word| !fits(&word)) {
        let why = format!("a message_type has at most {WORD_CHARS_MAX} characters; it is text now");
        remarks.push(Remark { row: row.number, id: Some(id), refused: false, why });
    }
    Ok(Message {
        room: place,
        at,
        id,
        row: row.number,
        sender,
        edited: truth(IS_EDITED)?.then_some(later),
        deleted: deleted.then_some(later),
        reply_to,
        word: word.filter(fits).unwrap_or_default(),
        text: content,
    })
}
