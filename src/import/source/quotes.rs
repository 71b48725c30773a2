//! Quotes that are not closed. What follows one is read as the text of its field, whole rows of it, up to the next quote or
//! the file's end; so the bytes of each record are followed beside the reader, to tell what it can't.

/// Bytes of a line that is looked at; a longer one is no row.
const LINE_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between two records.
    #[default]
    Between,
    /// At a field's first byte.
    Field,
    /// In a field without quotes.
    Plain,
    /// In a quoted field.
    Quoted,
    /// After a quote in a quoted field: its end, or the first of two.
    Quote,
}

/// Follows the bytes of records.
#[derive(Debug, Default)]
pub(super) struct Quotes {
    state: State,
    /// The line that is being read, from the second one of a record on.
    line: Option<Vec<u8>>,
    rows: u64,
    stray: bool,
}

/// What a record's quotes came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quoting {
    /// The file has ended within a quoted field.
    pub unclosed: bool,
    /// Lines within the record that look like rows themselves.
    pub rows: u64,
    /// A quoted field's closing quote is followed by something else than the field's end.
    pub stray: bool,
}

impl Quotes {
    /// Follows some bytes of a record; `is_row` tells whether a line looks like a whole row.
    pub fn follow(&mut self, bytes: &[u8], mut is_row: impl FnMut(&[u8]) -> bool) {
        for byte in bytes.iter().copied() {
            let end = matches!(byte, b'\n' | b'\r');
            self.state = match (self.state, byte) {
                // A mark of the byte order may stand before the first record.
                (State::Between, b'\n' | b'\r' | 0xef | 0xbb | 0xbf) => State::Between,
                (State::Between | State::Field, b'"') => State::Quoted,
                (State::Between | State::Field | State::Plain | State::Quote, b',') => State::Field,
                (State::Quoted, b'"') => State::Quote,
                (State::Quote, b'"') => State::Quoted,
                (State::Quoted, _) => {
                    if end {
                        self.next_line(&mut is_row);
                        continue;
                    }
                    State::Quoted
                }
                // The record's end is the reader's to tell.
                (_, b'\n' | b'\r') => State::Between,
                (State::Quote, _) => {
                    self.stray = true;
                    State::Plain
                }
                _ => State::Plain,
            };
            if let Some(line) = self.line.as_mut().filter(|line| !end && line.len() <= LINE_BYTES_MAX) {
                line.push(byte);
            }
        }
    }

    /// Ends a record, and says what its quotes came to.
    pub fn end(&mut self, mut is_row: impl FnMut(&[u8]) -> bool) -> Quoting {
        let unclosed = self.state == State::Quoted;
        if self.line.is_some() {
            self.next_line(&mut is_row);
        }
        let quoting = Quoting { unclosed, rows: self.rows, stray: self.stray };
        *self = Self::default();
        quoting
    }

    fn next_line(&mut self, is_row: &mut impl FnMut(&[u8]) -> bool) {
        if let Some(line) = self.line.replace(Vec::new()) {
            self.rows += u64::from(line.len() <= LINE_BYTES_MAX && is_row(&line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoting(text: &str) -> Quoting {
        let is_row = |line: &[u8]| line.starts_with(b"row");
        let mut whole = Quotes::default();
        whole.follow(text.as_bytes(), is_row);
        let mut bytes = Quotes::default();
        text.as_bytes().iter().for_each(|byte| bytes.follow(&[*byte], is_row));
        let quoting = whole.end(is_row);
        assert_eq!(bytes.end(is_row), quoting, "however it is cut");
        quoting
    }

    #[test]
    fn quotes_are_followed_as_the_reader_does() {
        let none = Quoting::default();
        for text in ["a,b\n", "\"a\",\"b\"\r\n", "\"a\"\"b\"\n", "a\"b,c\"\n", "\"\",\n", "\u{feff}\"a\nb\",c\n", ""] {
            assert_eq!(quoting(text), none, "{text:?}");
        }
        assert_eq!(quoting("a,\"b\nrow,1\nrow,2\n"), Quoting { unclosed: true, rows: 2, stray: false });
        assert_eq!(quoting("a,\"b\r\nrow,1\r\nx\"\r\n"), Quoting { rows: 1, ..none });
        assert_eq!(quoting("a,\"b\nrow,\"c\"\n"), Quoting { rows: 1, stray: true, unclosed: false });
        assert_eq!(quoting("\"a\" ,b\n"), Quoting { stray: true, ..none });
    }
}
