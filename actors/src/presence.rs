//! Presence: who is online, told to those who share a room with them.
//!
//! Owns: nothing but the pace; who is connected stands in the [`Table`], which sessions write themselves. Receives: users
//! whose connections changed. Emits: presence on the subjects of their rooms. Going offline waits a while, so that a
//! connection that comes back at once is no news. Restarted by [`crate::node`].

use std::sync::{Arc, RwLock};
use std::time::Duration;

use dashmap::DashMap;
use parlance_schema::event::{Ephemeral, Status};
use parlance_schema::{Millis, UserId};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use crate::node::Shared;
use crate::ports::bus::RoomEvent;

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
        // Do not disturb on one device counts for all; else the most present one.
        let rank = |status: Status| match status {
            Status::Offline => 0,
            Status::Away => 1,
            Status::Online => 2,
            Status::DoNotDisturb => 3,
        };
        self.sessions.iter().map(|(_, status)| *status).max_by_key(|status| rank(*status)).unwrap_or_default()
    }
}

/// Who is connected to this node.
#[derive(Default)]
pub(crate) struct Table {
    users: DashMap<UserId, Online>,
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
        self.users.get(&user).map(|online| online.status()).unwrap_or_default()
    }

    /// Connections of a user.
    pub(crate) fn sessions(&self, user: UserId) -> usize {
        self.users.get(&user).map_or(0, |online| online.sessions.len())
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
        let news = {
            let mut online = self.users.entry(user).or_default();
            change(&mut online);
            online.left = online.sessions.is_empty().then(|| online.left.unwrap_or_else(Instant::now));
            online.status() != online.told
        };
        // Who is not connected, and isn't thought to be, need not be known.
        self.users.remove_if(&user, |_, online| online.sessions.is_empty() && online.told == Status::Offline);
        if news && let Some(actor) = &*self.actor.read().unwrap_or_else(std::sync::PoisonError::into_inner) {
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
}

impl Actor for Presence {
    type Msg = Msg;
    type State = Arc<Shared>;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, me: ActorRef<Msg>, shared: Arc<Shared>) -> Result<Arc<Shared>, ActorProcessingErr> {
        *shared.presence.actor.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(me.clone());
        // What changed while there was no actor is told now.
        let mut users: Vec<_> = shared.presence.users.iter().map(|online| *online.key()).collect();
        users.sort_unstable();
        for user in users {
            let _ = me.cast(Msg::Changed(user));
        }
        Ok(shared)
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, shared: &mut Arc<Shared>) -> Result<(), ActorProcessingErr> {
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
        }
        Ok(())
    }
}

/// Tells the members of a user's rooms, if it is news.
fn tell(shared: &Arc<Shared>, user: UserId, last_seen: Option<Millis>) {
    {
        let Some(mut online) = shared.presence.users.get_mut(&user) else { return };
        let status = online.status();
        if online.told == status {
            return;
        }
        online.told = status;
    }
    let shared = shared.clone();
    tokio::spawn(async move {
        if let Some(at) = last_seen
            && let Err(error) = shared.store.seen(&[(user, at)]).await
        {
            tracing::info!(%user, %error, "last seen not written");
        }
        match shared.store.rooms_of(user).await {
            Ok(rooms) => {
                // What is news by now: whichever of two looks takes longer, the latest status is told last.
                let status = shared.presence.users.get(&user).map_or(Status::Offline, |online| online.told);
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
