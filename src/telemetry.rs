//! Logs and metrics: how the process tells what it does.
//!
//! Logs go to standard error, pretty on a terminal and JSON otherwise. Metrics are kept by a Prometheus recorder, rendered
//! for `/metrics`. All metrics stand in the one table here.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// How often what histograms collected is folded together, when nobody asks for it.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Bounds of histograms in seconds: from a call in memory to a store in distress.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
/// Bounds of histograms that count things done together.
const COUNTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// What kind of figure a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It goes up, from the start of the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often which values came, in seconds.
    Seconds,
    /// How often which numbers came.
    Counts,
}

/// All metrics: name, kind, meaning.
pub const METRICS: &[(&str, Kind, &str)] = &[
    ("parlance_connections", Kind::Gauge, "TCP connections that are open"),
    ("parlance_connections_refused_total", Kind::Counter, "TCP connections refused because there were too many"),
    ("parlance_refused_total", Kind::Counter, "connections and requests refused at the door, by why"),
    ("parlance_tls_reloads_total", Kind::Counter, "times that another certificate was taken into use"),
    ("parlance_tls_reload_failures_total", Kind::Counter, "times that a new certificate could not be used"),
    (
        "parlance_settings_reloads_total",
        Kind::Counter,
        "times that settings were read again on SIGHUP and could be used",
    ),
    (
        "parlance_settings_reload_failures_total",
        Kind::Counter,
        "times that settings read again on SIGHUP could not be used, so that the old ones stayed",
    ),
    ("parlance_accept_errors_total", Kind::Counter, "connections that the operating system could not hand over"),
    ("parlance_http_requests_total", Kind::Counter, "HTTP requests, by route, method and status"),
    ("parlance_http_request_seconds", Kind::Seconds, "time from an HTTP request to its answer, by route and method"),
    ("parlance_sessions", Kind::Gauge, "WebSocket sessions that are open"),
    ("parlance_requests_total", Kind::Counter, "requests that came over WebSockets"),
    ("parlance_request_faults_total", Kind::Counter, "requests over WebSockets that were refused or failed, by code"),
    ("parlance_deliveries_total", Kind::Counter, "entries queued for a session"),
    ("parlance_outbox_bytes", Kind::Gauge, "bytes that wait in the outboxes of all sessions"),
    ("parlance_lagging_sessions", Kind::Gauge, "sessions that lag, and are being caught up from the log"),
    ("parlance_slow_closed_total", Kind::Counter, "sessions closed because they read too slowly for too long"),
    ("parlance_rooms_awake", Kind::Gauge, "rooms with an actor"),
    ("parlance_room_wake_seconds", Kind::Seconds, "time that a room takes to wake from the store"),
    (
        "parlance_room_lookup_seconds",
        Kind::Seconds,
        "time that the reads take which refused commands, and commands about older messages, wait for; nobody else waits for them",
    ),
    ("parlance_relays_open", Kind::Gauge, "rooms with a relay on this node"),
    ("parlance_append_seconds", Kind::Seconds, "time from a room's append to its acknowledgement"),
    (
        "parlance_append_conflicts_total",
        Kind::Counter,
        "appends and refusals that came too late, as another owner wrote first",
    ),
    ("parlance_log_reads_total", Kind::Counter, "reads of rooms' logs from the store, for resumes and repairs"),
    ("parlance_gaps_repaired_total", Kind::Counter, "holes in a room's entries that a relay filled from the log"),
    ("parlance_lease_renewed", Kind::Gauge, "1 while this node's lease is renewed in time"),
    ("parlance_degraded", Kind::Gauge, "1 while this node can't reach the store, and its rooms go to other nodes"),
    ("parlance_nodes", Kind::Gauge, "nodes in view, this one among them"),
    (
        "parlance_forwarded_commands_total",
        Kind::Counter,
        "commands sent to their room's home on another node, by outcome",
    ),
    ("parlance_rooms_moved_total", Kind::Counter, "rooms that were awake here and went to another home"),
    ("parlance_feed_marks", Kind::Gauge, "rooms that this node has marked as unfinished for consumers"),
    (
        "parlance_feed_lag_seconds",
        Kind::Gauge,
        "for how long the room has waited that a consumer has had work in longest, by consumer",
    ),
    (
        "parlance_feed_unrun_seconds",
        Kind::Gauge,
        "for how long no node has said that it runs a registered consumer, by consumer",
    ),
    ("parlance_feed_entries_total", Kind::Counter, "entries that a consumer has passed, by consumer"),
    (
        "parlance_feed_failures_total",
        Kind::Counter,
        "calls that found a consumer's destination not able to take anything, by consumer",
    ),
    ("parlance_feed_dead_letters_total", Kind::Counter, "entries that a consumer was passed over for, by consumer"),
    (
        "parlance_feed_adopted_total",
        Kind::Counter,
        "marks of other owners, such as nodes that are gone, that this node has taken over",
    ),
    ("parlance_steps_down_total", Kind::Counter, "rooms left to their home because another node wrote to them"),
    ("parlance_last_asked_total", Kind::Counter, "rooms whose last number was asked for, to find out what was missed"),
    ("parlance_mailbox_depth", Kind::Gauge, "messages that wait in mailboxes, by kind of actor"),
    ("parlance_restarts_total", Kind::Counter, "actors that crashed and were started again, by kind"),
    ("parlance_store_append_seconds", Kind::Seconds, "time that the store takes for an append, with its fsync"),
    ("parlance_ids_left", Kind::Gauge, "ids that can still be given out, by kind: user, room, message"),
    ("parlance_store_queue", Kind::Gauge, "writes that wait for the store"),
    ("parlance_store_group_size", Kind::Counts, "writes that one commit took together"),
    (
        "parlance_password_hashes_refused_total",
        Kind::Counter,
        "logins and registrations refused because too many waited",
    ),
    ("parlance_refresh_reused_total", Kind::Counter, "refresh tokens that were used twice"),
    ("parlance_bus_connected", Kind::Gauge, "whether the other nodes can be reached: 1 or 0"),
    (
        "parlance_bus_connects_total",
        Kind::Counter,
        "connections made to the bus; each one after the first means that events may have been lost",
    ),
    ("parlance_bus_subscriptions", Kind::Gauge, "subjects of rooms, users and nodes that this node listens to"),
    ("parlance_bus_published_total", Kind::Counter, "events and answers sent to other nodes"),
    ("parlance_bus_received_total", Kind::Counter, "events and questions that came from other nodes"),
    (
        "parlance_bus_lost_total",
        Kind::Counter,
        "events that were not sent to other nodes, by why: away, full, too_large",
    ),
    ("parlance_bus_slow_total", Kind::Counter, "messages of the bus lost because this node takes them too slowly"),
    (
        "parlance_bus_unreadable_total",
        Kind::Counter,
        "messages of the bus that could not be read, by why: version, malformed",
    ),
    ("parlance_bus_ask_seconds", Kind::Seconds, "time from a question to another node to its answer"),
    (
        "parlance_bus_no_answer_total",
        Kind::Counter,
        "questions to other nodes without an answer, by why: unreachable, unanswered",
    ),
    ("parlance_lease_renew_seconds", Kind::Seconds, "time that a renewal of this node's lease takes"),
    ("parlance_lease_failures_total", Kind::Counter, "renewals of this node's lease that failed"),
];

