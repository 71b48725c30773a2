//! `parlance feed`: who follows the logs, and what they could not be given.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use clap::Subcommand;
use parlance_actors::ports::consumer::{Consumer, Delivered, Page};
use parlance_actors::ports::store::{DeadLetter, Range, Registered, StoreError, Thing};
use parlance_actors::ports::{Clock, Store};
use parlance_schema::RoomId;
use parlance_schema::limits::FEED_SHARDS;
use serde_json::json;

use super::{Backend, Failure};
use crate::config::Config;
use crate::consumer;

/// Rooms with marks that are looked at for the lag; where there are more, it is that of these.
const ROOMS_MAX: usize = 10_000;
/// Marks, or dead letters, that are read at a time.
const PAGE: usize = 200;

/// What can be done with those who follow logs.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists consumers, one JSON object a line: how old the oldest entry is that each has not been given, in how many rooms it has
    /// work, its dead letters, and when a node last ran it
    List,
    /// Has a consumer follow all logs anew, from their first entries
    Reset {
        /// The consumer, such as file:audit
        name: String,
    },
    /// Unregisters a consumer, so that nothing waits for it any more; a node whose settings name it registers it again
    Drop {
        /// The consumer, such as file:audit
        name: String,
    },
    /// Gives a consumer its dead letters again, as this machine's settings have it, and removes those that it takes
    Replay {
        /// The consumer, such as file:audit
        name: String,
        /// Only lists them
        #[arg(long)]
        dry_run: bool,
    },
}

pub(super) async fn execute(
    backend: &dyn Backend,
    config: &Config,
    command: Command,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let store = backend.open_store(config).await?;
    let unknown =
        |name: &str| Failure::Other(format!("there is no consumer {name:?}: `parlance feed list` names them"));
    match command {
        Command::List => list(&*store, &*backend.clock(), out).await,
        Command::Reset { name } => match store.reset(&name).await.map_err(failed)? {
            Some(consumer) => Ok(writeln!(out, "{name} is at generation {}", consumer.generation)?),
            None => Err(unknown(&name)),
        },
        Command::Drop { name } => {
            if store.unregister(&name).await.map_err(failed)? {
                Ok(writeln!(out, "{name} is not registered any more")?)
            } else {
                Err(unknown(&name))
            }
        }
        Command::Replay { name, dry_run } => {
            if !store.consumers().await.map_err(failed)?.iter().any(|consumer| consumer.name == name) {
                return Err(unknown(&name));
            }
            replay(&*store, config, &name, dry_run, out).await
        }
    }
}

fn failed(error: StoreError) -> Failure {
    Failure::Other(format!("the store can't be used: {error}"))
}

/// How a consumer stands.
#[derive(Default)]
struct Lag {
    rooms: usize,
    oldest: Option<u64>,
}

