//! Presence: who is online, told to those who share a room with them.
//!
//! Owns: nothing but the pace; who is connected stands in the registry, which sessions write themselves. Receives: users
//! whose connections changed, other nodes' news. Emits: presence on the subjects of their rooms, news to the other nodes.
//! Going offline waits a while, so that a connection that comes back at once is no news. Restarted by [`crate::node`].
//!
//! A user's status is the most present one of all nodes. Their rooms are told by the node on which it changed; for users whose
//! node has died, by the one survivor that a hash names.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use parlance_schema::node::NodeId;
use parlance_schema::push::Ephemeral;
use parlance_schema::user::Status;
use parlance_schema::{Millis, UserId};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::gossip;
use super::registry::{Registry, best};
use crate::ports::bus::{NodeEvent, PresenceNews, RoomEvent, Subscription};
use crate::shared::Shared;

/// The Presence actor.
pub(crate) struct Presence;

/// What Presence can be told.
pub(crate) enum Msg {
    /// A user's status may be another one.
    Changed(UserId),
    /// A user had no connection a while ago.
    OfflineDue(UserId),
    /// Another node's news.
    News(NodeId, PresenceNews),
    /// All of another node's users, where it answered.
    Snapshot(NodeId, Option<PresenceNews>),
    /// The nodes in view are others.
    Viewed,
    /// Users whose node had died a while ago.
    LostNode(Vec<UserId>),
    /// Tells the other nodes what changed.
    Flush,
    /// Tells the other nodes the number of the last news.
    Beat,
}

/// Presence's state.
pub(crate) struct State {
    pub(super) shared: Arc<Shared>,
    pub(super) online: Arc<Registry>,
    /// Nodes whose users are being asked for.
    pub(super) asking: BTreeSet<NodeId>,
    pub(super) _bus: Subscription,
}

impl Actor for Presence {
    type Msg = Msg;
    type State = State;
    type Arguments = (Arc<Shared>, Arc<Registry>);

    async fn pre_start(&self, me: ActorRef<Msg>, args: Self::Arguments) -> Result<State, ActorProcessingErr> {
        let (shared, online) = args;
        *online.actor.write().unwrap_or_else(PoisonError::into_inner) = Some(me.clone());
        let sink = me.clone();
        let bus = shared.bus.subscribe_nodes(Arc::new(move |(from, event)| {
            let NodeEvent::Presence(news) = event;
            let _ = sink.cast(Msg::News(from, news));
        }));
        let (mut view, to) = (shared.cluster.watch(), me.clone());
        tokio::spawn(async move { while view.changed().await.is_ok() && to.cast(Msg::Viewed).is_ok() {} });
        // What changed while there was no actor is told now.
        let mut users: Vec<_> = online.users.iter().map(|online| *online.key()).collect();
        users.sort_unstable();
        for user in users {
            let _ = me.cast(Msg::Changed(user));
        }
        let _ = me.cast(Msg::Viewed);
        me.send_interval(gossip::FLUSH, || Msg::Flush);
        me.send_interval(gossip::BEAT, || Msg::Beat);
        Ok(State { shared, online, asking: BTreeSet::new(), _bus: bus })
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let State { shared, online, .. } = &*state;
        match msg {
            Msg::Changed(user) if online.status(user) == Status::Offline => {
                let wait = Duration::from_millis(shared.options.offline_after_ms);
                me.send_after(wait, move || Msg::OfflineDue(user));
            }
            Msg::Changed(user) => tell(shared, online, user, None),
            // Who came and went again meanwhile has a later one on its way.
            Msg::OfflineDue(user) if online.gone_for(user) >= shared.options.offline_after_ms => {
                tell(shared, online, user, Some(shared.clock.now()));
                online.users.remove_if(&user, |_, online| online.sessions.is_empty());
            }
            Msg::OfflineDue(_) => {}
            Msg::News(from, news) => state.news(&me, from, &news),
            Msg::Snapshot(from, all) => state.snapshot(&me, from, all),
            Msg::Viewed => state.viewed(&me),
            Msg::LostNode(users) => state.announce_lost(users),
            Msg::Flush => state.flush(),
            Msg::Beat => state.beat(),
        }
        Ok(())
    }
}

/// Tells the members of a user's rooms, if it is news.
fn tell(shared: &Arc<Shared>, online: &Arc<Registry>, user: UserId, last_seen: Option<Millis>) {
    {
        let elsewhere = online.others.status(user);
        let Some(mut user_here) = online.users.get_mut(&user) else { return };
        let status = best([user_here.status(), elsewhere].into_iter());
        if user_here.announced == status {
            return;
        }
        user_here.announced = status;
    }
    publish(shared, online, user, last_seen);
}

/// Tells the members of a user's rooms how they are now.
pub(super) fn publish(shared: &Arc<Shared>, online: &Arc<Registry>, user: UserId, last_seen: Option<Millis>) {
    let (shared, online) = (shared.clone(), online.clone());
    tokio::spawn(async move {
        if let Some(at) = last_seen
            && online.status(user) == Status::Offline
            && let Err(error) = shared.store.seen(&[(user, at)]).await
        {
            tracing::info!(%user, %error, "last seen not written");
        }
        match shared.store.rooms_of(user).await {
            Ok(rooms) => {
                // What is news by now: whichever of two looks takes longer, the latest status is told last.
                let announced = online.users.get(&user).map(|online| online.announced);
                let status = announced.unwrap_or_else(|| online.status(user));
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
