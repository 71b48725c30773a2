//! Files of rows, CSV or JSON lines, read one row at a time with bounds on everything.

mod batch;
mod csv;
mod json;
mod quotes;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::Error;

pub use batch::Batch;

/// Bytes of one row that are read; a longer one is refused.
const ROW_BYTES_MAX: usize = 1024 * 1024;
/// Bytes read from a file at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated values (RFC 4180) with a header.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

impl Format {
    /// The format that a file's name tells.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
            _ => None,
        }
    }
}

/// A file and its format.
#[derive(Clone, Debug)]
pub struct Input {
    /// Where it is.
    pub path: PathBuf,
    /// How it is written.
    pub format: Format,
}

/// A column: the names that it may have, and whether a file must have it.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its names; the first one is what it is called in reports. Where a file has several, the earlier one counts.
    pub names: &'static [&'static str],
    /// Whether a CSV file without it is refused whole.
    pub required: bool,
}

/// Where a column's text is in a row's bytes; `None` where it is absent.
type Span = Option<(u32, u32)>;

/// One row of a file.
pub struct Row<'a> {
    /// Its number: CSV counts rows after the header, JSON lines count lines; from 1.
    pub number: u64,
    buffer: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Row<'a> {
    /// The text in a column; `None` where it is absent or empty.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn text(&self, column: usize) -> Result<Option<&'a str>, &'static str> {
        let Some((from, to)) = self.spans.get(column).copied().flatten() else { return Ok(None) };
        let text = std::str::from_utf8(&self.buffer[from as usize..to as usize]).map_err(|_| "not UTF-8")?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}

/// What came of reading a row.
pub enum Next<'a> {
    /// A row.
    Row(Row<'a>),
    /// Something that is no row: its number, and why.
    Bad(u64, String),
    /// The file's end.
    End,
}

enum Kind {
    Csv(Box<csv::Reader>),
    Json(json::Reader),
}

/// The rows of a file.
pub struct Rows {
    path: PathBuf,
    kind: Kind,
    input: BufReader<Hashed>,
    number: u64,
    buffer: Vec<u8>,
    spans: Vec<Span>,
}

impl Rows {
    /// Opens a file, and finds the columns in a CSV file's header.
    ///
    /// # Errors
    /// When it can't be read, or lacks a required column.
    pub fn open(input: &Input, columns: &'static [Column]) -> Result<Self, Error> {
        let io = |error| Error::io(&input.path, error);
        let mut reader = BufReader::with_capacity(CHUNK_BYTES, Hashed::new(File::open(&input.path).map_err(io)?));
        let kind = match input.format {
            Format::Csv => Kind::Csv(Box::new(csv::Reader::open(&mut reader, columns, &input.path)?)),
            Format::Jsonl => Kind::Json(json::Reader::open(&mut reader, columns, &input.path)?),
        };
        let spans = vec![None; columns.len()];
        Ok(Self { path: input.path.clone(), kind, input: reader, number: 0, buffer: Vec::new(), spans })
    }

    /// Reads the next row.
    ///
    /// # Errors
    /// When the file can't be read; what is no row is not an error.
    pub fn next(&mut self) -> Result<Next<'_>, Error> {
        self.spans.fill(None);
        let read = match &mut self.kind {
            Kind::Csv(csv) => csv.next(&mut self.input, &mut self.number, &mut self.spans),
            Kind::Json(json) => json.next(&mut self.input, &mut self.number, &mut self.buffer, &mut self.spans),
        };
        match read.map_err(|error| Error::io(&self.path, error))? {
            Found::End => Ok(Next::End),
            Found::Bad(why) => Ok(Next::Bad(self.number, why)),
            Found::Row => {
                let buffer = match &self.kind {
                    Kind::Csv(csv) => csv.buffer(),
                    Kind::Json(_) => &self.buffer,
                };
                Ok(Next::Row(Row { number: self.number, buffer, spans: &self.spans }))
            }
        }
    }

    /// Bytes read so far, near enough for a progress bar.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.input.get_ref().bytes
    }

    /// A digest of the whole file, once its end was reached.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.input.get_ref().digest()
    }
}

/// What a format's reader found.
enum Found {
    Row,
    Bad(String),
    End,
}

/// A file whose bytes are counted and digested as they are read: not against forgery, but to notice another file.
struct Hashed {
    file: File,
    bytes: u64,
    hash: u64,
    pending: [u8; 8],
    waiting: usize,
}

impl Hashed {
    fn new(file: File) -> Self {
        Self { file, bytes: 0, hash: 0xcbf2_9ce4_8422_2325, pending: [0; 8], waiting: 0 }
    }

    fn mix(hash: u64, word: u64) -> u64 {
        // The multiplier of SplitMix64; rotating brings high bits down.
        (hash ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(31)
    }

    fn take(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.waiting > 0 {
            let more = bytes.len().min(8 - self.waiting);
            self.pending[self.waiting..self.waiting + more].copy_from_slice(&bytes[..more]);
            self.waiting += more;
            bytes = &bytes[more..];
            if self.waiting < 8 {
                return;
            }
            self.hash = Self::mix(self.hash, u64::from_le_bytes(self.pending));
        }
        let (words, rest) = bytes.as_chunks::<8>();
        self.hash = words.iter().fold(self.hash, |hash, word| Self::mix(hash, u64::from_le_bytes(*word)));
        self.pending[..rest.len()].copy_from_slice(rest);
        self.waiting = rest.len();
    }

    fn digest(&self) -> u64 {
        let rest = self.pending[..self.waiting].iter().fold(self.hash, |h, byte| Self::mix(h, u64::from(*byte) + 256));
        let hash = Self::mix(rest, self.bytes);
        hash ^ hash >> 29
    }
}

impl Read for Hashed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.take(&into[..count]);
        Ok(count)
    }
}
