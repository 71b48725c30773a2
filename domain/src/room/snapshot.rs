//! A room's state as it is kept, so that waking doesn't read the whole log.

use parlance_schema::entry::FACTS;
use serde::{Deserialize, Serialize};

use super::State;

/// The form of [`State`]. A snapshot of another form is not read; the log is folded instead. To be raised whenever a field
/// of the state gets another meaning, or one more is needed.
const FORM: u32 = 1;

/// A state, and what the version that folded it knew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot<S = State> {
    /// The form of the state.
    pub form: u32,
    /// How many facts were known when it was folded.
    pub facts: usize,
    /// The state.
    pub state: S,
}

impl<'a> Snapshot<&'a State> {
    /// A snapshot of a state that this version folded.
    #[must_use]
    pub const fn of(state: &'a State) -> Self {
        Self { form: FORM, facts: FACTS.len(), state }
    }
}

impl Snapshot {
    /// The state, if it is what this version would have folded: `None` for another form, and for one that was folded past a
    /// fact which only later versions know.
    #[must_use]
    pub fn usable(self) -> Option<State> {
        let whole = self.state.passed_over == 0 || self.facts == FACTS.len();
        (self.form == FORM && whole).then_some(self.state)
    }
}
