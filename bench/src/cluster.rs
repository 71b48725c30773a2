//! Nodes of a cluster that are measured: on one CQL server, and, where they are several, on one NATS server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parlance_domain::placement;
use parlance_schema::RoomId;
use parlance_schema::node::NodeId;

use crate::child::Child;
use crate::keyspace::Keyspace;
use crate::rows::{Bench, Server};
use crate::servers::Servers;
use crate::world::{Room, User};
use crate::{Failure, http, native};

/// Nodes of a cluster.
pub const NODES: usize = 3;
/// The lease of a node: its default.
pub const LEASE: Duration = Duration::from_secs(5);
/// Clients a second that a node lets go when it drains.
pub const RECONNECTS_PER_S: u32 = 200;
/// Longest time until all nodes are ready and know each other.
const READY: Duration = Duration::from_secs(60);
/// Longest time that a command which prepares the store may take.
const PREPARING: Duration = Duration::from_secs(120);
/// Rooms that may be made until there are enough with the home that is wanted.
const ROOMS_MAX: usize = 2_000;

/// Nodes that run.
pub struct Cluster {
    /// The nodes.
    pub nodes: Vec<Server>,
    /// Users that are in no room yet.
    pub users: Vec<User>,
    ids: Vec<NodeId>,
    _keyspace: Keyspace,
}

impl Cluster {
    /// Makes users, starts so many nodes, and waits until each is ready and knows all.
    ///
    /// # Errors
    /// When they don't become ready.
    pub fn start(bench: &Bench, servers: &Servers, nodes: usize, users: usize) -> Result<Self, Failure> {
        let binary = bench.server.as_deref().ok_or_else(|| Failure::new("only the ceilings are measured"))?;
        let folder = bench.scratch.fresh("cluster")?;
        let number = bench.next();
        let keyspace = Keyspace::of(&servers.cql, format!("{}_{number}", bench.keyspace));
        let keys = folder.join("keys");
        run(bench, &folder, binary, &["keys", "rotate", "--data", &keys.display().to_string()])?;
        let ids: Vec<NodeId> = (0..nodes).map(node_id).collect::<Result<_, _>>()?;
        let settings = |at: usize| {
            let nats = (nodes > 1).then_some(servers.nats.as_str());
            write_settings(&folder, at, number, (&servers.cql, keyspace.name()), nats)
        };
        let config = settings(0)?.display().to_string();
        let (count, prefix) = (users.to_string(), format!("bench{}x{number}x", std::process::id()));
        let seed = ["user", "seed", "--config", &config, "--count", &count, "--prefix", &prefix];
        let users = native::users(&run(bench, &folder, binary, &seed)?)?;
        let mut started = Vec::new();
        for at in 0..nodes {
            let args = ["--config".to_owned(), settings(at)?.display().to_string()];
            let folder = folder.join(format!("node-{at}"));
            std::fs::create_dir(&folder)?;
            started.push(bench.start_in(&folder, binary, &args, false)?);
        }
        let cluster = Self { nodes: started, users, ids, _keyspace: keyspace };
        cluster.settle()?;
        Ok(cluster)
    }

    fn settle(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + READY;
        let all = self.nodes.len() as u64;
        let ready = |node: &Server| -> Result<bool, Failure> {
            // The metric is there once the node has heard of others.
            let knows_all = || native::metric(node.addr, "parlance_nodes").is_ok_and(|nodes| nodes == all);
            Ok(http::ask(node.addr, "GET", "/health/ready", None, None)?.status == 200 && (all == 1 || knows_all()))
        };
        for node in &self.nodes {
            while !ready(node)? {
                if Instant::now() > deadline {
                    return Err(Failure::new("the nodes don't find each other"));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// The node that a room is at home on, as a place among the nodes.
    pub fn home(&self, room: &Room) -> usize {
        let home = placement::home(RoomId::new(room.id), self.ids.iter());
        self.ids.iter().position(|id| Some(id) == home).unwrap_or_default()
    }

    /// Opens a group of these users.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn open(&self, members: Vec<usize>) -> Result<Room, Failure> {
        native::create(self.nodes[0].addr, &self.users, members, "Bench")
    }

    /// Opens rooms that are at home on a node, one for each of these lists of members. All belong to the last user, who is
    /// in none of the lists.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn open_at(&self, home: usize, rooms: &[Vec<usize>]) -> Result<Vec<Room>, Failure> {
        let (addr, owner) = (self.nodes[0].addr, self.users.len() - 1);
        let mut opened = Vec::with_capacity(rooms.len());
        for _ in 0..ROOMS_MAX {
            let Some(members) = rooms.get(opened.len()) else { return Ok(opened) };
            let room = self.open(vec![owner])?;
            if self.home(&room) == home {
                let last = native::add(addr, &self.users[owner], room.id, &self.users, members)?;
                opened.push(Room { last, members: members.clone(), ..room });
            }
        }
        Err(Failure::new("too few rooms are at home on a node"))
    }

    /// Ends the nodes, and waits until they have.
    ///
    /// # Errors
    /// When one doesn't in time.
    pub fn stop(self) -> Result<(), Failure> {
        self.nodes.into_iter().try_for_each(|node| node.child.stop())
    }
}

fn node_id(at: usize) -> Result<NodeId, Failure> {
    format!("bench-{at}").parse().map_err(|e| Failure::new(format!("a node's name: {e}")))
}

fn run(bench: &Bench, folder: &Path, binary: &Path, words: &[&str]) -> Result<Vec<String>, Failure> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Child::start(bench.server_core, folder, binary, &words)?.output(PREPARING)
}

/// Writes a node's settings. Each cluster has a name of its own, so that none meets the leases of one that was before.
fn write_settings(
    folder: &Path,
    at: usize,
    number: u32,
    (cql, keyspace): (&str, &str),
    nats: Option<&str>,
) -> Result<PathBuf, Failure> {
    let (path, keys, data) =
        (folder.join(format!("node-{at}.toml")), folder.join("keys/keys.json"), folder.join("data"));
    let (keys, data) = (keys.display(), data.display());
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[data]\ndir = \"{data}-{at}\"\n\
         [store]\nkind = \"scylla\"\n[store.scylla]\nnodes = [\"{cql}\"]\nkeyspace = \"{keyspace}\"\nreplicas = 1\n\
         [cluster]\nname = \"bench-{}-{number}\"\nnode = \"bench-{at}\"\nlease_ms = {}\n\
         [auth]\nkeys_file = \"{keys}\"\n[limits]\nreconnects_per_s = {RECONNECTS_PER_S}\n",
        std::process::id(),
        LEASE.as_millis(),
    );
    if let Some(nats) = nats {
        // Writing to a string can't fail.
        let _ = write!(text, "[nats]\nservers = [\"{nats}\"]\nrequired = true\n");
    }
    std::fs::write(&path, text)?;
    Ok(path)
}
