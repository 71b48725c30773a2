//! A good client: it keeps its positions, comes back by itself, and sends what is not acknowledged again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::journal::{Journal, micros};
use crate::raw::{Got, How, PATIENCE, Raw};
use crate::server::User;

/// Messages that may be in flight.
const WINDOW: usize = 16;
/// Within so long every request has its reply, while its connection lives.
const REPLY_DEADLINE: Duration = Duration::from_secs(20);
/// The same where there are other servers to go to, and it is no server's fault that it hangs.
const ROAMING_DEADLINE: Duration = Duration::from_secs(4);
/// The number of the first request of a connection, which resumes.
const RESUME: u64 = 1;

/// A message on its way.
struct Outgoing {
    room: u64,
    client_id: String,
    text: String,
    attempts: u64,
    flying: bool,
}

/// Where a client is in a room.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Position {
    pub epoch: u64,
    pub seq: u64,
    pub append: Option<u64>,
}

/// What a client knows.
pub struct State {
    pub positions: BTreeMap<u64, Position>,
    pub resets: u64,
    pub connections: u64,
    pub acked: u64,
    /// The highest number that was acknowledged in any room.
    pub acked_seq: u64,
    pub refused: Vec<String>,
    pub closes: Vec<u16>,
    /// The present connection's id.
    pub session: Option<u64>,
    /// Milliseconds that the server asked to wait.
    pub slots: Vec<u64>,
    /// Room, when it was sent and how long it took, in microseconds, of each message that was delivered.
    pub latencies: Vec<(u64, u64, u64)>,
    hang_up: bool,
    outgoing: Vec<Outgoing>,
    journal: Journal,
    made: u64,
}

impl State {
    /// Messages that are not acknowledged yet.
    pub fn unacked(&self) -> usize {
        self.outgoing.len()
    }

    /// Whether a message is not acknowledged yet.
    pub fn waits(&self, client_id: &str) -> bool {
        self.outgoing.iter().any(|message| message.client_id == client_id)
    }

    /// The last number in a room.
    pub fn seq(&self, room: u64) -> u64 {
        self.positions.get(&room).map_or(0, |position| position.seq)
    }
}

/// A client that runs by itself.
pub struct Client {
    pub user: User,
    state: Arc<Mutex<State>>,
    changed: watch::Receiver<()>,
    wake: mpsc::UnboundedSender<()>,
    task: JoinHandle<()>,
}

impl Client {
    /// Starts a client that writes its journal in a folder.
    pub fn start(address: SocketAddr, user: &User, journals: &std::path::Path, how: How) -> Self {
        Self::roaming(vec![address], user, journals, how)
    }

    /// Starts one that knows several servers, and goes to the next one when one doesn't let it in, or keeps it waiting.
    pub fn roaming(addresses: Vec<SocketAddr>, user: &User, journals: &std::path::Path, how: How) -> Self {
        let state = Arc::new(Mutex::new(State {
            positions: BTreeMap::new(),
            resets: 0,
            connections: 0,
            acked: 0,
            acked_seq: 0,
            refused: Vec::new(),
            closes: Vec::new(),
            session: None,
            slots: Vec::new(),
            latencies: Vec::new(),
            hang_up: false,
            outgoing: Vec::new(),
            journal: Journal::new(journals, &user.name, user.id),
            made: 0,
        }));
        let (change, changed) = watch::channel(());
        let (wake, woken) = mpsc::unbounded_channel();
        let run = Run { addresses, at: 0, token: user.token.clone(), how, state: state.clone(), change, woken };
        Self { user: user.clone(), state, changed, wake, task: tokio::spawn(run.run()) }
    }

