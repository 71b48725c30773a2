//! What most tests begin and end with: a server, rooms, clients in them, traffic, and the checker's word.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::checker;
use crate::client::Client;
use crate::journal::{Journal, read_log};
use crate::raw::{How, Raw};
use crate::server::{Server, Setup, User};
use crate::text::sentence;
use crate::traffic::Traffic;

/// Tests that measure run alone; the others beside each other.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// A test's share of the machine.
enum Turn {
    Beside { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

/// A server with its rooms and clients.
pub struct Stage {
    pub server: Server,
    pub users: Vec<User>,
    pub rooms: Vec<u64>,
    pub clients: Vec<Arc<Client>>,
    pub journals: PathBuf,
    _folder: TempDir,
    _turn: Turn,
}

/// A folder of one's own, and the set-up of a server on it.
pub fn folder() -> (TempDir, Setup) {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(&folder.path().join("data"));
    (folder, setup)
}

/// The same in memory, where there is such a folder: what else is written to the disk would show in each wait for a sync.
fn folder_in_memory() -> (TempDir, Setup) {
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else { return folder() };
    let setup = Setup::new(&folder.path().join("data"));
    (folder, setup)
}

impl Stage {
    /// Starts a server and makes `rooms` groups of `members` each, with one client per member, all of them connected.
    /// No user is in two rooms.
    pub async fn set(rooms: usize, members: usize) -> Self {
        Self::set_with(rooms, members, |setup| setup).await
    }

    /// The same for a test that measures: no other with a stage runs meanwhile.
    pub async fn set_alone(rooms: usize, members: usize, change: impl FnOnce(Setup) -> Setup) -> Self {
        let turn = Turn::Alone { _guard: MACHINE.write().await };
        Self::set_up(rooms, members, change, turn, folder_in_memory()).await
    }

    /// The same on a server that is set up in another way.
    pub async fn set_with(rooms: usize, members: usize, change: impl FnOnce(Setup) -> Setup) -> Self {
        let turn = Turn::Beside { _guard: MACHINE.read().await };
        Self::set_up(rooms, members, change, turn, folder()).await
    }

    async fn set_up(
        rooms: usize,
        members: usize,
        change: impl FnOnce(Setup) -> Setup,
        turn: Turn,
        (folder, setup): (TempDir, Setup),
    ) -> Self {
        let setup = change(setup);
        let users = setup.users(rooms * members);
        let server = setup.start().await;
        let journals = folder.path().join("journals");
        std::fs::create_dir(&journals).unwrap();
        let mut stage =
            Self { server, users, rooms: Vec::new(), clients: Vec::new(), journals, _folder: folder, _turn: turn };
        for (at, users) in stage.users.chunks(members).enumerate() {
            let mut owner = Raw::ready(stage.server.address(), &users[0].token).await;
            let others: Vec<u64> = users[1..].iter().map(|user| user.id).collect();
            stage.rooms.push(owner.create(&format!("room {at}"), &others).await);
        }
        for (at, user) in stage.users.iter().enumerate() {
            // Every third speaks the other wire.
            let how = How { msgpack: at % 3 == 2, ..How::default() };
            stage.clients.push(Arc::new(Client::start(stage.server.address(), user, &stage.journals, how)));
        }
        for (at, client) in stage.clients.iter().enumerate() {
            let room = stage.rooms[at / members];
            client.until("the first resume", |state| state.positions.contains_key(&room)).await;
        }
        stage
    }

    /// The clients of a room.
    pub fn of_room(&self, at: usize) -> &[Arc<Client>] {
        let members = self.clients.len() / self.rooms.len();
        &self.clients[at * members..(at + 1) * members]
    }

    /// Has the first `senders` of each room send all the time, until the traffic is stopped.
    pub fn traffic(&self, senders: usize) -> Traffic {
        self.traffic_of(senders, 1)
    }

    /// The same with messages of so many sentences.
    pub fn traffic_of(&self, senders: usize, sentences: usize) -> Traffic {
        let mut traffic = Traffic::default();
        for (at, room) in self.rooms.iter().copied().enumerate() {
            for client in &self.of_room(at)[..senders] {
                let (client, stop) = (client.clone(), traffic.told());
                traffic.spawn(async move {
                    let mut count = 0;
                    while !stop.load(Ordering::Relaxed) {
                        client.send(room, &sentence(count).repeat(sentences));
                        count += 1;
                        client.until("room for another message", |state| state.unacked() < 8).await;
                    }
                    client.until("the last acknowledgements", |state| state.unacked() == 0).await;
                });
            }
        }
        traffic
    }

    /// Messages that were acknowledged so far.
    pub fn acked(&self) -> u64 {
        self.clients.iter().map(|client| client.see(|state| state.acked)).sum()
    }

    /// Waits until some more messages were acknowledged.
    pub async fn acked_more(&self, more: u64) {
        let goal = self.acked() + more;
        let first = self.clients.len() / self.rooms.len();
        while self.acked() < goal {
            let before = self.clients[0].see(|state| state.acked);
            // Every room has senders; one of them moves.
            for at in (0..self.clients.len()).step_by(first) {
                let before = if at == 0 { before } else { self.clients[at].see(|state| state.acked) };
                self.clients[at].until("an acknowledgement", |state| state.acked > before).await;
                if self.acked() >= goal {
                    return;
                }
            }
        }
    }

    /// Waits until everybody has what is in the rooms, reads the logs, and has the checker judge; returns its counts.
    pub async fn judge(self) -> Value {
        let (journals, folder, _server) = self.close().await;
        let counts = checker::holds(&journals);
        drop(folder);
        counts
    }

    /// The same up to the checker: the journals are complete and closed.
    pub async fn close(self) -> (PathBuf, TempDir, Server) {
        let Self { server, rooms, clients, journals, _folder: folder, users, _turn } = self;
        let members = clients.len() / rooms.len();
        let mut log = Journal::new(&journals, "log", 0);
        for (at, room) in rooms.iter().enumerate() {
            let mut reader = Raw::ready(server.address(), &users[at * members].token).await;
            let last = read_log(&mut reader, *room, &mut log).await;
            for client in &clients[at * members..(at + 1) * members] {
                client.until("the room's last entry", |state| state.seq(*room) == last).await;
            }
        }
        log.end();
        for client in clients {
            Arc::into_inner(client).expect("nobody else has the client").stop().await;
        }
        (journals, folder, server)
    }
}
