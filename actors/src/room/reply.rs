//! Who waits for the outcome of a request.

use std::sync::Arc;

use parlance_schema::frame::{Answer, ReplyOutcome};
use parlance_schema::view::Done;
use parlance_schema::{Code, Fault};
use tokio::sync::oneshot;

use crate::link::Link;
use crate::wire::Asked;

/// Who waits for the outcome: a request on a connection, or a caller in this process.
///
/// It goes with the request from actor to actor. Dropped without an answer (whoever had it crashed), it answers that the
/// outcome is unknown; the same client id again tells. So each request gets exactly one reply, and only its own.
pub(crate) struct ReplyTo(Option<To>);

/// The way back of a command that came by way of a lane; nothing: it was not done here, as the room moves.
pub(crate) type Routed = oneshot::Receiver<Option<Result<Done, Fault>>>;

enum To {
    /// The request, and the link's number for it.
    Link(Arc<Link>, Asked, u64),
    Call(oneshot::Sender<Result<Done, Fault>>),
    /// A lane, here or on another node; nothing: it was not done here, as the room moves.
    Routed(oneshot::Sender<Option<Result<Done, Fault>>>),
}

impl ReplyTo {
    /// A request of a connection, by the id with which it was begun.
    #[must_use]
    pub fn link(link: Arc<Link>, asked: Asked, id: u64) -> Self {
        Self(Some(To::Link(link, asked, id)))
    }

    /// Sets when the outcome counts as unknown, in ticks; a caller in this process has a deadline of its own.
    pub(crate) fn limit(&self, deadline: u64) {
        if let Some(To::Link(link, _, id)) = &self.0 {
            link.requests.limit(*id, deadline);
        }
    }

    /// A caller in this process.
    #[must_use]
    pub fn call() -> (Self, oneshot::Receiver<Result<Done, Fault>>) {
        let (send, receive) = oneshot::channel();
        (Self(Some(To::Call(send))), receive)
    }

    /// A lane, which takes the command elsewhere where the room has moved.
    pub(crate) fn routed() -> (Self, Routed) {
        let (send, receive) = oneshot::channel();
        (Self(Some(To::Routed(send))), receive)
    }

    /// Tells a lane that the room has moved; says whether it was one.
    pub(crate) fn moved(&mut self) -> bool {
        match self.0.take() {
            Some(To::Routed(lane)) => {
                let _ = lane.send(None);
                true
            }
            other => {
                self.0 = other;
                false
            }
        }
    }

    /// Tells a lane that nobody knows whether it was done; says whether it was one.
    pub(crate) fn lost(&mut self) -> bool {
        let lane = matches!(self.0, Some(To::Routed(_)));
        if lane {
            self.answer(Err(Fault::new(Code::OutcomeUnknown, "the room moved to another server during this request: send it again with the same `client_id` (over REST, the same `Idempotency-Key`) to find out whether it was done").after(50)));
        }
        lane
    }

    /// Answers.
    pub fn send(mut self, outcome: Result<Done, Fault>) {
        self.answer(outcome);
    }

    /// Answers with something else than a command's outcome; a caller in this process has no use for that.
    pub(crate) fn finish(self, outcome: Result<Answer, Fault>) {
        self.finish_in_time(outcome);
    }

    /// As [`Self::finish`]; false where the request was answered before, as its time was over.
    pub(crate) fn finish_in_time(mut self, outcome: Result<Answer, Fault>) -> bool {
        match self.0.take() {
            Some(To::Link(link, asked, id)) => reply(&link, asked, id, outcome),
            _ => false,
        }
    }

    fn answer(&mut self, outcome: Result<Done, Fault>) {
        match self.0.take() {
            Some(To::Link(link, asked, id)) => {
                reply(&link, asked, id, outcome.map(Answer::Done));
            }
            Some(To::Call(call)) => {
                let _ = call.send(outcome);
            }
            Some(To::Routed(lane)) => {
                let _ = lane.send(Some(outcome));
            }
            None => {}
        }
    }
}

fn reply(link: &Link, asked: Asked, id: u64, outcome: Result<Answer, Fault>) -> bool {
    let outcome = match outcome {
        Ok(answer) => ReplyOutcome::Ok(Box::new(answer)),
        Err(fault) => ReplyOutcome::Fault(fault),
    };
    link.reply(asked, id, &outcome)
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        if self.0.is_some() {
            self.answer(Err(
                Fault::new(Code::OutcomeUnknown, "the server restarted while handling this: send it again with the same `client_id` (over REST, the same `Idempotency-Key`) to find out whether it was done").after(50)
            ));
        }
    }
}