    /// Looks at what the client knows.
    pub fn see<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    /// Waits until something holds.
    pub async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        self.until_for(PATIENCE, what, holds).await;
    }

    /// The same with another patience.
    pub async fn until_for(&self, patience: Duration, what: &str, holds: impl Fn(&State) -> bool) {
        let mut changed = self.changed.clone();
        let waited = timeout(patience, async {
            while !holds(&self.state.lock().unwrap()) {
                changed.changed().await.expect("the client runs");
            }
        });
        if waited.await.is_err() {
            let state = self.state.lock().unwrap();
            let (at, unacked) = (&state.positions, state.unacked());
            panic!("{}: {what} took too long; at {at:?}, {unacked} unacknowledged", self.user.name);
        }
    }

    /// Queues a message; it is sent, again where needed, until it is acknowledged or refused. Returns its client id.
    pub fn send(&self, room: u64, text: &str) -> String {
        let mut state = self.state.lock().unwrap();
        state.made += 1;
        let client_id = format!("{}-{}", self.user.name, state.made);
        let text = format!("{text} #{}", micros());
        state.outgoing.push(Outgoing { room, client_id: client_id.clone(), text, attempts: 0, flying: false });
        drop(state);
        let _ = self.wake.send(());
        client_id
    }

    /// Drops the present connection without a word, to come back at once.
    pub fn hang_up(&self) {
        self.state.lock().unwrap().hang_up = true;
        let _ = self.wake.send(());
    }

    /// Ends the client and its journal.
    pub async fn stop(self) {
        drop(self.wake);
        timeout(PATIENCE, self.task).await.expect("a client ends in time").expect("a client ends well");
        self.state.lock().unwrap().journal.end();
    }
}

/// The client's task.
struct Run {
    addresses: Vec<SocketAddr>,
    /// Which one it is at.
    at: usize,
    token: String,
    how: How,
    state: Arc<Mutex<State>>,
    change: watch::Sender<()>,
    woken: mpsc::UnboundedReceiver<()>,
}

/// What is going on on one connection.
struct Flights {
    conn: u64,
    next: u64,
    resumed: bool,
    /// Requests without a reply: the message's client id, and when it was sent.
    flying: BTreeMap<u64, (String, Instant)>,
    /// Nothing is sent before: the server asked for it.
    hold: Option<Instant>,
}

