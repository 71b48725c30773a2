//! Rows that were read together, to be looked at by another thread.

use super::{Error, Next, Row, Rows, Span};

/// Bytes of rows that are read together.
const BATCH_BYTES: usize = 1024 * 1024;
/// Rows that are read together.
const BATCH_ROWS: usize = 8_192;

/// Some rows of a file, in its order.
#[derive(Default)]
pub struct Batch {
    buffer: Vec<u8>,
    rows: Vec<Placed>,
    /// Of each row its columns, one row after the other.
    spans: Vec<Span>,
    columns: usize,
}

/// A row, or something that is none.
struct Placed {
    number: u64,
    /// Where its bytes begin.
    from: usize,
    /// Why it is none.
    bad: Option<String>,
}

impl Rows {
    /// Reads the next rows in place of those that a batch has; `None` at the file's end.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn batch(&mut self, mut batch: Batch) -> Result<Option<Batch>, Error> {
        batch.buffer.clear();
        batch.rows.clear();
        batch.spans.clear();
        batch.columns = self.spans.len();
        while batch.buffer.len() < BATCH_BYTES && batch.rows.len() < BATCH_ROWS {
            let from = batch.buffer.len();
            match self.next()? {
                Next::End => break,
                Next::Bad(number, why) => batch.rows.push(Placed { number, from, bad: Some(why) }),
                Next::Row(row) => {
                    batch.rows.push(Placed { number: row.number, from, bad: None });
                    batch.buffer.extend_from_slice(row.buffer);
                    batch.spans.extend_from_slice(row.spans);
                }
            }
        }
        Ok(Some(batch).filter(|batch| !batch.rows.is_empty()))
    }
}

impl Batch {
    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = Next<'_>> {
        let mut spans = self.spans.chunks_exact(self.columns);
        self.rows.iter().filter_map(move |row| match &row.bad {
            Some(why) => Some(Next::Bad(row.number, why.clone())),
            None => Some(Next::Row(Row { number: row.number, buffer: &self.buffer[row.from..], spans: spans.next()? })),
        })
    }

    /// How many rows there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of all rows.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }
}
