//! Whether a connection's client is still there: when it was last heard, and the heartbeat. Its token is in `token_expiry.rs`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use parlance_schema::{Code, Fault};
use tokio::time::Instant;

use super::Link;
use crate::shared::Options;
use crate::wire::{Opcode, frame};

/// Milliseconds, from 1 on, of a clock that never goes back: what [`Liveness::heard`] is told.
#[must_use]
pub fn ticks() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    let elapsed = Instant::now().saturating_duration_since(*start);
    u64::try_from(elapsed.as_millis()).map_or(u64::MAX, |ms| ms + 1)
}

/// What is known of a connection's client.
pub struct Liveness {
    /// When the client was last heard, in [`ticks`].
    heard: AtomicU64,
    /// When the token expires, in Unix milliseconds.
    pub(super) expires: AtomicU64,
    /// The access token, where whether it is good is looked up again now and then.
    pub(super) token: Mutex<Option<Arc<str>>>,
    /// Whether the client has said where it is; kept here so that it outlives the Session.
    resumed: AtomicBool,
}

impl Liveness {
    pub(super) fn new(expires: u64) -> Self {
        Self {
            heard: AtomicU64::new(ticks()),
            expires: AtomicU64::new(expires),
            token: Mutex::new(None),
            resumed: AtomicBool::new(false),
        }
    }

    /// Notes that a byte came from the client.
    pub fn heard(&self, now: u64) {
        self.heard.store(now, Ordering::Relaxed);
    }

    /// When the client was last heard.
    #[must_use]
    pub fn last_heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Notes that the client has said where it is, and was answered.
    pub(crate) fn set_resumed(&self) {
        self.resumed.store(true, Ordering::Release);
    }

    /// Whether the client has said where it is.
    pub(crate) fn is_resumed(&self) -> bool {
        self.resumed.load(Ordering::Acquire)
    }
}

impl Link {
    /// Pings a silent connection, and closes a dead, a slow or an expired one: `now` is of [`ticks`], `wall` in Unix
    /// milliseconds.
    pub(crate) fn look_after(&self, options: &Options, now: u64, wall: u64) {
        let silent = now.saturating_sub(self.liveness.last_heard());
        if let Some(fault) = self.liveness.token_expired(wall) {
            self.outbox.close_for(&fault);
        } else if silent > options.silence_ms {
            self.outbox.close_for(&Fault::new(
                Code::Silent,
                "nothing was received from you for too long: reconnect, resume and answer the heartbeats",
            ));
        } else if let Some(fault) = self.reads_too_slowly(options, now) {
            self.outbox.close_for(&fault);
        } else if silent > options.heartbeat_ms {
            self.outbox.push_ephemeral(&frame(Opcode::Ping, &[]));
        }
    }
}
