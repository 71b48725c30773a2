//! A client: keeps its positions, sends what it wants done until it is told what became of it, comes back wherever a node
//! lets it in, and writes down all that it sees.

mod act;
mod conn;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, Node};
use crate::journal::{Came, Line, Seen, Try};
use crate::rng::Rng;
pub use act::USERS;
use conn::{Conn, Wait};

/// How long a client waits for an answer on a connection that is open, in milliseconds.
const PATIENCE_MS: u64 = 40_000;

/// What all clients are told, and what they tell.
#[derive(Default)]
pub struct Stage {
    /// No new work: what is begun is brought to its end.
    pub settling: AtomicBool,
    /// Each client with nothing left to do has its last number of each room here.
    pub idle: Mutex<BTreeMap<u64, BTreeMap<u64, u64>>>,
}

impl Stage {
    pub fn idle(&self) -> BTreeMap<u64, BTreeMap<u64, u64>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A place in a log, as the client keeps it between connections.
#[derive(Clone, Debug)]
struct Place {
    epoch: u64,
    seq: u64,
    append: Option<u64>,
}

/// Something that the client wants done.
#[derive(Debug)]
struct Todo {
    client_id: String,
    room: u64,
    op: Value,
    /// Whether an answer is waited for on this connection.
    sent: bool,
    /// Not before.
    after: Instant,
}

pub struct Client {
    user: u64,
    cluster: Arc<Cluster>,
    stage: Arc<Stage>,
    rng: Rng,
    places: BTreeMap<u64, Place>,
    /// Messages that were seen: number and sender, the latest last.
    posts: BTreeMap<u64, Vec<(u64, u64)>>,
    todo: Vec<Todo>,
    count: u64,
    /// Whether this connection's resume was answered.
    resumed: bool,
    /// Reads nothing until then.
    slow_until: Instant,
}

impl Client {
    pub fn new(user: u64, cluster: Arc<Cluster>, stage: Arc<Stage>, rng: Rng) -> Self {
        Self {
            user,
            cluster,
            stage,
            rng,
            places: BTreeMap::new(),
            posts: BTreeMap::new(),
            todo: Vec::new(),
            count: 0,
            resumed: false,
            slow_until: Instant::now(),
        }
    }

    /// Lives until the run ends.
    pub async fn live(mut self) {
        loop {
            let nodes: Vec<Arc<Node>> =
                self.cluster.all().into_iter().filter(|node| !node.leaving.load(SeqCst)).collect();
            let node = self.rng.pick(&nodes).cloned();
            let conn = match node {
                Some(node) if !node.gate.is_paused() => Conn::open(&self.cluster, node, self.user).await,
                _ => None,
            };
            let Some(mut conn) = conn else {
                self.pause(200, 800).await;
                continue;
            };
            self.see(Seen::Connected { conn: conn.id, user: self.user, node: conn.node.at });
            let back_after = self.serve(&mut conn).await;
            self.hang_up(&mut conn);
            sleep(Duration::from_millis(back_after)).await;
        }
    }

    fn see(&self, seen: Seen) {
        self.cluster.journal.write(seen);
    }

    async fn pause(&self, from_ms: u64, to_ms: u64) {
        sleep(Duration::from_millis(self.rng.between(from_ms, to_ms))).await;
    }

    fn in_ms(&self, from: u64, to: u64) -> Instant {
        Instant::now() + Duration::from_millis(self.rng.between(from, to))
    }

