//! Who waits for the outcome of a command.

use std::sync::Arc;

use parlance_schema::frame::{Answer, ReplyOutcome};
use parlance_schema::view::Done;
use parlance_schema::{Code, Fault};
use tokio::sync::oneshot;

use crate::link::Link;

/// Who waits for the outcome of a command: a request on a connection, or a caller in this process.
///
/// Dropped without an answer (its Room crashed), it answers that the outcome is unknown; the same client id again tells.
pub(crate) struct ReplyTo(Option<To>);

enum To {
    Link(Arc<Link>, u64),
    Call(oneshot::Sender<Result<Done, Fault>>),
}

impl ReplyTo {
    /// Request `n` of a connection.
    #[must_use]
    pub fn link(link: Arc<Link>, n: u64) -> Self {
        Self(Some(To::Link(link, n)))
    }

    /// A caller in this process.
    #[must_use]
    pub fn call() -> (Self, oneshot::Receiver<Result<Done, Fault>>) {
        let (send, receive) = oneshot::channel();
        (Self(Some(To::Call(send))), receive)
    }

    /// Answers.
    pub fn send(mut self, outcome: Result<Done, Fault>) {
        self.answer(outcome);
    }

    fn answer(&mut self, outcome: Result<Done, Fault>) {
        match self.0.take() {
            Some(To::Link(link, n)) => {
                let outcome = match outcome {
                    Ok(done) => ReplyOutcome::Ok(Box::new(Answer::Done(done))),
                    Err(fault) => ReplyOutcome::Fault(fault),
                };
                link.reply(n, &outcome);
            }
            Some(To::Call(call)) => {
                let _ = call.send(outcome);
            }
            None => {}
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        if self.0.is_some() {
            self.answer(Err(Fault::new(Code::OutcomeUnknown, "the room was restarted; send it again").after(50)));
        }
    }
}
