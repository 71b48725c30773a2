//! Requests over WebSockets that were refused, in the log: a bounded number of lines at a time, however many there are.

use std::sync::{Mutex, PoisonError};

use parlance_schema::Code;

use crate::link::Link;

/// Lines that are written at a time; what else was refused is summed up in one more.
const LINES_MAX: usize = 16;

/// What was refused on connections that have ended since it was last written.
#[derive(Default)]
pub(super) struct Refusals {
    ended: Mutex<Sum>,
}

/// Refused requests of several connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    connections: u64,
    requests: u64,
    last: Option<Code>,
}

impl Sum {
    fn add(&mut self, requests: u32, last: Code) {
        self.connections += 1;
        self.requests += u64::from(requests);
        self.last = Some(last);
    }
}

impl Refusals {
    /// Takes over what was refused on a connection that has ended.
    pub(super) fn ended(&self, link: &Link) {
        if let Some((requests, last)) = link.requests.take_refused() {
            self.ended.lock().unwrap_or_else(PoisonError::into_inner).add(requests, last);
        }
    }

    /// Begins to write what was refused since the last time.
    pub(super) fn lines(&self) -> Lines {
        Lines { left: LINES_MAX, rest: std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner)) }
    }
}

/// Lines that are being written.
pub(super) struct Lines {
    left: usize,
    /// What has no line of its own.
    rest: Sum,
}

impl Lines {
    /// Writes what was refused on a connection, as long as there is a line left for it.
    pub(super) fn add(&mut self, link: &Link) {
        let Some((requests, last)) = link.requests.take_refused() else { return };
        if self.left == 0 {
            return self.rest.add(requests, last);
        }
        self.left -= 1;
        let (session, user, code) = (link.id, link.principal.user.get(), last.word());
        tracing::info!(session, user, requests, code, "requests of a connection were refused");
    }

    /// Sums up what has no line of its own.
    pub(super) fn end(self) {
        let Sum { connections, requests, last: Some(last) } = self.rest else { return };
        tracing::info!(connections, requests, code = last.word(), "requests of further connections were refused");
    }
}