    /// Serves a connection to its end; the milliseconds after which to come back.
    async fn serve(&mut self, conn: &mut Conn) -> u64 {
        self.resumed = false;
        self.resume(conn);
        let leave_at = self.in_ms(1_000, 20_000);
        let mut next = self.in_ms(5, 200);
        let mut unheard = None;
        loop {
            let now = Instant::now();
            if now < self.slow_until {
                tokio::time::sleep_until(self.slow_until.min(now + Duration::from_millis(500))).await;
                conn.link.liveness.heard(parlance_actors::link::ticks());
            } else {
                conn.wait(next).await;
            }
            if conn.node.gate.is_dead() {
                return self.rng.between(50, 1_500);
            }
            if conn.node.gate.is_paused() {
                let since = *unheard.get_or_insert_with(Instant::now);
                if since.elapsed() > Duration::from_millis(self.rng.between(1_000, 6_000)) {
                    return 50;
                }
                self.pause(50, 150).await;
                continue;
            }
            unheard = None;
            if Instant::now() >= self.slow_until {
                for frame in conn.read() {
                    if let Some(wait) = self.frame(conn, &frame) {
                        return wait;
                    }
                }
                if conn.closed.is_some() {
                    return self.rng.between(20, 500);
                }
            }
            self.complain(conn);
            let settling = self.stage.settling.load(SeqCst);
            if Instant::now() >= next {
                if self.resumed {
                    self.push_on(conn);
                    if !settling {
                        self.act(conn);
                    }
                }
                next = self.in_ms(10, 400);
            }
            if !settling && Instant::now() >= leave_at {
                return self.rng.between(0, 1_000);
            }
            self.report(settling);
        }
    }

    /// Tells whether there is nothing left to do.
    fn report(&self, settling: bool) {
        let mut idle = self.stage.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if settling && self.resumed && self.todo.is_empty() {
            idle.insert(self.user, self.places.iter().map(|(room, place)| (*room, place.seq)).collect());
        } else {
            idle.remove(&self.user);
        }
    }

    /// Notes requests that were not answered in time.
    fn complain(&self, conn: &mut Conn) {
        let late = Duration::from_millis(PATIENCE_MS);
        let unanswered: Vec<u64> =
            conn.waits.iter().filter(|(_, (_, since))| since.elapsed() > late).map(|(n, _)| *n).collect();
        for n in unanswered {
            conn.waits.remove(&n);
            self.see(Seen::Unanswered { conn: conn.id, n });
        }
    }

    fn hang_up(&mut self, conn: &mut Conn) {
        for (wait, _) in std::mem::take(&mut conn.waits).into_values() {
            if let Wait::Try(id, _) = wait {
                self.see(Seen::Answered { id, came: Came::Nothing });
            }
        }
        self.see(Seen::Closed { conn: conn.id, code: conn.closed });
        conn.end();
        self.todo.iter_mut().for_each(|todo| todo.sent = false);
        self.stage.idle.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.user);
    }

    fn resume(&self, conn: &mut Conn) {
        let positions: serde_json::Map<String, Value> = self
            .places
            .iter()
            .map(|(room, place)| {
                let mut position = json!({"epoch": place.epoch, "seq": place.seq});
                if let Some(append) = place.append {
                    position["append"] = append.into();
                }
                (room.to_string(), position)
            })
            .collect();
        let had = self.places.iter().map(|(room, place)| (*room, place.seq)).collect();
        conn.ask(json!({"op": "resume", "positions": positions}), Wait::Resume(had));
    }

    /// Sends what is due, in the order in which it was wanted.
    fn push_on(&mut self, conn: &mut Conn) {
        let now = Instant::now();
        for at in 0..self.todo.len() {
            if !self.todo[at].sent && self.todo[at].after <= now {
                self.todo[at].sent = true;
                let Todo { client_id, room, op, .. } = &self.todo[at];
                let what = Try { user: self.user, room: *room, client_id: client_id.clone(), op: op.clone() };
                let id = self.cluster.journal.next("tries");
                self.see(Seen::Tried { conn: conn.id, id, what });
                let wait = Wait::Try(id, client_id.clone());
                conn.ask(op.clone(), wait);
            }
        }
    }