/// Counters without labels, which are there from the start, at 0.
const FROM_START: &[&str] = &[
    "parlance_connections_refused_total",
    "parlance_accept_errors_total",
    "parlance_tls_reloads_total",
    "parlance_tls_reload_failures_total",
    "parlance_settings_reloads_total",
    "parlance_settings_reload_failures_total",
    "parlance_requests_total",
    "parlance_deliveries_total",
    "parlance_slow_closed_total",
    "parlance_append_conflicts_total",
    "parlance_log_reads_total",
    "parlance_gaps_repaired_total",
];

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log filter can't be read.
    #[error("log.filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Another logger is there already.
    #[error("logging: {0}")]
    Logging(String),
    /// Another recorder of metrics is there already, or it refuses its settings.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// The process's metrics, to be rendered, and what its log tells.
#[derive(Clone)]
pub struct Telemetry {
    handle: PrometheusHandle,
    filter: Option<Refilter>,
}

/// Has the log of the process tell something else from now on.
type Refilter = Arc<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

impl Telemetry {
    /// The metrics in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Has the log tell what other settings say, from now on.
    ///
    /// # Errors
    /// When the filter can't be read, or the log was not set up by this.
    pub fn refilter(&self, log: &Log) -> Result<(), Error> {
        let filter = filter(log)?;
        let Some(change) = &self.filter else { return Err(Error::Logging("it has no filter to change".to_owned())) };
        change(filter).map_err(Error::Logging)
    }

    /// Folds together what histograms collect, again and again: without it they grow while nobody asks for `/metrics`.
    pub async fn upkeep(self) {
        let mut ticks = tokio::time::interval(UPKEEP_EVERY);
        loop {
            ticks.tick().await;
            self.handle.run_upkeep();
        }
    }
}

