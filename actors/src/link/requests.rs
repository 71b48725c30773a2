//! The requests of a connection that wait for their replies: bounded by credits, each with a deadline and exactly one reply.

use std::sync::{Mutex, MutexGuard, PoisonError};

use parlance_schema::frame::ReplyOutcome;
use parlance_schema::limits::CREDITS;
use parlance_schema::{Code, Fault};

use super::Link;
use crate::wire::Asked;

/// A connection's requests.
#[derive(Default)]
pub struct Requests {
    flights: Mutex<Flights>,
    /// Those that were refused and are not in the log yet.
    refused: Mutex<Refused>,
}

#[derive(Default)]
struct Flights {
    pending: Vec<Pending>,
    /// Requests begun so far.
    begun: u64,
}

/// A request that waits for its reply.
struct Pending {
    asked: Asked,
    /// Ours, as the client may use its own again.
    id: u64,
    /// When its outcome counts as unknown, in [`super::ticks`]; 0 for what has no deadline.
    deadline: u64,
}

/// Requests that were refused.
#[derive(Default)]
struct Refused {
    count: u32,
    /// The code of the last one.
    last: Option<Code>,
}

/// What a client is told that uses a number again too early.
fn in_flight(n: u64) -> Fault {
    Fault::malformed(format!("request number {n} is still waiting for its reply: use a different `n`"))
}

impl Requests {
    fn flights(&self) -> MutexGuard<'_, Flights> {
        // A panic while the lock was held leaves plain data behind, whole after each statement.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a request; its reply must follow, under the id that is returned.
    ///
    /// # Errors
    /// When its number is in flight already, or all credits are used; the number where the fault may be told as its reply.
    pub fn begin(&self, asked: Asked) -> Result<u64, (Option<u64>, Fault)> {
        let mut flights = self.flights();
        if flights.has(asked.n) {
            return Err((None, in_flight(asked.n)));
        }
        if flights.pending.len() >= CREDITS {
            let detail = format!(
                "{CREDITS} requests are already waiting for replies: wait for a reply before you send the next"
            );
            return Err((Some(asked.n), Fault::new(Code::NoCredit, detail).after(100)));
        }
        let id = flights.begun;
        flights.begun += 1;
        flights.pending.push(Pending { asked, id, deadline: 0 });
        Ok(id)
    }

    /// Gives a request a deadline, in [`super::ticks`].
    pub(crate) fn limit(&self, id: u64, deadline: u64) {
        if let Some(pending) = self.flights().pending.iter_mut().find(|pending| pending.id == id) {
            pending.deadline = deadline;
        }
    }

    /// Requests whose deadline has passed, each with our number for it.
    pub(crate) fn overdue(&self, now: u64) -> Vec<(Asked, u64)> {
        let flights = self.flights();
        let late = flights.pending.iter().filter(|pending| (1..now).contains(&pending.deadline));
        late.map(|pending| (pending.asked, pending.id)).collect()
    }

    /// How many wait for their replies.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flights().pending.len()
    }

    /// Ends a request and has its reply queued, so that nobody sees it neither in flight nor answered; false where it was
    /// answered before.
    pub(super) fn end(&self, id: u64, queue: impl FnOnce()) -> bool {
        let mut flights = self.flights();
        let Some(at) = flights.pending.iter().position(|pending| pending.id == id) else { return false };
        flights.pending.swap_remove(at);
        if flights.pending.is_empty() {
            flights.pending = Vec::new();
        }
        queue();
        true
    }

    /// Ends all of them, as nobody waits for their replies any more.
    pub(super) fn end_all(&self) {
        self.flights().pending = Vec::new();
    }

    /// Says how a client is told that a request of this number was refused: by the number's reply, or where the number is in
    /// flight, whose reply is another's, by a push that names it.
    pub(super) fn refusal(&self, n: Option<u64>, fault: Fault) -> (Option<u64>, Fault) {
        match n {
            Some(n) if self.flights().has(n) => (None, in_flight(n)),
            n => (n, fault),
        }
    }

    /// Counts a request of the client's that was refused, and notes it for the log.
    pub(super) fn count_refusal(&self, fault: &Fault) {
        metrics::counter!("parlance_request_faults_total", "code" => fault.code.word()).increment(1);
        if fault.code.http() >= 500 {
            // No mistake of the client's, and whoever failed has told it.
            return;
        }
        let mut refused = self.refused();
        *refused = Refused { count: refused.count.saturating_add(1), last: Some(fault.code) };
    }

    /// How many of the client's requests were refused since this was last asked, and with which code the last of them.
    pub(crate) fn take_refused(&self) -> Option<(u32, Code)> {
        let refused = std::mem::take(&mut *self.refused());
        refused.last.map(|code| (refused.count, code))
    }
}

impl Flights {
    fn has(&self, n: u64) -> bool {
        self.pending.iter().any(|pending| pending.asked.n == n)
    }
}

impl Link {
    /// Answers requests whose outcome will not be known any more, because their Session or whoever else had them is gone.
    pub(crate) fn answer_unknown(&self, requests: Vec<(Asked, u64)>) {
        for (asked, id) in requests {
            self.reply(asked, id, &ReplyOutcome::Fault(Fault::no_answer()));
        }
    }
}