    /// Takes a frame; a wait where it says to come back later.
    fn frame(&mut self, conn: &mut Conn, frame: &Value) -> Option<u64> {
        if let Some(n) = frame["re"].as_u64() {
            let Some((wait, _)) = conn.waits.remove(&n) else {
                self.see(Seen::Stray { conn: conn.id, n });
                return None;
            };
            return self.reply(conn, wait, frame);
        }
        let (conn, user, room) = (conn.id, self.user, frame["room"].as_u64().unwrap_or_default());
        match frame["push"].as_str().unwrap_or_default() {
            "entry" => {
                let line = Line::read(&frame["entry"]);
                if line.fact == "posted" {
                    self.posts.entry(room).or_default().push((line.seq, line.by));
                }
                if let Some(place) = self.places.get_mut(&room) {
                    (place.seq, place.append) = (line.seq, Some(line.append));
                }
                self.see(Seen::Pushed { conn, user, room, line });
            }
            "room_added" => {
                let (epoch, from) =
                    (frame["epoch"].as_u64().unwrap_or_default(), frame["from"].as_u64().unwrap_or_default());
                self.places.insert(room, Place { epoch, seq: from, append: None });
                self.see(Seen::Added { conn, user, room, from });
            }
            "room_gone" => {
                self.places.remove(&room);
                self.see(Seen::Gone { conn, user, room });
            }
            "reset" => {
                let from = frame["from"].as_u64().unwrap_or_default();
                self.see(Seen::Resumed { conn, user, room, had: None, from, last: from, outcome: "reset".into() });
            }
            "reconnect" => return Some(frame["after_ms"].as_u64().unwrap_or_default()),
            _ => {}
        }
        None
    }

    fn reply(&mut self, conn: &mut Conn, wait: Wait, frame: &Value) -> Option<u64> {
        let fault = frame.get("fault");
        match wait {
            Wait::Resume(had) => match fault {
                Some(fault) => {
                    self.cluster.journal.note(format!("user {}: resume refused: {fault}", self.user));
                    // Anew, on another connection perhaps.
                    return Some(fault["retry_after_ms"].as_u64().unwrap_or(500).min(2_000));
                }
                None => self.stand(conn, &had, &frame["ok"]["resumed"]),
            },
            Wait::Try(id, client_id) => {
                let came = came(frame);
                self.see(Seen::Answered { id, came: came.clone() });
                self.told(&client_id, &came, fault);
            }
            Wait::Page(room) => self.paged(room, frame),
            Wait::Other => {}
        }
        None
    }

    fn paged(&self, room: u64, frame: &Value) {
        if let Some(items) = frame["ok"]["items"].as_array() {
            self.see(Seen::Paged { user: self.user, room, lines: items.iter().map(Line::read).collect() });
        }
    }

    /// Takes in where each room stands.
    fn stand(&mut self, conn: &Conn, had: &BTreeMap<u64, u64>, resumed: &Value) {
        self.resumed = true;
        for resumed in resumed.as_array().into_iter().flatten() {
            let number = |key: &str| resumed[key].as_u64().unwrap_or_default();
            let (room, from) = (number("room"), number("from"));
            let outcome = resumed["outcome"].as_str().unwrap_or_default().to_owned();
            if outcome == "gone" {
                self.places.remove(&room);
            } else {
                let append = self.places.get(&room).filter(|place| place.seq == from).and_then(|place| place.append);
                self.places.insert(room, Place { epoch: number("epoch"), seq: from, append });
            }
            let (had, last) = (had.get(&room).copied(), number("last"));
            self.see(Seen::Resumed { conn: conn.id, user: self.user, room, had, from, last, outcome });
        }
    }

    /// Notes what became of something that the client wants done.
    fn told(&mut self, client_id: &str, came: &Came, fault: Option<&Value>) {
        let Some(at) = self.todo.iter().position(|todo| todo.client_id == client_id) else { return };
        match came {
            Came::Fault { retry, .. } if retry == "later" => {
                let ms = fault.and_then(|fault| fault["retry_after_ms"].as_u64()).unwrap_or(1_000);
                let after = self.in_ms(ms.min(2_000), ms.min(2_000) + 300);
                let todo = &mut self.todo[at];
                (todo.sent, todo.after) = (false, after);
            }
            _ => drop(self.todo.remove(at)),
        }
    }
}

/// What a reply says that a try came to.
fn came(frame: &Value) -> Came {
    if let Some(fault) = frame.get("fault") {
        let text = |key: &str| fault[key].as_str().unwrap_or_default().to_owned();
        return Came::Fault { code: text("code"), retry: text("retry") };
    }
    let ok = &frame["ok"];
    let number = |key: &str| ok[key].as_u64().unwrap_or_default();
    if ok.get("seq").is_none() {
        return Came::Opened { room: number("id") };
    }
    let again = ok["again"].as_bool().unwrap_or_default();
    Came::Done { room: number("room"), seq: number("seq"), at: number("at"), id: number("id"), again }
}
