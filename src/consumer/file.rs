//! A consumer that appends entries to a file, one JSON object a line, for audits, exports and tests.
//!
//! A line names its entry by `epoch`, `room` and `seq`; an entry may be there more than once, always with the same name. Lines are
//! synced before the entry counts as done. One thread writes: whatever waits is written and synced together. A file that is moved
//! away, as by logrotate, is made anew; a line that was cut off by a crash is ended before the next one.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use parlance_actors::ports::consumer::{Consumer, Delivered, Page, Undelivered};
use parlance_actors::ports::store::{Begins, Filter};
use parlance_schema::RoomId;
use parlance_schema::entry::Entry;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

/// Pages that wait for the thread; beyond that, callers wait.
const QUEUE_MAX: usize = 64;

/// A page in the form of its lines, and who waits for them.
struct Lines {
    bytes: Vec<u8>,
    written: oneshot::Sender<std::io::Result<()>>,
}

/// The consumer. Dropping it lets the thread end after what waits.
pub struct File {
    name: String,
    filter: Filter,
    begins: Begins,
    lines: mpsc::Sender<Lines>,
}

#[derive(Serialize)]
struct Line<'a> {
    epoch: u64,
    room: RoomId,
    #[serde(flatten)]
    entry: &'a Entry,
}

impl File {
    /// Opens or makes the file, for its owner alone, and starts the thread that writes it.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn open(name: String, path: &Path, filter: Filter, begins: Begins) -> std::io::Result<Self> {
        let mut writer = Writer { path: path.to_owned(), file: None };
        writer.ready()?;
        let (lines, mut queue) = mpsc::channel::<Lines>(QUEUE_MAX);
        std::thread::Builder::new().name("consumer-file".to_owned()).spawn(move || {
            while let Some(first) = queue.blocking_recv() {
                let mut group = vec![first];
                group.extend(std::iter::from_fn(|| queue.try_recv().ok()).take(QUEUE_MAX));
                writer.write(group);
            }
        })?;
        Ok(Self { name, filter, begins, lines })
    }
}

#[async_trait]
impl Consumer for File {
    fn name(&self) -> &str {
        &self.name
    }

    fn filter(&self) -> Filter {
        self.filter.clone()
    }

    fn begins(&self) -> Begins {
        self.begins
    }

    async fn deliver(&self, page: &Page) -> Result<Delivered, Undelivered> {
        let mut bytes = Vec::new();
        for entry in &page.entries {
            let line = Line { epoch: page.epoch, room: page.room, entry };
            let refused = |error: serde_json::Error| Undelivered::Refused { seq: entry.seq, reason: error.to_string() };
            serde_json::to_writer(&mut bytes, &line).map_err(refused)?;
            bytes.push(b'\n');
        }
        let (written, outcome) = oneshot::channel();
        let ended = || Undelivered::Unavailable("the thread that writes the file has ended".to_owned());
        self.lines.send(Lines { bytes, written }).await.map_err(|_| ended())?;
        match outcome.await {
            Ok(Ok(())) => Ok(Delivered::All),
            Ok(Err(error)) => Err(Undelivered::Unavailable(error.to_string())),
            Err(_) => Err(ended()),
        }
    }
}

/// What the thread has.
struct Writer {
    path: PathBuf,
    /// The open file; none after a failure, when nobody knows how its last line ends.
    file: Option<std::fs::File>,
}

impl Writer {
    fn write(&mut self, group: Vec<Lines>) {
        let done = self.write_all(&group);
        if done.is_err() {
            self.file = None;
        }
        for lines in group {
            let outcome =
                done.as_ref().map(|_| ()).map_err(|error| std::io::Error::new(error.kind(), error.to_string()));
            let _ = lines.written.send(outcome);
        }
    }

    fn write_all(&mut self, group: &[Lines]) -> std::io::Result<()> {
        let file = self.ready()?;
        for lines in group {
            file.write_all(&lines.bytes)?;
        }
        file.sync_data()
    }

    /// The file that is there under its name, at the beginning of a line.
    fn ready(&mut self) -> std::io::Result<&mut std::fs::File> {
        let there = std::fs::metadata(&self.path).ok();
        let same = |file: &std::fs::File| {
            let own = file.metadata().ok();
            own.zip(there.as_ref()).is_some_and(|(a, b)| (a.dev(), a.ino()) == (b.dev(), b.ino()))
        };
        if !self.file.as_ref().is_some_and(same) {
            self.file = None;
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        Ok(self.file.insert(file))
    }

    fn open(&self) -> std::io::Result<std::fs::File> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        if file.metadata()?.len() > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        // The name must outlive a power failure as the lines do.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parlance_schema::entry::Fact;
    use parlance_schema::{ClientId, UserId};

    use super::*;

    fn page(seqs: std::ops::RangeInclusive<u64>) -> Page {
        let entry = |seq| {
            let fact = Fact::Renamed { name: "a\nb".to_owned() };
            let (by, client_id) = (UserId::new(7), ClientId::new(format!("c{seq}")).unwrap());
            Arc::new(Entry { seq, at: 5, by, client_id, posts: 0, append: 9, fact })
        };
        Page { epoch: 3, room: RoomId::new(4), entries: seqs.map(entry).collect() }
    }

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect()
    }

    fn open(path: &Path) -> File {
        File::open("file:test".to_owned(), path, Filter::default(), Begins::Start).unwrap()
    }

    #[tokio::test]
    async fn each_entry_is_a_line_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let file = open(&path);
        assert_eq!(file.deliver(&page(1..=3)).await.unwrap(), Delivered::All);
        let names: Vec<_> =
            lines(&path).iter().map(|l| (l["epoch"].clone(), l["room"].clone(), l["seq"].clone())).collect();
        assert_eq!(names, [1, 2, 3].map(|seq| (3.into(), 4.into(), seq.into())));
        assert_eq!(lines(&path)[0]["fact"], "renamed");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_line_that_was_cut_off_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, "{\"epoch\":3,\"room\":4,\"se").unwrap();
        let file = open(&path);
        file.deliver(&page(8..=8)).await.unwrap();
        let all = lines(&path);
        assert_eq!((all.len(), &all[0], &all[1]["seq"]), (2, &serde_json::Value::Null, &8.into()));
    }

    #[tokio::test]
    async fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log.jsonl"), folder.path().join("log.1"));
        let file = open(&path);
        file.deliver(&page(1..=1)).await.unwrap();
        std::fs::rename(&path, &old).unwrap();
        file.deliver(&page(2..=2)).await.unwrap();
        assert_eq!((lines(&old).len(), lines(&path).len()), (1, 1));
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_is_told_and_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let within = folder.path().join("in");
        std::fs::create_dir(&within).unwrap();
        let path = within.join("log.jsonl");
        let file = open(&path);
        std::fs::remove_dir_all(&within).unwrap();
        assert!(matches!(file.deliver(&page(1..=1)).await, Err(Undelivered::Unavailable(_))));
        std::fs::create_dir(&within).unwrap();
        assert_eq!(file.deliver(&page(1..=1)).await.unwrap(), Delivered::All);
        assert_eq!(lines(&path).len(), 1);
    }
}
