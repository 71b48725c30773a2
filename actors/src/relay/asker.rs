//! Who hears how a subscription came out.

use std::sync::Arc;

use parlance_schema::Fault;
use parlance_schema::view::Resumed;
use tokio::sync::oneshot;

/// Gathers what the relays of many rooms say to one resume.
pub(crate) trait Gathering: Send + Sync {
    /// Takes what the relay of the room at this place says.
    fn answer(&self, at: usize, answer: Result<Resumed, Fault>);
}

/// Who hears how a subscription came out.
pub(crate) enum Asker {
    /// Somebody who waits for this one.
    Call(oneshot::Sender<Result<Resumed, Fault>>),
    /// A resume, of which it is the part at this place.
    Part(Arc<dyn Gathering>, usize),
}

impl Asker {
    /// Tells them.
    pub(crate) fn answer(self, answer: Result<Resumed, Fault>) {
        match self {
            Self::Call(back) => drop(back.send(answer)),
            Self::Part(all, at) => all.answer(at, answer),
        }
    }
}
