//! Messages in their rooms' order, however many they are: chunks are sorted on their own, kept in memory and, where they are
//! too many, in files, and merged as they are read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use parlance_schema::UserId;

use super::Error;

/// Files that are merged at once; more are merged into one first.
const RUNS_MAX: usize = 128;
/// Bytes that are read ahead of each file.
const RUN_BUFFER_BYTES: usize = 128 * 1024;

/// A message that is to become an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message<T = String> {
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
    pub word: T,
    pub text: T,
}

/// What messages are ordered by: room, time, id, row.
type Key = (u32, u64, u64, u64);
/// Bytes of a key in a file.
const KEY_BYTES: usize = 28;

impl<T: AsRef<str>> Message<T> {
    pub fn key(&self) -> Key {
        (self.room, self.at, self.id, self.row)
    }

    /// Writes all that the key doesn't have, after its length.
    fn encode(&self, into: &mut Vec<u8>) {
        let from = into.len();
        into.extend_from_slice(&[0; 4]);
        let options = [self.edited, self.deleted, self.reply_to];
        into.push(options.iter().zip(0..).fold(0, |bits, (option, bit)| bits | u8::from(option.is_some()) << bit));
        into.extend_from_slice(&self.sender.get().to_le_bytes());
        options.iter().flatten().for_each(|number| into.extend_from_slice(&number.to_le_bytes()));
        let (word, text) = (self.word.as_ref(), self.text.as_ref());
        into.extend_from_slice(&(word.len() as u32).to_le_bytes());
        into.extend_from_slice(word.as_bytes());
        into.extend_from_slice(text.as_bytes());
        let length = (into.len() - from - 4) as u32;
        into[from..from + 4].copy_from_slice(&length.to_le_bytes());
    }
}

impl Message {
    /// Reads what was written, but for its length; `None` where it is none of that.
    fn decode((room, at, id, row): Key, mut from: &[u8]) -> Option<Self> {
        let [bits] = take(&mut from)?;
        let sender = UserId::try_from(u64::from_le_bytes(take(&mut from)?)).ok()?;
        let mut options = [None; 3];
        for (option, bit) in options.iter_mut().zip(0..) {
            if bits >> bit & 1 == 1 {
                *option = Some(u64::from_le_bytes(take(&mut from)?));
            }
        }
        let length = u32::from_le_bytes(take(&mut from)?) as usize;
        let (word, text) = std::str::from_utf8(from).ok()?.split_at_checked(length)?;
        let ([edited, deleted, reply_to], word, text) = (options, word.to_owned(), text.to_owned());
        Some(Self { room, at, id, row, sender, edited, deleted, reply_to, word, text })
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*head)
}

/// Some messages, which are sorted apart from others.
pub(super) struct Chunk {
    bytes: Vec<u8>,
    /// The key and where the rest is in the bytes.
    keys: Vec<(Key, usize)>,
}

impl Chunk {
    /// Makes room for so much.
    pub fn new(bytes: usize, messages: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), keys: Vec::with_capacity(messages) }
    }

    pub fn push<T: AsRef<str>>(&mut self, message: &Message<T>) {
        self.keys.push((message.key(), self.bytes.len()));
        message.encode(&mut self.bytes);
    }

    /// Brings them into order, once all are there.
    pub fn sort(&mut self) {
        self.keys.sort_unstable();
    }

    fn size(&self) -> usize {
        self.bytes.capacity() + self.keys.capacity() * size_of::<(Key, usize)>()
    }
}

/// Takes messages in any order.
pub(super) struct Sorter {
    folder: PathBuf,
    bytes_max: usize,
    chunks: Vec<Chunk>,
    /// Bytes of the chunks.
    bytes: usize,
    runs: Vec<PathBuf>,
    made: usize,
    count: u64,
}

impl Sorter {
    /// Begins with nothing; what is more than `bytes_max` goes to files in `folder`.
    pub fn new(folder: &Path, bytes_max: usize) -> Self {
        Self { folder: folder.to_owned(), bytes_max, chunks: Vec::new(), bytes: 0, runs: Vec::new(), made: 0, count: 0 }
    }

    /// Takes messages that are in order among themselves.
    pub fn add(&mut self, chunk: Chunk) -> Result<(), Error> {
        debug_assert!(chunk.keys.is_sorted());
        self.count += chunk.keys.len() as u64;
        self.bytes += chunk.size();
        self.chunks.push(chunk);
        if self.bytes < self.bytes_max {
            return Ok(());
        }
        self.bytes = 0;
        let chunks = std::mem::take(&mut self.chunks);
        self.write(Merge::new(chunks.into_iter().map(Source::memory))?)?;
        if self.runs.len() < RUNS_MAX {
            return Ok(());
        }
        let runs = std::mem::take(&mut self.runs);
        self.write(Merge::files(&runs)?)?;
        runs.iter().try_for_each(|run| std::fs::remove_file(run).map_err(|error| Error::io(run, error)))
    }

    /// All of them, in order.
    pub fn sorted(self) -> Result<Sorted, Error> {
        let mut merge = Merge::files(&self.runs)?;
        self.chunks.into_iter().try_for_each(|chunk| merge.add(Source::memory(chunk)))?;
        Ok(Sorted { count: self.count, merge })
    }

