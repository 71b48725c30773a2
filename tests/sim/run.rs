//! One run: a seed's nodes, clients and trouble, until all has come to rest, and what the checker says of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use parlance_actors::link::ticks;
use parlance_actors::node::Options;
use parlance_actors::service::{ActorView, Service};
use parlance_schema::{Fault, RoomId, limits};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::checker::feeds::{self, Followed};
use crate::checker::{Case, Log, Verdict, Wrong, judge};
use crate::client::{Client, Stage, USERS};
use crate::cluster::{Cluster, MODERATOR, Node, principal};
use crate::disk::{Disk, Switches};
use crate::faults::{Calm, FAIR, Plan, mend, trouble};
use crate::journal::{self, Journal, Line, Seen};
use crate::rng::Rng;
use crate::store::StoreFaults;
use crate::stranger;

/// Within so much time after the last trouble all clients must have everything.
const REST: Duration = Duration::from_secs(120);

/// What a run came to.
pub struct RunOutcome {
    pub seed: u64,
    pub plan: Plan,
    pub verdict: Verdict,
    pub seen: Vec<(u64, Seen)>,
    pub hash: u64,
    /// Milliseconds from the end of trouble until all clients had everything.
    pub rest_ms: Option<u64>,
}

impl RunOutcome {
    /// What to tell somebody who is to find out why it failed.
    pub fn report(&self) -> String {
        let mut text =
            format!("seed {} is wrong; `just sim-seed {}` runs it again\n{:?}\n", self.seed, self.seed, self.plan);
        for wrong in self.verdict.iter().take(20) {
            text.push_str(&format!("  * {}\n", wrong.what));
        }
        let room = self.verdict.iter().find_map(|wrong| wrong.room).unwrap_or_default();
        let lines = std::env::var("SIM_LINES").ok().and_then(|lines| lines.parse().ok()).unwrap_or(60);
        text.push_str(&journal::show(&self.seen, lines, |seen| match seen {
            Seen::Pushed { room: of, .. }
            | Seen::Paged { room: of, .. }
            | Seen::Resumed { room: of, .. }
            | Seen::Added { room: of, .. }
            | Seen::Gone { room: of, .. } => room == 0 || *of == room,
            Seen::Tried { what, .. } => room == 0 || what.room == room,
            _ => true,
        }));
        text
    }
}

/// Runs a seed to its end, on this thread.
pub fn run(seed: u64, switches: Switches) -> RunOutcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(Box::pin(run_in(seed, switches)))
}

async fn run_in(seed: u64, switches: Switches) -> RunOutcome {
    // The common origin of all links' clocks, before any run's clock moves.
    let _ = ticks();
    let rng = Rng::new(seed);
    let plan = Plan::new(&rng.fork("plan"));
    let journal = Arc::new(Journal::new());
    let options = Options { commands_per_s: 0, room_idle_ms: plan.room_idle_ms, ..Options::default() };
    let disk = Arc::new(Disk::new(switches));
    let world = (disk, journal.clone());
    let cluster = Cluster::start(plan.nodes, &rng, world, options, (StoreFaults::default(), FAIR)).await;
    let rooms = Arc::new(open_rooms(&cluster, &rng.fork("rooms")).await);
    let strange = stranger::open(&cluster, &rng.fork("strangers' rooms")).await;
    let stage = Arc::new(Stage::default());
    for user in 1..=USERS {
        let rng = rng.fork(&format!("user {user}"));
        tokio::spawn(Client::new(user, cluster.clone(), stage.clone(), rng).live());
    }
    sleep(Duration::from_millis(2_000)).await;
    *cluster.store_faults.lock().unwrap() = plan.store_faults;
    cluster.fabric.set_bus_faults(plan.bus_faults);
    cluster.destination.set(plan.whims);
    let until = Instant::now() + Duration::from_millis(plan.work_ms);
    if plan.calm != Calm::Wholly {
        tokio::spawn(stranger::live(cluster.clone(), rng.fork("stranger"), strange, until));
    }
    let watched = tokio::spawn(watch(cluster.clone(), stage.clone()));
    trouble(cluster.clone(), plan.clone(), &rng.fork("trouble"), rooms).await;
    mend(&cluster).await;
    stage.settling.store(true, SeqCst);
    let (rest_ms, mut verdict) = come_to_rest(&cluster, &stage).await;
    verdict.extend(watched.await.unwrap());
    let mut case = Case { calm: plan.calm, seen: Vec::new(), finals: BTreeMap::new(), messages: BTreeMap::new() };
    for room in journal.rooms() {
        let mut shown = Vec::new();
        for node in cluster.all() {
            shown.push(read_log(&node, room).await);
        }
        case.finals.insert(room, shown);
        case.messages.insert(room, read_messages(&cluster, room).await);
    }
    verdict.extend(emptied(&cluster).await);
    verdict.extend(never_given(&cluster).await);
    case.seen = journal.take();
    verdict.extend(judge(&case));
    verdict.extend(PANICS.take().into_iter().map(|what| Wrong { what, room: None }));
    let hash = journal::hash(&case.seen);
    RunOutcome { seed, plan, verdict, seen: case.seen, hash, rest_ms }
}

