//! Presence: who is online, told to those who share a room with them.
//!
//! Owns: nothing but the pace; who is connected stands in the [`Table`], which sessions write themselves. Receives: users
//! whose connections changed, other nodes' news. Emits: presence on the subjects of their rooms, news to the other nodes.
//! Going offline waits a while, so that a connection that comes back at once is no news. Restarted by [`crate::node`].
//!
//! A user's status is the most present one of all nodes. Their rooms are told by the node on which it changed; for users whose
//! node has died, by the one survivor that a hash names.

mod remote;
mod told;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use dashmap::DashMap;
use parlance_schema::event::{Ephemeral, Status};
use parlance_schema::node::NodeId;
use parlance_schema::{Millis, UserId};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use crate::node::Shared;
use crate::ports::bus::{NodeEvent, PresenceNews, RoomEvent, Subscription};
use remote::Others;

/// A user's connections to this node.
#[derive(Default)]
struct Online {
    sessions: Vec<(u64, Status)>,
    /// What the others were told last.
    told: Status,
    /// When the last connection ended; absent while there is one.
    left: Option<Instant>,
}

impl Online {
    fn status(&self) -> Status {
        best(self.sessions.iter().map(|(_, status)| *status))
    }
}

/// Do not disturb on one device counts for all; else the most present one.
fn best(all: impl Iterator<Item = Status>) -> Status {
    let rank = |status: &Status| match status {
        Status::Offline => 0,
        Status::Away => 1,
        Status::Online => 2,
        Status::DoNotDisturb => 3,
    };
    all.max_by_key(rank).unwrap_or_default()
}

/// Who is connected, to this node and to others.
#[derive(Default)]
pub(crate) struct Table {
    users: DashMap<UserId, Online>,
    pub(crate) others: Others,
    /// Whether there are other nodes, who are told of changes.
    shared: AtomicBool,
    /// Users whose connections changed since the last news.
    changed: Mutex<BTreeSet<UserId>>,
    /// The number of the last news.
    number: AtomicU64,
    actor: RwLock<Option<ActorRef<Msg>>>,
}

impl Table {
    /// A session began.
    pub(crate) fn join(&self, user: UserId, session: u64) {
        self.change(user, |online| {
            if !online.sessions.iter().any(|(id, _)| *id == session) {
                online.sessions.push((session, Status::Online));
            }
        });
    }

    /// A session ended.
    pub(crate) fn leave(&self, user: UserId, session: u64) {
        self.change(user, |online| online.sessions.retain(|(id, _)| *id != session));
    }

    /// A session's user chose a status.
    pub(crate) fn set(&self, user: UserId, session: u64, status: Status) {
        self.change(user, |online| {
            online.sessions.iter_mut().filter(|(id, _)| *id == session).for_each(|(_, s)| *s = status);
        });
    }

    /// Chooses a status for all of a user's sessions; false where there is none.
    pub(crate) fn set_all(&self, user: UserId, status: Status) -> bool {
        let mut any = false;
        self.change(user, |online| {
            any = !online.sessions.is_empty();
            online.sessions.iter_mut().for_each(|(_, s)| *s = status);
        });
        any
    }

    /// The user's status now.
    pub(crate) fn status(&self, user: UserId) -> Status {
        let here = self.users.get(&user).map(|online| online.status()).unwrap_or_default();
        best([here, self.others.status(user)].into_iter())
    }

    /// Connections of a user.
    pub(crate) fn sessions(&self, user: UserId) -> usize {
        self.users.get(&user).map_or(0, |online| online.sessions.len()) + self.others.connections(user)
    }

    /// Everybody who is connected here, as of the last news or later.
    pub(crate) fn snapshot(&self, incarnation: u64) -> PresenceNews {
        // The number first: what is newer than it is told once more.
        let number = self.number.load(Ordering::Acquire);
        let here = self.users.iter().filter(|online| !online.sessions.is_empty());
        let mut users: Vec<_> =
            here.map(|online| (*online.key(), online.status(), online.sessions.len() as u32)).collect();
        users.sort_unstable_by_key(|(user, ..)| *user);
        PresenceNews { incarnation, number, users }
    }

    /// A user's status and connections here, for news.
    fn here(&self, user: UserId) -> (UserId, Status, u32) {
        let online = self.users.get(&user);
        online.map_or((user, Status::Offline, 0), |online| (user, online.status(), online.sessions.len() as u32))
    }

