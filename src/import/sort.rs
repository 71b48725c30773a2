//! Messages in their rooms' order, however many they are: sorted in memory, and by way of files where they are too many.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use parlance_schema::UserId;

use super::Error;

/// Files that are merged at once; more are merged into one first.
const RUNS_MAX: usize = 128;
/// Bytes of a message, reckoned high, so that keys get room for rather fewer.
const BYTES_PER_KEY: usize = 256;
/// Bytes that are read ahead of each file.
const RUN_BUFFER_BYTES: usize = 128 * 1024;

/// A message that is to become an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The room's place.
    pub room: u32,
    /// When it was sent, in microseconds.
    pub at: u64,
    /// The id that it had.
    pub id: u64,
    /// Its row in the file.
    pub row: u64,
    pub sender: UserId,
    /// When it was edited last, in microseconds.
    pub edited: Option<u64>,
    /// When it was deleted, in microseconds.
    pub deleted: Option<u64>,
    /// The old id of the message that it answers.
    pub reply_to: Option<u64>,
    /// What kind of message it is; empty for text.
    pub word: String,
    pub text: String,
}

/// What messages are ordered by: room, time, id, row.
type Key = (u32, u64, u64, u64);

impl Message {
    pub fn key(&self) -> Key {
        (self.room, self.at, self.id, self.row)
    }

    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.room.to_le_bytes());
        let numbers = [
            self.at,
            self.id,
            self.row,
            self.sender.get(),
            // No time is as late as the largest number, and no id is 0.
            self.edited.map_or(u64::MAX, |at| at),
            self.deleted.map_or(u64::MAX, |at| at),
            self.reply_to.unwrap_or(0),
        ];
        numbers.iter().for_each(|number| into.extend_from_slice(&number.to_le_bytes()));
        for text in [&self.word, &self.text] {
            into.extend_from_slice(&(text.len() as u32).to_le_bytes());
            into.extend_from_slice(text.as_bytes());
        }
    }

    fn decode(mut from: impl Read) -> io::Result<Self> {
        let mut four = [0; 4];
        from.read_exact(&mut four)?;
        let room = u32::from_le_bytes(four);
        let mut numbers = [0; 7];
        for number in &mut numbers {
            let mut eight = [0; 8];
            from.read_exact(&mut eight)?;
            *number = u64::from_le_bytes(eight);
        }
        let mut texts = [String::new(), String::new()];
        for text in &mut texts {
            from.read_exact(&mut four)?;
            let mut bytes = vec![0; u32::from_le_bytes(four) as usize];
            from.read_exact(&mut bytes)?;
            *text = String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        }
        let ([at, id, row, sender, edited, deleted, reply_to], [word, text]) = (numbers, texts);
        let time = |at: u64| Some(at).filter(|at| *at != u64::MAX);
        let sender = UserId::try_from(sender).map_err(|_| io::ErrorKind::InvalidData)?;
        let (edited, deleted) = (time(edited), time(deleted));
        let reply_to = Some(reply_to).filter(|id| *id != 0);
        Ok(Self { room, at, id, row, sender, edited, deleted, reply_to, word, text })
    }
}

/// Takes messages in any order.
pub(super) struct Sorter {
    folder: PathBuf,
    bytes_max: usize,
    arena: Vec<u8>,
    /// The key and where it is in the arena.
    keys: Vec<(Key, usize)>,
    runs: Vec<PathBuf>,
    made: usize,
    count: u64,
}

impl Sorter {
    /// Begins with nothing; what is more than `bytes_max` goes to files in `folder`. Some `expected` bytes will come, for
    /// which there is room at once: growing would copy them again and again.
    pub fn new(folder: &Path, bytes_max: usize, expected: u64) -> Self {
        let room = usize::try_from(expected).unwrap_or(usize::MAX).min(bytes_max);
        let (arena, keys) = (Vec::with_capacity(room), Vec::with_capacity(room / BYTES_PER_KEY));
        Self { folder: folder.to_owned(), bytes_max, arena, keys, runs: Vec::new(), made: 0, count: 0 }
    }

    pub fn push(&mut self, message: &Message) -> Result<(), Error> {
        self.keys.push((message.key(), self.arena.len()));
        message.encode(&mut self.arena);
        self.count += 1;
        if self.arena.len() + self.keys.len() * size_of::<(Key, usize)>() < self.bytes_max {
            return Ok(());
        }
        self.spill()?;
        if self.runs.len() < RUNS_MAX {
            return Ok(());
        }
        let runs = std::mem::take(&mut self.runs);
        let (path, mut into) = self.create()?;
        let mut merged = Merge::open(&runs)?;
        let mut bytes = Vec::new();
        while let Some(message) = merged.next()? {
            bytes.clear();
            message.encode(&mut bytes);
            into.write_all(&bytes).map_err(|error| Error::io(&path, error))?;
        }
        into.flush().map_err(|error| Error::io(&path, error))?;
        runs.iter().try_for_each(|run| std::fs::remove_file(run).map_err(|error| Error::io(run, error)))?;
        self.runs.push(path);
        Ok(())
    }