/// Sets up logs and metrics for the whole process; once.
///
/// # Errors
/// When the filter can't be read, or they are set up already.
pub fn install(log: &Log) -> Result<Telemetry, Error> {
    let filter = install_log(log)?;
    Ok(Telemetry { filter: Some(filter), ..install_metrics()? })
}

/// What is logged.
fn filter(log: &Log) -> Result<EnvFilter, Error> {
    // The client of NATS tells of every attempt to connect; what matters of it this process says itself.
    Ok(EnvFilter::try_new(format!("async_nats=warn,{}", log.filter))?)
}

/// Sets up the log alone; what has it tell something else.
///
/// # Errors
/// When the filter can't be read, or a logger is there already.
fn install_log(log: &Log) -> Result<Refilter, Error> {
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter(log)?).with_writer(std::io::stderr);
    let (installed, refilter): (_, Refilter) = match (log.format, terminal) {
        (LogFormat::Pretty, _) | (LogFormat::Auto, true) => {
            let builder = builder.with_ansi(terminal).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), Arc::new(move |filter| handle.reload(filter).map_err(|error| error.to_string())))
        }
        (LogFormat::Json, _) | (LogFormat::Auto, false) => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), Arc::new(move |filter| handle.reload(filter).map_err(|error| error.to_string())))
        }
    };
    installed.map_err(|error| Error::Logging(error.to_string()))?;
    Ok(refilter)
}

/// Sets up metrics alone.
///
/// # Errors
/// When a recorder is there already.
pub fn install_metrics() -> Result<Telemetry, Error> {
    let handle = builder()?.install_recorder()?;
    describe();
    for name in FROM_START {
        metrics::counter!(*name).absolute(0);
    }
    Ok(Telemetry { handle, filter: None })
}

fn builder() -> Result<PrometheusBuilder, metrics_exporter_prometheus::BuildError> {
    METRICS.iter().try_fold(PrometheusBuilder::new(), |builder, (name, kind, _)| match kind {
        Kind::Seconds => builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), SECONDS),
        Kind::Counts => builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), COUNTS),
        Kind::Counter | Kind::Gauge => Ok(builder),
    })
}

/// Tells the present recorder what each metric means.
fn describe() {
    for (name, kind, help) in METRICS {
        match kind {
            Kind::Counter => metrics::describe_counter!(*name, *help),
            Kind::Gauge => metrics::describe_gauge!(*name, *help),
            Kind::Seconds | Kind::Counts => metrics::describe_histogram!(*name, *help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn names_are_ours_unique_and_say_their_kind() {
        let mut names: Vec<_> = METRICS.iter().map(|(name, ..)| *name).collect();
        for (name, kind, help) in METRICS {
            assert!(name.starts_with("parlance_") && !help.is_empty(), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            let in_seconds = name.ends_with("_seconds");
            assert!(in_seconds == (*kind == Kind::Seconds) || in_seconds && *kind == Kind::Gauge, "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }

    /// The names of metrics in the sources under a folder.
    fn used(folder: &Path, into: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                used(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let macros = ["counter!(\"", "gauge!(\"", "histogram!(\""];
                for begin in macros.into_iter().flat_map(|m| text.match_indices(m).map(move |(at, _)| at + m.len())) {
                    let name = text[begin..].split('"').next().unwrap_or_default();
                    into.insert(name.to_owned());
                }
            }
        }
    }

    #[test]
    fn every_metric_in_the_code_is_in_the_table() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut names = BTreeSet::new();
        used(&root.join("src"), &mut names);
        used(&root.join("actors/src"), &mut names);
        assert!(names.contains("parlance_deliveries_total"), "{names:?}");
        names.retain(|name| METRICS.iter().all(|(known, ..)| known != name));
        assert!(names.is_empty(), "not in the table: {names:?}");
    }

    #[test]
    fn what_is_recorded_is_rendered_with_its_meaning() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::gauge!("parlance_connections").set(3.0);
            metrics::counter!("parlance_deliveries_total").increment(7);
            metrics::histogram!("parlance_append_seconds").record(0.003);
        });
        let text = Telemetry { handle, filter: None }.render();
        for line in [
            "# HELP parlance_connections TCP connections that are open",
            "# TYPE parlance_connections gauge",
            "parlance_connections 3",
            "parlance_deliveries_total 7",
            "parlance_append_seconds_bucket{le=\"0.002\"} 0",
            "parlance_append_seconds_bucket{le=\"0.005\"} 1",
            "parlance_append_seconds_count 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is missing in\n{text}");
        }
    }
}
