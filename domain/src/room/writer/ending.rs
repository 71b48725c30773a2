//! How a room ends here: asleep, handed over to its home, left to another writer, or dismissed as the store failed. And what it tells
//! of its log until then.

use super::{Effect, Env, Envelope, Phase, Writer};

/// When the last number is told after the last entry, in milliseconds: who missed that one has it then.
const BEATS_MS: [u64; 3] = [1_000, 5_000, 25_000];
/// How long a room that does not exist stays awake, in milliseconds: it was only asked after.
const ABSENT_MS: u64 = 1_000;
/// Conflicts in a row after which a room is left to its home: two who contend starve each other.
const CONFLICTS_MAX: u32 = 2;

/// How far the end has come.
#[derive(Debug)]
pub(super) struct Ending<R> {
    /// Set once somebody takes over: nothing more is appended here.
    pub away: bool,
    /// Whether somebody is about to come for what waits.
    is_awaited: bool,
    /// Whether somebody is there, and waits for what is handed back.
    is_due: bool,
    /// Set when the store failed: what is still on its way here is refused.
    pub dismissed: bool,
    /// Set once everything has come that was sent here.
    pub farewell: bool,
    /// What was in an append that took too long.
    doubtful: Vec<Envelope<R>>,
    /// When the last entry was written, and how often its number was told since.
    wrote: Option<(u64, usize)>,
}

impl<R> Default for Ending<R> {
    fn default() -> Self {
        Self {
            away: false,
            is_awaited: false,
            is_due: false,
            dismissed: false,
            farewell: false,
            doubtful: Vec::new(),
            wrote: None,
        }
    }
}

impl<R> Ending<R> {
    pub fn is_begun(&self) -> bool {
        self.away || self.dismissed || self.farewell
    }

    /// Entries were written: their numbers are told again a little later.
    pub fn wrote(&mut self, elapsed_ms: u64) {
        self.wrote = Some((elapsed_ms, 0));
    }
}

impl<R> Writer<R> {
    pub(super) fn tick(&mut self, env: &Env<'_>) {
        self.beat(env);
        let idle = matches!(self.phase, Phase::Idle) && self.waiting.is_empty() && self.refusals.is_empty();
        let limit = if self.state.is_some() { env.idle_ms } else { ABSENT_MS };
        if idle && !self.ending.is_begun() && env.elapsed_ms.saturating_sub(self.active_ms) > limit {
            self.effects.push_back(Effect::Sleep);
        }
    }

    /// Tells the last number now and then after the last entry, so that a relay which missed that one learns of it.
    fn beat(&mut self, env: &Env<'_>) {
        if self.is_in_flight() || env.single_node {
            return;
        }
        let Some((at, count)) = &mut self.ending.wrote else { return };
        if BEATS_MS.get(*count).is_some_and(|ms| env.elapsed_ms.saturating_sub(*at) >= *ms) {
            *count += 1;
            self.effects.push_back(Effect::PublishLast(self.settled));
        }
    }

    /// Ends here: what waits is handed back.
    pub(super) fn hand_over(&mut self) {
        self.ending.is_due = true;
        if self.is_in_flight() {
            self.effects.push_back(Effect::AwaitOverdue);
        }
        if !self.ending.away || self.ending.is_awaited {
            self.unlist();
        }
        (self.ending.away, self.ending.is_awaited) = (true, false);
    }

    /// Leaves the room to its home if that is elsewhere, after too many conflicts.
    pub(super) fn step_down_if_contended(&mut self, env: &Env<'_>) {
        if !self.ending.away && self.conflicts >= CONFLICTS_MAX && !env.at_home {
            (self.ending.away, self.ending.is_awaited) = (true, true);
            self.effects.push_back(Effect::StepDown);
        }
    }

    pub(super) fn nobody_comes(&mut self) {
        if std::mem::replace(&mut self.ending.is_awaited, false) {
            self.unlist();
        }
    }

    /// Waits no longer for the append in flight: whatever becomes of it, its commands can be sent again with their client ids.
    pub(super) fn overdue(&mut self) {
        if !self.ending.away || !self.is_in_flight() {
            return;
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Idle);
        let (Phase::Appending(batch) | Phase::Rereading(_, Some(batch))) = phase else { return };
        self.ending.doubtful.extend(batch.members.into_iter().map(|member| member.ask));
    }

    /// Hands back what waits, once nothing is in flight and somebody takes it.
    pub(super) fn hand_back(&mut self) {
        if self.is_in_flight() || self.ending.is_awaited {
            return;
        }
        let doubtful = std::mem::take(&mut self.ending.doubtful).into_iter().map(|ask| (ask, true));
        let rest = self.take_all_that_waits().map(|(ask, doubt)| (ask, doubt.is_some()));
        let handed: Vec<_> = doubtful.chain(rest).collect();
        if std::mem::replace(&mut self.ending.is_due, false) || !handed.is_empty() {
            self.effects.push_back(Effect::HandBack(handed));
        }
    }

    /// Takes the room off the list; what was sent to it until then still comes before the farewell.
    fn unlist(&mut self) {
        // While an append is in flight the state runs ahead of the log, which may go on otherwise.
        if matches!(self.phase, Phase::Idle)
            && !self.ending.dismissed
            && let Some(state) =
                self.state.as_ref().filter(|state| state.last == self.settled && state.last > self.snapshot_at)
        {
            self.effects.push_back(Effect::KeepSnapshot(Box::new(state.clone())));
        }
        self.effects.push_back(Effect::Unlist);
    }
}
