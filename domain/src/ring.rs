//! The latest entries of a room's log, bounded in bytes, so that a resume need not read the log.

use std::collections::VecDeque;

use parlance_schema::Seq;

/// Consecutive items, numbered, the newest ones that fit.
#[derive(Debug)]
pub struct Ring<T> {
    items: VecDeque<(T, usize)>,
    /// The number of the first item; the next number to come when there is none.
    first: Seq,
    bytes: usize,
    bytes_max: usize,
}

impl<T> Ring<T> {
    /// Makes an empty ring; `next` is the number that comes next.
    #[must_use]
    pub fn new(next: Seq, bytes_max: usize) -> Self {
        Self { items: VecDeque::new(), first: next, bytes: 0, bytes_max }
    }

    /// Adds the next item, which weighs `bytes`; old ones make way.
    pub fn push(&mut self, item: T, bytes: usize) {
        self.items.push_back((item, bytes));
        self.bytes += bytes;
        while self.bytes > self.bytes_max {
            let Some((_, gone)) = self.items.pop_front() else { break };
            self.bytes -= gone;
            self.first += 1;
        }
    }

    /// The number after the last item.
    #[must_use]
    pub fn next(&self) -> Seq {
        self.first + self.items.len() as Seq
    }

    /// The item with this number, if it is still there.
    #[must_use]
    pub fn get(&self, seq: Seq) -> Option<&T> {
        let at = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.items.get(at).map(|(item, _)| item)
    }

    /// The item with this number, to change.
    pub fn get_mut(&mut self, seq: Seq) -> Option<&mut T> {
        let at = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.items.get_mut(at).map(|(item, _)| item)
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes that the items weigh.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
