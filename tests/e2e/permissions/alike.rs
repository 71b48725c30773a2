//! What is not there, and what somebody may not see, must look the same.

use std::collections::BTreeMap;

use super::Cell;
use super::grid::{self, Columns};
use super::scene::Scene;

/// A text in which a number is taken out, but not where it is part of another one.
fn without_number(text: &str, number: &str) -> String {
    let mut rest = text;
    let mut out = String::new();
    while let Some(at) = rest.find(number) {
        let (before, after) = (&rest[..at], &rest[at + number.len()..]);
        let digit = |next: Option<char>| next.is_some_and(|c| c.is_ascii_digit());
        let within = digit(before.chars().next_back().or(out.chars().next_back())) || digit(after.chars().next());
        out += before;
        out += if within { number } else { "#" };
        rest = after;
    }
    out + rest
}

/// What is not there, and what somebody may not see, must look the same: answers by who asks and how, with ids taken out.
#[derive(Default)]
pub struct Alike(BTreeMap<(usize, String), (String, &'static str)>);

impl Alike {
    /// Remembers an answer that says `not_found` of something unseen, and compares it with the others.
    pub fn add(&mut self, cell: &Cell, door: &str, answer: &str, scene: &Scene) -> Result<(), String> {
        let unseen = match cell.case.grid.columns {
            Columns::Rooms => grid::READ.mark(cell.role, cell.column) == '-',
            Columns::People => grid::SEEN.mark(cell.role, cell.column) == '-',
            Columns::Sole => false,
        };
        if !unseen || cell.mark != '-' {
            return Ok(());
        }
        let mut answer = answer.to_owned();
        for value in ["user", "room"].iter().filter_map(|name| scene.get(name)) {
            answer = without_number(&answer, &value.to_string());
        }
        let key = (cell.role, format!("{} {} {} {door}", cell.row.route, cell.case.about, cell.case.op.unwrap_or("")));
        let (first, relation) = self.0.entry(key).or_insert_with(|| (answer.clone(), cell.relation()));
        if *first == answer { Ok(()) } else { Err(format!("{answer}, but where it is {relation}: {first}")) }
    }
}