thread_local! {
    /// Panics of actors of the run on this thread that nobody asked for: a supervisor would make little of them.
    static PANICS: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Has panics noted rather than printed, but for those that actors are told to have.
pub fn note_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let words = info.payload();
            let text = words.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| words.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned());
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            if place.contains("tests/sim/main.rs") {
                usual(info);
            } else if !text.contains("was told to crash") {
                PANICS.with_borrow_mut(|panics| panics.push(format!("panic at {place}: {text}")));
            }
        }));
    });
}

/// Does something again and again until it is done.
pub async fn insist(cluster: &Cluster, user: u64, op: Value) -> Value {
    loop {
        for node in cluster.all() {
            if let Ok(answer) = perform(&node, user, op.clone()).await {
                return answer;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

pub async fn perform(node: &Node, user: u64, op: Value) -> Result<Value, Fault> {
    let answer = node.handle.perform(principal(user), serde_json::from_value(op).unwrap()).await?;
    Ok(json!(answer))
}

async fn open_rooms(cluster: &Cluster, rng: &Rng) -> Vec<u64> {
    let mut rooms = Vec::new();
    for owner in 1..=rng.between(1, 3) {
        let members: Vec<u64> = (1..=USERS).filter(|user| *user != owner && rng.chance(700)).collect();
        let history = if rng.chance(300) { "since_joined" } else { "all" };
        let create = json!({"op": "create", "kind": "group", "name": format!("Room {owner}"), "members": members,
            "history": history, "client_id": format!("room-{owner}")});
        let opened = insist(cluster, owner, create).await;
        let room = opened["id"].as_u64().unwrap();
        // Some are so long that what comes crosses into another bucket of the log, and pages are full.
        if rng.chance(100) {
            cluster.fill(RoomId::new(room), rng.between(900, 1_023)).await;
        }
        rooms.push(room);
    }
    rooms
}

/// Waits until every client has all of every room that it is in, and nothing left to do.
async fn come_to_rest(cluster: &Arc<Cluster>, stage: &Stage) -> (Option<u64>, Verdict) {
    let began = Instant::now();
    let mut missing = String::new();
    let mut end = began + REST;
    while Instant::now() < end {
        sleep(Duration::from_millis(500)).await;
        let behind = behind(cluster);
        match at_rest(cluster, stage, &behind).await {
            Ok(()) => return (Some(began.elapsed().as_millis() as u64), Verdict::new()),
            Err(what) => missing = what,
        }
        end = end.max(later(cluster, &behind));
    }
    let what = format!("{} ms after the last trouble: {missing}", began.elapsed().as_millis());
    (None, vec![Wrong { what, room: None }])
}

/// Until when to wait for what was left for later by a clock that was wrong: where a clock that is right looks for it, it comes as much
/// later.
fn later(cluster: &Cluster, behind: &[Wrong]) -> Instant {
    let waits = behind.iter().filter_map(|wrong| wrong.room).map(|room| cluster.until_last_due(RoomId::new(room)));
    let wait = waits.max().filter(|wait| !wait.is_zero());
    Instant::now() + wait.map_or(Duration::ZERO, |wait| wait + REST)
}

/// What consumers were not given although there was time for it: an append that was under way may land when all else is at rest.
async fn never_given(cluster: &Cluster) -> Verdict {
    let mut end = Instant::now() + REST;
    loop {
        let behind = behind(cluster);
        let all_came = cluster.disk.to_come.load(SeqCst) == 0;
        if (behind.is_empty() && all_came) || Instant::now() >= end {
            return behind;
        }
        end = end.max(later(cluster, &behind));
        sleep(Duration::from_millis(500)).await;
    }
}

/// What consumers were not given yet.
fn behind(cluster: &Cluster) -> Verdict {
    let mut behind = Verdict::new();
    feeds::judge(&followed(cluster), &cluster.disk.lasts(), &mut behind);
    behind
}

async fn at_rest(cluster: &Arc<Cluster>, stage: &Stage, behind: &[Wrong]) -> Result<(), String> {
    let idle = stage.idle();
    if let Some(user) = (1..=USERS).find(|user| !idle.contains_key(user)) {
        return Err(format!("user {user} waits for an answer, or for a connection"));
    }
    let node = cluster.node(0).ok_or("node 0 does not run")?;
    if let Some(first) = behind.first() {
        return Err(first.what.clone());
    }
    for room in cluster.journal.rooms() {
        let log = Log::new(&read_log(&node, room).await);
        for (user, places) in &idle {
            let has = places.get(&room).copied();
            let should = log.member(*user, log.last()).then(|| log.last());
            if has != should {
                return Err(format!("user {user} has {has:?} of room {room}, and should have {should:?}"));
            }
        }
    }
    Ok(())
}

/// What the consumers that are registered were given of every room.
pub fn followed(cluster: &Cluster) -> Vec<Followed> {
    let mut all = Vec::new();
    for consumer in cluster.disk.consumers() {
        let dead = cluster.disk.dead(&consumer.name, None, usize::MAX);
        for room in cluster.disk.lasts().into_keys() {
            let firsts = cluster.destination.firsts(&consumer.name, RoomId::new(room));
            let dead = dead.iter().filter(|dead| dead.room.get() == room).map(|dead| dead.seq).collect();
            all.push(Followed { consumer: consumer.name.clone(), room, firsts, dead });
        }
    }
    all
}

async fn read_log(node: &Node, room: u64) -> Vec<Line> {
    let items = pages(node, "entries", room).await;
    items.iter().map(Line::read).collect()
}

async fn read_messages(cluster: &Cluster, room: u64) -> Vec<Value> {
    match cluster.node(0) {
        Some(node) => pages(&node, "messages", room).await,
        None => Vec::new(),
    }
}

/// All pages of a room, oldest first, as a moderator reads them; what came until a page could not be read.
async fn pages(node: &Node, op: &str, room: u64) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    let mut tries = 0;
    loop {
        let after = all.last().map_or(0, |last| last["seq"].as_u64().unwrap_or_default());
        match perform(node, MODERATOR, json!({"op": op, "room": room, "after": after, "limit": 200})).await {
            Ok(page) => {
                all.extend(page["items"].as_array().into_iter().flatten().cloned());
                if page["more"] != true {
                    return all;
                }
            }
            Err(_) if tries < 50 => {
                tries += 1;
                sleep(Duration::from_millis(200)).await;
            }
            Err(_) => return all,
        }
    }
}

/// Looks now and then whether what must be bounded is, as long as there is work.
async fn watch(cluster: Arc<Cluster>, stage: Arc<Stage>) -> Verdict {
    let mut verdict = Verdict::new();
    while !stage.settling.load(SeqCst) {
        sleep(Duration::from_millis(2_500)).await;
        for node in cluster.all() {
            let bounds = [
                ("waiting", limits::ROOM_QUEUE_MAX as u64),
                ("appending", limits::APPEND_ENTRIES_MAX as u64),
                ("in_append", limits::APPEND_COMMANDS_MAX as u64),
                ("in_flight", limits::CREDITS as u64),
                ("outbox_bytes", 2 * limits::OUTBOX_BYTES_MAX as u64),
                // One entry more than fits may be in it.
                ("ring_bytes", 2 * limits::RING_BYTES_MAX as u64),
            ];
            verdict.extend(beyond(&node, &bounds).await);
        }
    }
    verdict
}

/// Soon after there is nothing to do, queues are empty.
async fn emptied(cluster: &Cluster) -> Verdict {
    let mut left = Verdict::new();
    for _ in 0..60 {
        left.clear();
        for node in cluster.all() {
            let queues = ["waiting", "in_append", "in_flight", "outbox_bytes"].map(|queue| (queue, 0));
            left.extend(beyond(&node, &queues).await);
        }
        if left.is_empty() {
            break;
        }
        sleep(Duration::from_millis(500)).await;
    }
    left
}

/// The actors of a node that have more of something than they may, by the pictures that they show of themselves.
async fn beyond(node: &Node, bounds: &[(&str, u64)]) -> Verdict {
    let over = |actor: &ActorView| bounds.iter().any(|(key, most)| actor.state[*key].as_u64() > Some(*most));
    let actors = node.handle.actors().await;
    let tell =
        |actor: &ActorView| format!("{} on node {} has {}, at most {bounds:?}", actor.path, node.at, actor.state);
    actors.iter().filter(|actor| over(actor)).map(|actor| Wrong { what: tell(actor), room: None }).collect()
}
