//! Reading the settings again while the server runs.
//!
//! What can be taken over without a restart is: what the log tells, who may reach the server, and rates. The certificate is
//! read again by [`crate::gateway::tls`]. A mistake changes nothing at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::counter;

use crate::config::{Config, Sources};
use crate::gateway::checks::Current;
use crate::telemetry::Telemetry;

/// Settings that are taken over while the server runs, and what the names of others begin with.
const TAKEN_OVER: [&str; 4] = ["log.filter", "gateway.", "rates.", "limits.connections_per_address"];

/// A server's settings, where they came from, and what they decide.
pub(super) struct Reload {
    pub sources: Sources,
    /// The settings that hold.
    pub config: Config,
    pub checks: Arc<Current>,
    pub telemetry: Telemetry,
}

/// What other settings come to.
#[derive(Debug, PartialEq, Eq)]
struct Changes {
    /// Settings that are others now and hold from now on.
    taken_over: Vec<String>,
    /// Settings that are others now and hold from the next start on.
    at_the_next_start: Vec<String>,
}

impl Reload {
    /// Reads the settings again, takes over what can be, and logs what came of it.
    pub fn run(&mut self) {
        match self.apply() {
            Ok(changes) => {
                counter!("parlance_settings_reloads_total").increment(1);
                let (taken_over, waiting) = (changes.taken_over.join(", "), changes.at_the_next_start.join(", "));
                let file = self.sources.path().display();
                if taken_over.is_empty() && waiting.is_empty() {
                    tracing::info!(%file, "SIGHUP: the settings were read again; none has changed");
                } else {
                    tracing::info!(%file, taken_over, needs_a_restart = waiting, "SIGHUP: the settings were read again");
                }
            }
            Err(error) => {
                counter!("parlance_settings_reload_failures_total").increment(1);
                tracing::error!(error, "SIGHUP: the settings can't be used; the old ones stay");
            }
        }
    }

    fn apply(&mut self) -> Result<Changes, String> {
        let read = self.sources.read().map_err(|error| error.to_string())?;
        let changes = compare(&self.config.listed(), &read.listed());
        let mut next = self.config.clone();
        next.gateway.clone_from(&read.gateway);
        next.rates.clone_from(&read.rates);
        next.log.filter.clone_from(&read.log.filter);
        next.limits.connections_per_address = read.limits.connections_per_address;
        // What may fail comes first, so that all holds or nothing.
        let checks = self.checks.get().renewed(&next)?;
        if next.log.filter != self.config.log.filter {
            self.telemetry.refilter(&next.log).map_err(|error| error.to_string())?;
        }
        self.checks.set(checks);
        self.config = next;
        Ok(changes)
    }
}

/// Which settings differ, by whether they can be taken over.
fn compare(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Changes {
    let changed = new.iter().filter(|(name, value)| old.get(*name) != Some(*value)).map(|(name, _)| name.clone());
    let here = |name: &String| TAKEN_OVER.iter().any(|known| name.starts_with(known));
    let (taken_over, at_the_next_start) = changed.partition(here);
    Changes { taken_over, at_the_next_start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_can_be_taken_over_are_told_from_others() {
        let old = Config::default();
        let mut new = old.clone();
        new.rates.attempts_per_s = 0.5;
        new.gateway.hosts = vec!["chat.example.org".to_owned()];
        new.limits.connections_per_address = 5;
        new.limits.connections = 5;
        new.data.dir = "elsewhere".into();
        let changes = compare(&old.listed(), &new.listed());
        assert_eq!(changes.taken_over, ["gateway.hosts", "limits.connections_per_address", "rates.attempts_per_s"]);
        assert_eq!(changes.at_the_next_start, ["data.dir", "limits.connections"]);
    }
}
