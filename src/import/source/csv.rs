//! CSV: quoted fields, line ends within them, a header that names the columns in any order.

use std::io::{self, BufRead};
use std::path::Path;

use csv_core::ReadRecordResult;

use super::{Column, Found, ROW_BYTES_MAX, Span};
use crate::import::Error;

/// Fields of one row that are read.
const FIELDS_MAX: usize = 1_024;

/// Reads records.
pub(super) struct Reader {
    core: csv_core::Reader,
    out: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
    /// For each field of the file, the column that it is.
    places: Vec<Option<usize>>,
}

/// What came of reading a record.
enum Record {
    Whole,
    TooLong,
    End,
}

impl Reader {
    pub fn open(input: &mut impl BufRead, columns: &[Column], path: &Path) -> Result<Self, Error> {
        let mut reader = Self {
            core: csv_core::Reader::new(),
            out: vec![0; 4_096],
            ends: vec![0; 64],
            fields: 0,
            places: Vec::new(),
        };
        let header = reader.record(input).map_err(|error| Error::io(path, error))?;
        if !matches!(header, Record::Whole) {
            return Err(Error::Columns { path: path.to_owned(), why: "it has no header".to_owned() });
        }
        for at in 0..reader.fields {
            let (from, to) = reader.span(at);
            let name = String::from_utf8_lossy(&reader.out[from..to]).trim().to_ascii_lowercase();
            let known = columns.iter().position(|column| column.names.contains(&name.as_str()));
            // Where two of a column's names are there, the first one counts.
            reader.places.push(known.filter(|column| !reader.places.contains(&Some(*column))));
        }
        let missing = columns.iter().enumerate().filter(|(at, c)| c.required && !reader.places.contains(&Some(*at)));
        let missing: Vec<_> = missing.map(|(_, column)| column.names[0]).collect();
        if missing.is_empty() {
            return Ok(reader);
        }
        let why = format!("its header has no column {}", missing.join(", "));
        Err(Error::Columns { path: path.to_owned(), why })
    }

    /// The bytes of the record that was read last.
    pub fn buffer(&self) -> &[u8] {
        &self.out[..self.fields.checked_sub(1).map_or(0, |last| self.ends[last])]
    }

    pub fn next(&mut self, input: &mut impl BufRead, number: &mut u64, spans: &mut [Span]) -> io::Result<Found> {
        let record = self.record(input)?;
        if matches!(record, Record::End) {
            return Ok(Found::End);
        }
        *number += 1;
        if matches!(record, Record::TooLong) {
            let why = format!("the row has over {ROW_BYTES_MAX} bytes or {FIELDS_MAX} fields; is a quote not closed?");
            return Ok(Found::Bad(why));
        }
        if self.fields != self.places.len() {
            return Ok(Found::Bad(format!("the row has {} fields, the header {}", self.fields, self.places.len())));
        }
        for (at, column) in self.places.iter().enumerate() {
            if let Some(column) = column {
                let (from, to) = self.span(at);
                // A record has at most `ROW_BYTES_MAX`.
                spans[*column] = Some((from as u32, to as u32));
            }
        }
        Ok(Found::Row)
    }

    fn span(&self, at: usize) -> (usize, usize) {
        (if at == 0 { 0 } else { self.ends[at - 1] }, self.ends[at])
    }

    /// Reads a record; what is too long is read to its end, and forgotten.
    fn record(&mut self, input: &mut impl BufRead) -> io::Result<Record> {
        let (mut length, mut fields, mut over) = (0, 0, false);
        loop {
            let chunk = input.fill_buf()?;
            let (result, read, written, ended) =
                self.core.read_record(chunk, &mut self.out[length..], &mut self.ends[fields..]);
            input.consume(read);
            length += written;
            fields += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.out.len() < ROW_BYTES_MAX => {
                    self.out.resize((self.out.len() * 2).min(ROW_BYTES_MAX), 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < FIELDS_MAX => {
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    (length, fields, over) = (0, 0, true)
                }
                ReadRecordResult::Record => {
                    self.fields = fields;
                    return Ok(if over { Record::TooLong } else { Record::Whole });
                }
                ReadRecordResult::End => return Ok(Record::End),
            }
        }
    }
}