    fn changed(&self) -> MutexGuard<'_, BTreeSet<UserId>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the user's last connection ended; 0 while there is one.
    fn gone_for(&self, user: UserId) -> u64 {
        let left = self.users.get(&user).and_then(|online| online.left);
        left.map_or(0, |left| u64::try_from(left.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Users with a connection.
    pub(crate) fn len(&self) -> usize {
        self.users.iter().filter(|online| !online.sessions.is_empty()).count()
    }

    fn change(&self, user: UserId, change: impl FnOnce(&mut Online)) {
        let elsewhere = self.others.status(user);
        let news = {
            // What other nodes told of the user is known.
            let mut online = self.users.entry(user).or_insert_with(|| Online { told: elsewhere, ..Online::default() });
            change(&mut online);
            online.left = online.sessions.is_empty().then(|| online.left.unwrap_or_else(Instant::now));
            best([online.status(), elsewhere].into_iter()) != online.told
        };
        // Who is not connected, and isn't thought to be, need not be known.
        self.users.remove_if(&user, |_, online| online.sessions.is_empty() && online.told == elsewhere);
        if self.shared.load(Ordering::Acquire) {
            self.changed().insert(user);
        }
        if news && let Some(actor) = &*self.actor.read().unwrap_or_else(PoisonError::into_inner) {
            let _ = actor.cast(Msg::Changed(user));
        }
    }
}

/// The Presence actor.
pub(crate) struct Presence;

/// What Presence can be told.
pub(crate) enum Msg {
    /// A user's status may be another one.
    Changed(UserId),
    /// A user had no connection a while ago.
    Settle(UserId),
    /// Another node's news.
    News(NodeId, PresenceNews),
    /// All of another node's users, where it answered.
    Snapshot(NodeId, Option<PresenceNews>),
    /// The nodes in view are others.
    Viewed,
    /// Users whose node had died a while ago.
    Bereaved(Vec<UserId>),
    /// Tells the other nodes what changed.
    Flush,
    /// Tells the other nodes the number of the last news.
    Beat,
}

/// Presence's state.
pub(crate) struct State {
    shared: Arc<Shared>,
    /// Nodes whose users are being asked for.
    asking: BTreeSet<NodeId>,
    _bus: Subscription,
}

impl Actor for Presence {
    type Msg = Msg;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, me: ActorRef<Msg>, shared: Arc<Shared>) -> Result<State, ActorProcessingErr> {
        *shared.presence.actor.write().unwrap_or_else(PoisonError::into_inner) = Some(me.clone());
        let sink = me.clone();
        let bus = shared.bus.subscribe_nodes(Arc::new(move |(from, event)| {
            let NodeEvent::Presence(news) = event;
            let _ = sink.cast(Msg::News(from, news));
        }));
        let (mut view, to) = (shared.cluster.watch(), me.clone());
        tokio::spawn(async move { while view.changed().await.is_ok() && to.cast(Msg::Viewed).is_ok() {} });
        // What changed while there was no actor is told now.
        let mut users: Vec<_> = shared.presence.users.iter().map(|online| *online.key()).collect();
        users.sort_unstable();
        for user in users {
            let _ = me.cast(Msg::Changed(user));
        }
        let _ = me.cast(Msg::Viewed);
        me.send_interval(told::FLUSH, || Msg::Flush);
        me.send_interval(told::BEAT, || Msg::Beat);
        Ok(State { shared, asking: BTreeSet::new(), _bus: bus })
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let shared = &state.shared;
        match msg {
            Msg::Changed(user) if shared.presence.status(user) == Status::Offline => {
                let wait = Duration::from_millis(shared.options.offline_after_ms);
                me.send_after(wait, move || Msg::Settle(user));
            }
            Msg::Changed(user) => tell(shared, user, None),
            // Who came and went again meanwhile has a later one on its way.
            Msg::Settle(user) if shared.presence.gone_for(user) >= shared.options.offline_after_ms => {
                tell(shared, user, Some(shared.clock.now()));
                shared.presence.users.remove_if(&user, |_, online| online.sessions.is_empty());
            }
            Msg::Settle(_) => {}
            Msg::News(from, news) => state.news(&me, from, &news),
            Msg::Snapshot(from, all) => state.snapshot(&me, from, all),
            Msg::Viewed => state.viewed(&me),
            Msg::Bereaved(users) => state.bereaved(users),
            Msg::Flush => state.flush(),
            Msg::Beat => state.beat(),
        }
        Ok(())
    }
}

/// Tells the members of a user's rooms, if it is news.
fn tell(shared: &Arc<Shared>, user: UserId, last_seen: Option<Millis>) {
    {
        let elsewhere = shared.presence.others.status(user);
        let Some(mut online) = shared.presence.users.get_mut(&user) else { return };
        let status = best([online.status(), elsewhere].into_iter());
        if online.told == status {
            return;
        }
        online.told = status;
    }
    publish(shared, user, last_seen);
}

/// Tells the members of a user's rooms how they are now.
fn publish(shared: &Arc<Shared>, user: UserId, last_seen: Option<Millis>) {
    let shared = shared.clone();
    tokio::spawn(async move {
        if let Some(at) = last_seen
            && shared.presence.status(user) == Status::Offline
            && let Err(error) = shared.store.seen(&[(user, at)]).await
        {
            tracing::info!(%user, %error, "last seen not written");
        }
        match shared.store.rooms_of(user).await {
            Ok(rooms) => {
                // What is news by now: whichever of two looks takes longer, the latest status is told last.
                let told = shared.presence.users.get(&user).map(|online| online.told);
                let status = told.unwrap_or_else(|| shared.presence.status(user));
                let last_seen = last_seen.filter(|_| status == Status::Offline);
                for room in rooms {
                    let event = Ephemeral::Presence { room, user, status, last_seen };
                    shared.bus.publish_room(room, RoomEvent::Ephemeral(event));
                }
            }
            Err(error) => tracing::info!(%user, %error, "presence not told"),
        }
    });
}
