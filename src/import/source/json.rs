//! JSON lines: an object a line, of which the known fields are taken and the others are passed over.

use std::fmt;
use std::io::{self, BufRead};
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Column, Found, ROW_BYTES_MAX, Span};
use crate::import::Error;

/// Reads lines.
pub(super) struct Reader {
    columns: &'static [Column],
    line: Vec<u8>,
    /// Of each column, under which of its names the present line has it.
    named: Vec<Option<usize>>,
}

impl Reader {
    pub fn open(input: &mut impl BufRead, columns: &'static [Column], path: &Path) -> Result<Self, Error> {
        let begin = input.fill_buf().map_err(|error| Error::io(path, error))?;
        let begin = begin.strip_prefix(b"\xef\xbb\xbf").unwrap_or(begin);
        if begin.trim_ascii_start().first() == Some(&b'[') {
            let why = "it is one JSON array, and should be an object a line: `jq -c '.[]'` makes that".to_owned();
            return Err(Error::Columns { path: path.to_owned(), why });
        }
        Ok(Self { columns, line: Vec::new(), named: vec![None; columns.len()] })
    }

    pub fn next(
        &mut self,
        input: &mut impl BufRead,
        number: &mut u64,
        buffer: &mut Vec<u8>,
        spans: &mut [Span],
    ) -> io::Result<Found> {
        loop {
            let Some(whole) = self.read_line(input)? else { return Ok(Found::End) };
            *number += 1;
            if !whole {
                return Ok(Found::Bad(format!("the line has over {ROW_BYTES_MAX} bytes")));
            }
            let mut line = self.line.as_slice();
            if *number == 1 {
                line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            buffer.clear();
            let mut json = serde_json::Deserializer::from_slice(line);
            self.named.fill(None);
            let object = Object { columns: self.columns, buffer, spans, named: &mut self.named };
            let read = object.deserialize(&mut json);
            return Ok(match read.and_then(|()| json.end()) {
                Ok(()) => Found::Row,
                Err(error) => Found::Bad(error.to_string()),
            });
        }
    }

    /// Reads a line without its end; `None` at the file's end, false where it was too long.
    fn read_line(&mut self, input: &mut impl BufRead) -> io::Result<Option<bool>> {
        self.line.clear();
        let (mut any, mut over) = (false, false);
        loop {
            let chunk = input.fill_buf()?;
            if chunk.is_empty() {
                return Ok(any.then_some(!over));
            }
            any = true;
            let end = chunk.iter().position(|b| *b == b'\n');
            let taken = end.unwrap_or(chunk.len());
            over |= self.line.len() + taken > ROW_BYTES_MAX;
            if over {
                self.line.clear();
            } else {
                self.line.extend_from_slice(&chunk[..taken]);
            }
            input.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                return Ok(Some(!over));
            }
        }
    }
}

/// An object whose known fields are written into a buffer.
struct Object<'a> {
    columns: &'static [Column],
    buffer: &'a mut Vec<u8>,
    spans: &'a mut [Span],
    named: &'a mut [Option<usize>],
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(found) = map.next_key_seed(ColumnName(self.columns))? {
            match found {
                Some((column, alias)) if self.named[column] == Some(alias) => {
                    let name = self.columns[column].names[alias];
                    return Err(A::Error::custom(format_args!("the field {name} stands there twice")));
                }
                // Of a column's several names the earlier one counts.
                Some((column, alias)) if self.named[column].is_none_or(|other| alias < other) => {
                    self.named[column] = Some(alias);
                    self.spans[column] = map.next_value_seed(Plain(self.buffer))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A field's name; which column it is, under which of its names.
struct ColumnName(&'static [Column]);

impl<'de> DeserializeSeed<'de> for ColumnName {
    type Value = Option<(usize, usize)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for ColumnName {
    type Value = Option<(usize, usize)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let alias = |column: &Column| column.names.iter().position(|known| *known == name);
        Ok(self.0.iter().enumerate().find_map(|(at, column)| Some((at, alias(column)?))))
    }
}

/// A value without parts, written as text; null is none.
struct Plain<'a>(&'a mut Vec<u8>);

impl Plain<'_> {
    fn write(self, text: &str) -> Span {
        let from = self.0.len();
        self.0.extend_from_slice(text.as_bytes());
        // A line has at most `ROW_BYTES_MAX`, and what stands in it is hardly longer.
        Some((from as u32, self.0.len() as u32))
    }
}

impl<'de> DeserializeSeed<'de> for Plain<'_> {
    type Value = Span;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Span, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain<'_> {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, true, false or null")
    }

    fn visit_str<E>(self, text: &str) -> Result<Span, E> {
        Ok(self.write(text))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Span, E> {
        Ok(self.write(&number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Span, E> {
        Ok(self.write(&number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Span, E> {
        Ok(self.write(&number.to_string()))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Span, E> {
        Ok(self.write(if truth { "true" } else { "false" }))
    }

    fn visit_unit<E>(self) -> Result<Span, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Span, A::Error> {
        Err(A::Error::custom("a list where text or a number should be"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Span, A::Error> {
        Err(A::Error::custom("an object where text or a number should be"))
    }
}