impl Run {
    async fn run(mut self) {
        let mut pause = Duration::from_millis(5);
        loop {
            let address = self.addresses[self.at % self.addresses.len()];
            if let Ok(Ok(mut raw)) = timeout(self.patience(), Raw::connect(address, &self.token, self.how)).await {
                pause = Duration::from_millis(5);
                if self.connection(&mut raw).await.is_break() {
                    return;
                }
                self.at += 1;
                continue;
            }
            self.at += 1;
            tokio::select! {
                () = sleep(pause) => {}
                woken = self.woken.recv() => if woken.is_none() { return },
            }
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    /// How long one server may keep it waiting, where there is another.
    fn patience(&self) -> Duration {
        if self.addresses.len() > 1 { Duration::from_secs(2) } else { PATIENCE }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.lock().unwrap());
        self.change.send_replace(());
        changed
    }

    /// Lives on one connection; `Break` when the client is to end.
    async fn connection(&mut self, raw: &mut Raw) -> ControlFlow<()> {
        let session = raw.hello["session"].as_u64();
        let conn = self.change(|state| {
            state.connections += 1;
            state.session = session;
            let conn = state.connections;
            state.journal.note(json!({"ev": "connect", "conn": conn}));
            conn
        });
        let mut flights = Flights { conn, next: RESUME, resumed: false, flying: BTreeMap::new(), hold: None };
        self.resume(raw, &mut flights).await;
        let ended = self.exchange(raw, &mut flights).await;
        self.change(|state| {
            state.outgoing.iter_mut().for_each(|o| o.flying = false);
            state.session = None;
            state.journal.note(json!({"ev": "disconnect", "conn": conn}));
        });
        ended
    }

    async fn exchange(&mut self, raw: &mut Raw, flights: &mut Flights) -> ControlFlow<()> {
        loop {
            if flights.hold.is_some_and(|until| until <= Instant::now()) && flights.flying.is_empty() {
                flights.hold = None;
                if !flights.resumed {
                    self.resume(raw, flights).await;
                }
            }
            if !self.pump(raw, flights).await {
                return ControlFlow::Continue(());
            }
            let overdue = flights.flying.values().map(|(_, at)| *at + self.reply_deadline()).min();
            let hold = flights.hold.filter(|_| flights.flying.is_empty());
            let wait = hold.or(overdue).unwrap_or_else(|| Instant::now() + PATIENCE);
            tokio::select! {
                got = raw.incoming() => match got {
                    Got::Frame(frame) => self.frame(flights, &frame),
                    Got::Close(code) => {
                        self.change(|state| state.closes.push(code));
                        return ControlFlow::Continue(());
                    }
                    Got::Gone => return ControlFlow::Continue(()),
                },
                woken = self.woken.recv() => {
                    if woken.is_none() {
                        return ControlFlow::Break(());
                    }
                    if std::mem::take(&mut self.state.lock().unwrap().hang_up) {
                        return ControlFlow::Continue(());
                    }
                }
                () = sleep_until(wait) => if !self.overdue(flights) { return ControlFlow::Continue(()) },
            }
        }
    }

    /// Within so long a reply must come; one who knows other servers doesn't wait for one that hangs.
    fn reply_deadline(&self) -> Duration {
        if self.addresses.len() > 1 { ROAMING_DEADLINE } else { REPLY_DEADLINE }
    }

    /// Whether all replies are in time; notes those that are not.
    fn overdue(&self, flights: &Flights) -> bool {
        if self.addresses.len() > 1 {
            return !flights.flying.values().any(|(_, at)| at.elapsed() >= ROAMING_DEADLINE);
        }
        let late = flights.flying.iter().filter(|(_, (_, at))| at.elapsed() >= REPLY_DEADLINE);
        let late: Vec<u64> = late.map(|(n, _)| *n).collect();
        self.change(|state| {
            for n in &late {
                state.journal.note(json!({"ev": "unanswered", "n": n}));
            }
        });
        late.is_empty()
    }

    async fn resume(&mut self, raw: &mut Raw, flights: &mut Flights) {
        let positions: serde_json::Map<String, Value> = self.change(|state| {
            let position = |p: &Position| match p.append {
                Some(append) => json!({"epoch": p.epoch, "seq": p.seq, "append": append}),
                None => json!({"epoch": p.epoch, "seq": p.seq}),
            };
            state.positions.iter().map(|(room, p)| (room.to_string(), position(p))).collect()
        });
        let n = flights.next;
        flights.next += 1;
        flights.flying.insert(n, (String::new(), Instant::now()));
        raw.say(&json!({"n": n, "op": "resume", "positions": positions})).await;
    }

    /// Sends what may be sent; false when the connection is gone.
    async fn pump(&mut self, raw: &mut Raw, flights: &mut Flights) -> bool {
        while flights.resumed && flights.hold.is_none() && flights.flying.len() < WINDOW {
            let n = flights.next;
            let conn = flights.conn;
            let next = self.change(|state| {
                let message = state.outgoing.iter_mut().find(|o| !o.flying)?;
                message.flying = true;
                message.attempts += 1;
                let (room, id) = (message.room, message.client_id.clone());
                let request = json!({"n": n, "op": "send", "room": room, "client_id": id,
                    "content": {"text": message.text}});
                let attempt = message.attempts;
                state.journal.note(json!({"ev": "send", "room": room, "client_id": id, "conn": conn,
                    "attempt": attempt}));
                Some((id, request))
            });
            let Some((id, request)) = next else { return true };
            flights.next += 1;
            flights.flying.insert(n, (id, Instant::now()));
            if !raw.say(&request).await {
                return false;
            }
        }
        true
    }

    fn frame(&self, flights: &mut Flights, frame: &Value) {
        match (frame["re"].as_u64(), frame["push"].as_str()) {
            (Some(n), _) => {
                let Some((client_id, _)) = flights.flying.remove(&n) else {
                    panic!("a reply to nothing that was asked: {frame}");
                };
                match frame.get("fault") {
                    Some(fault) => self.fault(flights, &client_id, fault),
                    None if client_id.is_empty() => {
                        flights.resumed = true;
                        self.resumed(&frame["ok"]);
                    }
                    None => self.acked(&client_id, &frame["ok"]),
                }
            }
            (None, Some(push)) => self.push(push, frame),
            (None, None) => panic!("neither a reply nor a push: {frame}"),
        }
    }

    fn fault(&self, flights: &mut Flights, client_id: &str, fault: &Value) {
        if fault["retry"] == "later" {
            let pause = Duration::from_millis(fault["retry_after_ms"].as_u64().unwrap_or(50).max(1));
            flights.hold = flights.hold.max(Some(Instant::now() + pause));
            self.change(|state| {
                state.outgoing.iter_mut().filter(|o| o.client_id == client_id).for_each(|o| o.flying = false);
            });
            return;
        }
        assert!(!client_id.is_empty(), "a resume was refused: {fault}");
        self.change(|state| {
            let at = state.outgoing.iter().position(|o| o.client_id == client_id).expect("a message");
            let room = state.outgoing.remove(at).room;
            let code = fault["code"].as_str().unwrap().to_owned();
            state.journal.note(json!({"ev": "refused", "room": room, "client_id": client_id, "code": code}));
            state.refused.push(code);
        });
    }

    fn acked(&self, client_id: &str, done: &Value) {
        self.change(|state| {
            let at = state.outgoing.iter().position(|o| o.client_id == client_id).expect("a message");
            let room = state.outgoing.remove(at).room;
            state.acked += 1;
            state.acked_seq = state.acked_seq.max(done["seq"].as_u64().unwrap());
            let (seq, again) = (&done["seq"], &done["again"]);
            assert_eq!(done["room"], room);
            state.journal.note(json!({"ev": "ack", "room": room, "client_id": client_id, "seq": seq, "again": again}));
        });
    }

    fn resumed(&self, answer: &Value) {
        self.change(|state| {
            for room in answer["resumed"].as_array().unwrap() {
                let (id, epoch, from) =
                    (room["room"].as_u64().unwrap(), room["epoch"].as_u64().unwrap(), room["from"].as_u64().unwrap());
                state.journal.note(json!({"ev": "resume", "room": id, "from": from, "last": room["last"],
                    "outcome": room["outcome"]}));
                let fresh = Position { epoch, seq: from, append: None };
                match room["outcome"].as_str().unwrap() {
                    "gone" => drop(state.positions.remove(&id)),
                    "live" => drop(state.positions.entry(id).or_insert(fresh)),
                    "reset" => {
                        state.resets += 1;
                        state.positions.insert(id, fresh);
                    }
                    other => panic!("no such outcome here: {other}"),
                }
            }
        });
    }

    fn push(&self, push: &str, frame: &Value) {
        let room = frame["room"].as_u64().unwrap_or(0);
        self.change(|state| match push {
            "entry" => {
                let entry = &frame["entry"];
                state.journal.entry("push", room, entry);
                let position = state.positions.entry(room).or_default();
                position.seq = entry["seq"].as_u64().unwrap();
                position.append = entry["append"].as_u64();
                let text = entry["content"]["text"].as_str().unwrap_or_default();
                if let Some(sent) = text.rsplit_once('#').and_then(|(_, sent)| sent.parse::<u64>().ok()) {
                    state.latencies.push((room, sent, micros().saturating_sub(sent)));
                }
            }
            "room_added" | "reset" => {
                let from = frame["from"].as_u64().unwrap();
                let epoch = frame["epoch"].as_u64().unwrap();
                state.resets += u64::from(push == "reset");
                state.journal.note(json!({"ev": "added", "room": room, "from": from}));
                state.positions.insert(room, Position { epoch, seq: from, append: None });
            }
            "room_gone" => {
                state.journal.note(json!({"ev": "gone", "room": room}));
                state.positions.remove(&room);
            }
            "reconnect" => state.slots.push(frame["after_ms"].as_u64().unwrap()),
            _ => {}
        });
    }
}