async fn list(store: &dyn Store, clock: &dyn Clock, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
    let consumers = store.consumers().await.map_err(failed)?;
    let runs: BTreeMap<String, u64> = store.runs().await.map_err(failed)?.into_iter().collect();
    let mut lags: BTreeMap<&str, Lag> = BTreeMap::new();
    for room in marked(store).await.map_err(failed)? {
        for consumer in &consumers {
            if let Some(at) = oldest(store, consumer, room).await.map_err(failed)? {
                let lag = lags.entry(&consumer.name).or_default();
                lag.rooms += 1;
                lag.oldest = Some(lag.oldest.map_or(at, |oldest| oldest.min(at)));
            }
        }
    }
    for consumer in &consumers {
        let (mut dead, mut after) = (0, None);
        loop {
            let page = store.dead(&consumer.name, after, PAGE).await.map_err(failed)?;
            dead += page.len();
            let Some(last) = page.last() else { break };
            after = Some((last.room, last.seq));
        }
        let now = clock.now();
        let seconds = |at: u64| now.saturating_sub(at) as f64 / 1_000.0;
        let lag = lags.remove(consumer.name.as_str()).unwrap_or_default();
        let line = json!({
            "name": consumer.name,
            "generation": consumer.generation,
            "begins": consumer.begins,
            "facts": consumer.filter.facts,
            "walking": consumer.walk.is_some(),
            "lag_s": lag.oldest.map_or(0.0, seconds),
            "rooms": lag.rooms,
            "dead_letters": dead,
            "ran_s_ago": runs.get(&consumer.name).map(|at| seconds(*at)),
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The rooms with marks, whosever.
async fn marked(store: &dyn Store) -> Result<BTreeSet<RoomId>, StoreError> {
    let mut rooms = BTreeSet::new();
    for owner in store.owners().await? {
        for shard in 0..FEED_SHARDS {
            let mut after = None;
            while rooms.len() < ROOMS_MAX {
                let page = store.marks(owner.owner, shard, after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.thing);
                rooms.extend(page.iter().filter_map(|mark| match mark.thing {
                    Thing::Room(room) => Some(room),
                    Thing::User(_) | Thing::Job(_) => None,
                }));
            }
        }
    }
    Ok(rooms)
}

/// When the first entry of a room was appended that a consumer has not been given; `None` where it has all.
async fn oldest(store: &dyn Store, consumer: &Registered, room: RoomId) -> Result<Option<u64>, StoreError> {
    let cursors = store.cursors(room).await?.into_iter();
    let done =
        cursors.filter(|c| c.consumer == consumer.name && c.generation == consumer.generation).map(|c| c.seq).max();
    let next = done.unwrap_or(0) + 1;
    let range = Range { from: next, to: next, limit: 1, backwards: false };
    Ok(store.entries(room, range).await?.first().map(|entry| entry.at))
}

async fn replay(
    store: &dyn Store,
    config: &Config,
    name: &str,
    dry_run: bool,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let configured = consumer::configured(config).map_err(Failure::Other)?;
    let own = configured.iter().find(|consumer| consumer.name() == name);
    let missing =
        || Failure::Other(format!("the settings here do not name {name}, so that it can't be given anything"));
    let own = if dry_run { own } else { Some(own.ok_or_else(missing)?) };
    let (mut after, mut left) = (None, 0);
    loop {
        let page = store.dead(name, after, PAGE).await.map_err(failed)?;
        let Some(last) = page.last() else { break };
        after = Some((last.room, last.seq));
        for dead in &page {
            let (given, why) = match own.filter(|_| !dry_run) {
                Some(own) => give(store, own, dead).await.map_or_else(|why| (false, why), |()| (true, String::new())),
                None => (false, dead.reason.clone()),
            };
            left += usize::from(!given);
            let DeadLetter { room, seq, at, .. } = dead;
            writeln!(out, "{}", json!({"room": room, "seq": seq, "at": at, "given": given, "reason": why}))?;
        }
    }
    if left > 0 && !dry_run {
        return Err(Failure::Refused(format!("{left} of the entries were not taken; the lines above say why")));
    }
    Ok(())
}

async fn give(store: &dyn Store, consumer: &Arc<dyn Consumer>, dead: &DeadLetter) -> Result<(), String> {
    let range = Range { from: dead.seq, to: dead.seq, limit: 1, backwards: false };
    let entries = store.entries(dead.room, range).await.map_err(|error| error.to_string())?;
    if !entries.is_empty() {
        let page = Page { epoch: store.epoch(), room: dead.room, entries };
        match consumer.deliver(&page).await.map_err(|error| error.to_string())? {
            Delivered::All => {}
            Delivered::UpTo(seq) if seq >= dead.seq => {}
            Delivered::UpTo(_) | Delivered::Later(..) => return Err("it does not take the entry now".to_owned()),
        }
    }
    store.drop_dead(&dead.consumer, dead.room, dead.seq).await.map_err(|error| error.to_string())
}
