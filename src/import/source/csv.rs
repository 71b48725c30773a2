//! CSV: quoted fields, line ends within them, a header that names the columns in any order. A quoted field that has whole rows
//! in it is a quote that was not closed: its row is refused, and so are the rows in it.

use std::io::{self, BufRead};
use std::path::Path;

use csv_core::ReadRecordResult;

use super::quotes::{Quotes, Quoting};
use super::{Column, Found, ROW_BYTES_MAX, Span};
use crate::import::{Error, field};

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
    /// The fields of the file in which every row has an id.
    ids: Vec<usize>,
    quotes: Quotes,
    /// What the quotes of the record that was read last came to.
    quoting: Quoting,
    /// Rows that stand within a quoted field, and are still to be told, and that field's row.
    within: (u64, u64),
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
            ids: Vec::new(),
            quotes: Quotes::default(),
            quoting: Quoting::default(),
            within: (0, 0),
        };
        let header = reader.record(input).map_err(|error| Error::io(path, error))?;
        let wrong = |why: String| Error::Columns { path: path.to_owned(), why };
        if !matches!(header, Record::Whole) {
            return Err(wrong("it has no header".to_owned()));
        }
        if reader.quoting.unclosed || reader.quoting.stray {
            return Err(wrong("a quote in its header is not closed".to_owned()));
        }
        reader.name_fields(columns).map_err(wrong)?;
        let missing = columns.iter().enumerate().filter(|(at, c)| c.required && !reader.places.contains(&Some(*at)));
        let missing: Vec<_> = missing.map(|(_, column)| column.names[0]).collect();
        if missing.is_empty() {
            return Ok(reader);
        }
        Err(Error::Columns { path: path.to_owned(), why: format!("its header has no column {}", missing.join(", ")) })
    }

    /// Finds out which column each field of the header is. Of a column's several names the earlier one counts.
    fn name_fields(&mut self, columns: &[Column]) -> Result<(), String> {
        let mut named: Vec<Option<(usize, usize)>> = vec![None; columns.len()];
        for at in 0..self.fields {
            let (from, to) = self.span(at);
            let name = String::from_utf8_lossy(&self.out[from..to]).trim().to_ascii_lowercase();
            let alias = |column: &Column| column.names.iter().position(|known| *known == name);
            let Some((column, alias)) = columns.iter().enumerate().find_map(|(c, column)| Some((c, alias(column)?)))
            else {
                continue;
            };
            match named[column] {
                Some((_, other)) if other == alias => return Err(format!("its header has the column {name} twice")),
                Some((_, other)) if other < alias => {}
                _ => named[column] = Some((at, alias)),
            }
        }
        self.places = vec![None; self.fields];
        for (column, found) in named.iter().enumerate() {
            let Some((at, _)) = *found else { continue };
            self.places[at] = Some(column);
            let name = columns[column].names[0];
            if columns[column].required && (name == "id" || name.ends_with("_id")) {
                self.ids.push(at);
            }
        }
        Ok(())
    }

    /// The bytes of the record that was read last.
    pub fn buffer(&self) -> &[u8] {
        &self.out[..self.fields.checked_sub(1).map_or(0, |last| self.ends[last])]
    }

    pub fn next(&mut self, input: &mut impl BufRead, number: &mut u64, spans: &mut [Span]) -> io::Result<Found> {
        if self.within.0 > 0 {
            self.within.0 -= 1;
            *number += 1;
            return Ok(Found::Bad(format!("it stands within a quoted field of row {}", self.within.1)));
        }
        let record = self.record(input)?;
        if matches!(record, Record::End) {
            return Ok(Found::End);
        }
        *number += 1;
        let Quoting { unclosed, rows, stray } = self.quoting;
        self.within = (rows, *number);
        if matches!(record, Record::TooLong) {
            let why = format!("the row has over {ROW_BYTES_MAX} bytes or {FIELDS_MAX} fields; is a quote not closed?");
            return Ok(Found::Bad(why));
        }
        if unclosed {
            let why = "a quote that begins a field of this row is not closed before the end of the file";
            return Ok(Found::Bad(format!("{why}; {rows} rows stand within it")));
        }
        if rows > 0 {
            let why = "a quoted field of this row contains lines that look like whole rows; is its quote not closed?";
            return Ok(Found::Bad(format!("{why} {rows} rows stand within it")));
        }
        if stray {
            let why = "something follows the quote that closes a field; a quote within a quoted field is written twice";
            return Ok(Found::Bad(why.to_owned()));
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
            let (width, ids) = (self.places.len(), &self.ids);
            self.quotes.follow(&chunk[..read], |line| looks_like_a_row(line, width, ids));
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
                    self.quoting = self.quotes.end(|line| looks_like_a_row(line, width, ids));
                    return Ok(if over { Record::TooLong } else { Record::Whole });
                }
                ReadRecordResult::End => return Ok(Record::End),
            }
        }
    }
}

/// Whether a line has as many fields as the header, and where a row has ids mostly ids or nothing, one id at least.
fn looks_like_a_row(line: &[u8], width: usize, ids: &[usize]) -> bool {
    if width == 0 {
        return false;
    }
    let mut reader = csv_core::Reader::new();
    // A field is never longer than the line; one end more tells a line that is too wide.
    let (mut out, mut ends) = (vec![0; line.len() + 1], vec![0; width + 1]);
    let (result, _, written, mut fields) = reader.read_record(line, &mut out, &mut ends);
    if matches!(result, ReadRecordResult::InputEmpty) {
        // The line's end is not part of it.
        let (_, _, _, more) = reader.read_record(&[], &mut out[written..], &mut ends[fields..]);
        fields += more;
    }
    if fields != width {
        return false;
    }
    let text = |at: usize| std::str::from_utf8(&out[if at == 0 { 0 } else { ends[at - 1] }..ends[at]]);
    let texts = || ids.iter().filter_map(|at| text(*at).ok()).map(str::trim);
    let there = texts().filter(|text| field::id(text).is_ok()).count();
    let empty = texts().filter(|text| text.is_empty()).count();
    there > 0 && 2 * (there + empty) > ids.len()
}