    /// Writes a file of what is merged.
    fn write(&mut self, mut merge: Merge) -> Result<(), Error> {
        let path = self.folder.join(format!("run-{}", self.made));
        self.made += 1;
        let io = |error| Error::io(&path, error);
        let mut into = BufWriter::with_capacity(RUN_BUFFER_BYTES, File::create(&path).map_err(io)?);
        while let Some((room, at, id, row)) = merge.next()? {
            let numbers = [at, id, row].map(u64::to_le_bytes);
            let parts = [room.to_le_bytes().as_slice(), numbers.as_flattened()].map(|part| into.write_all(part));
            parts.into_iter().collect::<io::Result<()>>().map_err(io)?;
            into.write_all(&(merge.rest.len() as u32).to_le_bytes()).map_err(io)?;
            into.write_all(&merge.rest).map_err(io)?;
        }
        into.flush().map_err(io)?;
        self.runs.push(path);
        Ok(())
    }
}

/// Messages in order.
#[derive(Default)]
pub(super) struct Sorted {
    count: u64,
    merge: Merge,
}

impl Sorted {
    /// How many there are in all.
    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn next(&mut self) -> Result<Option<Message>, Error> {
        let Some(key) = self.merge.next()? else { return Ok(None) };
        let damaged = || Error::Other("a file in the scratch folder has changed".to_owned());
        Message::decode(key, &self.merge.rest).map(Some).ok_or_else(damaged)
    }

    /// Passes over so many.
    pub fn skip(&mut self, count: u64) -> Result<(), Error> {
        (0..count).try_for_each(|_| self.merge.next().map(drop))
    }
}

/// Where sorted messages are.
enum Source {
    Memory { chunk: Chunk, next: usize },
    File { path: PathBuf, file: BufReader<File> },
}

impl Source {
    fn memory(chunk: Chunk) -> Self {
        Source::Memory { chunk, next: 0 }
    }

    /// The key of the next one; then its rest is to be read.
    fn key(&mut self) -> Result<Option<Key>, Error> {
        match self {
            Source::Memory { chunk, next } => Ok(chunk.keys.get(*next).map(|(key, _)| *key)),
            Source::File { path, file } => {
                let io = |error| Error::io(path, error);
                if file.fill_buf().map_err(io)?.is_empty() {
                    return Ok(None);
                }
                let mut bytes = [0; KEY_BYTES];
                file.read_exact(&mut bytes).map_err(io)?;
                let mut bytes = bytes.as_slice();
                let room = take(&mut bytes).map(u32::from_le_bytes);
                let mut number = || take(&mut bytes).map(u64::from_le_bytes);
                Ok(room.and_then(|room| Some((room, number()?, number()?, number()?))))
            }
        }
    }

    fn rest(&mut self, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        match self {
            Source::Memory { chunk, next } => {
                let mut from = &chunk.bytes[chunk.keys[*next].1..];
                let length = take(&mut from).map_or(0, u32::from_le_bytes);
                into.extend_from_slice(&from[..length as usize]);
                *next += 1;
                Ok(())
            }
            Source::File { path, file } => {
                let mut length = [0; 4];
                let mut read = || {
                    file.read_exact(&mut length)?;
                    into.resize(u32::from_le_bytes(length) as usize, 0);
                    file.read_exact(into)
                };
                read().map_err(|error| Error::io(path, error))
            }
        }
    }
}

/// Several sorted ones as one.
#[derive(Default)]
struct Merge {
    sources: Vec<Source>,
    heads: BinaryHeap<Reverse<(Key, usize)>>,
    /// All that the key doesn't have of the message that was read last.
    rest: Vec<u8>,
}

impl Merge {
    fn new(sources: impl Iterator<Item = Source>) -> Result<Self, Error> {
        let mut merge = Self::default();
        sources.into_iter().try_for_each(|source| merge.add(source))?;
        Ok(merge)
    }

    fn files(paths: &[PathBuf]) -> Result<Self, Error> {
        let mut merge = Self::default();
        for path in paths {
            let file = File::open(path).map_err(|error| Error::io(path, error))?;
            let file = BufReader::with_capacity(RUN_BUFFER_BYTES, file);
            merge.add(Source::File { path: path.clone(), file })?;
        }
        Ok(merge)
    }

    fn add(&mut self, mut source: Source) -> Result<(), Error> {
        if let Some(key) = source.key()? {
            self.heads.push(Reverse((key, self.sources.len())));
            self.sources.push(source);
        }
        Ok(())
    }

    /// Goes to the next one; its key.
    fn next(&mut self) -> Result<Option<Key>, Error> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
        let Reverse((key, at)) = *head;
        let source = &mut self.sources[at];
        source.rest(&mut self.rest)?;
        match source.key()? {
            Some(next) => head.0.0 = next,
            None => drop(PeekMut::pop(head)),
        }
        Ok(Some(key))
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
        fn files_sort_as_memory_does(
            mut all in prop::collection::vec(message(), 0..300),
            chunk in 1..40_usize,
            bytes in 200_usize..40_000,
            skip in 0..50_u64,
        ) {
            all.iter_mut().zip(1..).for_each(|(message, row)| message.row = row);
            let folder = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::new(folder.path(), bytes);
            for messages in all.chunks(chunk) {
                let mut chunk = Chunk::new(0, 0);
                messages.iter().for_each(|message| chunk.push(message));
                chunk.sort();
                sorter.add(chunk).unwrap();
            }
            let mut sorted = sorter.sorted().unwrap();
            prop_assert_eq!(sorted.count(), all.len() as u64);
            sorted.skip(skip).unwrap();
            let found: Vec<_> = std::iter::from_fn(|| sorted.next().unwrap()).collect();
            all.sort_by_key(Message::key);
            prop_assert_eq!(found, all.split_off(all.len().min(skip as usize)));
        }
    }
}