    /// All of them, in order.
    pub fn sorted(mut self) -> Result<Sorted, Error> {
        if self.runs.is_empty() {
            self.keys.sort_unstable();
            return Ok(Sorted {
                count: self.count,
                from: From::Memory { arena: self.arena, keys: self.keys, next: 0 },
            });
        }
        self.spill()?;
        Ok(Sorted { count: self.count, from: From::Files(Merge::open(&self.runs)?) })
    }

    fn create(&mut self) -> Result<(PathBuf, BufWriter<File>), Error> {
        let path = self.folder.join(format!("run-{}", self.made));
        self.made += 1;
        let file = File::create(&path).map_err(|error| Error::io(&path, error))?;
        Ok((path, BufWriter::with_capacity(RUN_BUFFER_BYTES, file)))
    }

    fn spill(&mut self) -> Result<(), Error> {
        if self.keys.is_empty() {
            return Ok(());
        }
        self.keys.sort_unstable();
        let (path, mut into) = self.create()?;
        let mut ends: Vec<usize> = self.keys.iter().map(|(_, at)| *at).collect();
        ends.sort_unstable();
        ends.push(self.arena.len());
        for (_, at) in &self.keys {
            // A message ends where the next one in the arena begins.
            let end = ends[ends.partition_point(|end| end <= at)];
            into.write_all(&self.arena[*at..end]).map_err(|error| Error::io(&path, error))?;
        }
        into.flush().map_err(|error| Error::io(&path, error))?;
        self.runs.push(path);
        self.keys.clear();
        self.arena.clear();
        Ok(())
    }
}

/// Messages in order.
#[derive(Default)]
pub(super) struct Sorted {
    count: u64,
    from: From,
}

enum From {
    Memory { arena: Vec<u8>, keys: Vec<(Key, usize)>, next: usize },
    Files(Merge),
}

impl Default for From {
    fn default() -> Self {
        From::Memory { arena: Vec::new(), keys: Vec::new(), next: 0 }
    }
}

impl Sorted {
    /// How many there are in all.
    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn next(&mut self) -> Result<Option<Message>, Error> {
        match &mut self.from {
            From::Memory { arena, keys, next } => {
                let Some((_, at)) = keys.get(*next) else { return Ok(None) };
                *next += 1;
                // What was written here a moment ago is read as it was.
                Message::decode(&arena[*at..]).map(Some).map_err(|error| Error::Other(format!("sorting: {error}")))
            }
            From::Files(merge) => merge.next(),
        }
    }

    /// Passes over so many.
    pub fn skip(&mut self, count: u64) -> Result<(), Error> {
        if let From::Memory { next, keys, .. } = &mut self.from {
            *next = usize::try_from(count).unwrap_or(usize::MAX).min(keys.len());
            return Ok(());
        }
        for _ in 0..count {
            self.next()?;
        }
        Ok(())
    }
}

/// Several sorted files as one.
struct Merge {
    runs: Vec<(PathBuf, BufReader<File>)>,
    heads: BinaryHeap<Reverse<(Key, usize)>>,
    messages: Vec<Option<Message>>,
}

impl Merge {
    fn open(paths: &[PathBuf]) -> Result<Self, Error> {
        let mut merge = Self { runs: Vec::new(), heads: BinaryHeap::new(), messages: Vec::new() };
        for (at, path) in paths.iter().enumerate() {
            let file = File::open(path).map_err(|error| Error::io(path, error))?;
            merge.runs.push((path.clone(), BufReader::with_capacity(RUN_BUFFER_BYTES, file)));
            merge.messages.push(None);
            merge.read(at)?;
        }
        Ok(merge)
    }

    fn read(&mut self, at: usize) -> Result<(), Error> {
        let (path, run) = &mut self.runs[at];
        let io = |error| Error::io(path, error);
        if io::BufRead::fill_buf(run).map_err(io)?.is_empty() {
            return Ok(());
        }
        let message = Message::decode(run).map_err(io)?;
        self.heads.push(Reverse((message.key(), at)));
        self.messages[at] = Some(message);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Message>, Error> {
        let Some(Reverse((_, at))) = self.heads.pop() else { return Ok(None) };
        let message = self.messages[at].take();
        self.read(at)?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = Message> {
        let time = || prop::option::of(0..u64::MAX >> 1);
        let head = (0..3_u32, 0..20_u64, 1..50_u64, 1..9_u64);
        (head, time(), time(), prop::option::of(1..99_u64), ".{0,8}", ".{0,40}").prop_map(
            |((room, at, id, sender), edited, deleted, reply_to, word, text)| {
                let sender = UserId::new(sender);
                Message { room, at, id, row: 0, sender, edited, deleted, reply_to, word, text }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn files_sort_as_memory_does(mut all in prop::collection::vec(message(), 0..300), bytes in 200_usize..40_000, skip in 0..50_u64) {
            all.iter_mut().zip(1..).for_each(|(message, row)| message.row = row);
            let folder = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::new(folder.path(), bytes, 1_000);
            all.iter().try_for_each(|message| sorter.push(message)).unwrap();
            let mut sorted = sorter.sorted().unwrap();
            prop_assert_eq!(sorted.count(), all.len() as u64);
            sorted.skip(skip).unwrap();
            let found: Vec<_> = std::iter::from_fn(|| sorted.next().unwrap()).collect();
            all.sort_by_key(Message::key);
            prop_assert_eq!(found, all.split_off(all.len().min(skip as usize)));
        }
    }
}
