//! The columns of one row. What can't be read of those that a row may do without is left out, and noted.

use super::source::{Column, Row};

/// A row's columns, and what was changed about them.
pub(super) struct Fields<'r, 'a> {
    row: &'r Row<'a>,
    columns: &'static [Column],
    pub changes: Vec<String>,
}

impl<'r, 'a> Fields<'r, 'a> {
    pub fn new(row: &'r Row<'a>, columns: &'static [Column]) -> Self {
        Self { row, columns, changes: Vec::new() }
    }

    /// What stands in a column that every row has.
    ///
    /// # Errors
    /// When it is missing or can't be read: the column's name, and why.
    pub fn required<T>(
        &self,
        column: usize,
        read: impl FnOnce(&'a str) -> Result<T, &'static str>,
    ) -> Result<T, String> {
        let found = self.row.text(column).and_then(|text| text.ok_or("missing")).and_then(read);
        found.map_err(|why| format!("{}: {why}", self.columns[column].names[0]))
    }

    /// What stands in a column that a row may do without: `None` where nothing does, `otherwise` where it can't be read.
    /// That is noted with `told`, which says what was done.
    pub fn optional<T>(
        &mut self,
        column: usize,
        otherwise: Option<T>,
        told: &str,
        read: impl FnOnce(&'a str) -> Result<T, &'static str>,
    ) -> Option<T> {
        match self.row.text(column).and_then(|text| text.map(read).transpose()) {
            Ok(found) => found,
            Err(why) => {
                self.changes.push(format!("{} is {why}: {told}", self.columns[column].names[0]));
                otherwise
            }
        }
    }

    /// The text in a column that a row may do without.
    pub fn text(&mut self, column: usize) -> Option<&'a str> {
        self.optional(column, None, "it was left out", Ok)
    }
}
