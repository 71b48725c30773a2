//! What the others tell relays and ask of them, and what they may know of who is subscribed.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlance_schema::user::Principal;
use parlance_schema::view::{BanView, MemberView, OpenInvite};
use parlance_schema::{Fault, RoomId, Seq, TenantId};
use tokio::sync::oneshot;

use super::actor::{Back, From, Msg, Sub};
use super::asker::Asker;
use super::registry::{Registry, RelaySeat, lock};
use super::subscribing::Wish;
use super::views::View;
use crate::link::Link;
use crate::service::ActorView;
use crate::supervise;

/// Subscriptions.
impl Registry {
    /// Has a session get a room's entries, from its go ([`Registry::start`]) on.
    ///
    /// # Errors
    /// When the relay can't be reached; the asker is told nothing then.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        room: RoomId,
        link: Arc<Link>,
        from: From,
        asker: Asker,
    ) -> Result<(), Fault> {
        self.tell(room, Msg::Subscribe(Box::new(Wish { link, from, asker })))
    }

    /// Has a session's subscription begin. It is noted on the seat, so that a crash of the relay can't lose it.
    pub(crate) fn start(&self, room: RoomId, session: u64) {
        if let Some(seat) = self.seats.get(&room).map(|seat| seat.clone()) {
            lock(&seat.subs).iter_mut().filter(|sub| sub.link.id == session).for_each(Sub::start);
            let _ = seat.actor().cast(Msg::CatchUp { session });
        }
    }

    /// The session's outbox has room again, or its Session is a new one: what it missed is queued.
    pub(crate) fn catch_up(&self, room: RoomId, session: u64) {
        self.tell_open(room, Msg::CatchUp { session });
    }

    /// Ends a session's subscription.
    pub(crate) fn unsubscribe(&self, room: RoomId, session: u64) {
        self.tell_open(room, Msg::Unsubscribe { session });
    }

    /// Ends the subscriptions of a session that wait for its go, where whoever was to give it is dead.
    pub(crate) fn end_waiting(&self, session: u64) {
        for slot in &self.seats {
            lock(&slot.subs).retain(|sub| sub.link.id != session || sub.started());
        }
    }

    /// The rooms that a session is subscribed to; for a Session that takes a crashed one's place.
    pub(crate) fn rooms_of_session(&self, session: u64) -> Vec<RoomId> {
        let has = |seat: &RelaySeat| lock(&seat.subs).iter().any(|sub| sub.link.id == session && sub.started());
        let mut rooms: Vec<_> = self.seats.iter().filter(|slot| has(slot.value())).map(|slot| *slot.key()).collect();
        rooms.sort_unstable();
        rooms
    }

    /// Whether a session gets a room's entries, or is about to.
    pub(crate) fn serves(&self, room: RoomId, session: u64) -> bool {
        self.seats.get(&room).is_some_and(|seat| lock(&seat.subs).iter().any(|sub| sub.link.id == session))
    }

    /// Connections by room, of a tenant's rooms that have any.
    pub(crate) fn connections(&self, tenant: TenantId) -> BTreeMap<RoomId, u64> {
        let theirs = self.seats.iter().filter(|slot| slot.tenant.get() == Some(&tenant));
        let counts =
            theirs.map(|slot| (*slot.key(), lock(&slot.subs).iter().filter(|sub| sub.started()).count() as u64));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

async fn answered<T>(answer: oneshot::Receiver<Result<T, Fault>>) -> Result<T, Fault> {
    answer.await.map_err(|_| Fault::busy("the room is being reloaded: send the request again in a moment").after(50))?
}

/// What is asked of a room.
impl Registry {
    async fn ask<T>(self: &Arc<Self>, room: RoomId, question: impl FnOnce(Back<T>) -> Msg) -> Result<T, Fault> {
        let (back, answer) = oneshot::channel();
        self.tell(room, question(back))?;
        answered(answer).await
    }

    /// The room as somebody sees it. It is asked at once, so that many can be asked before the first answer is waited for.
    pub(crate) fn view(
        self: &Arc<Self>,
        room: RoomId,
        who: Principal,
    ) -> impl Future<Output = Result<Box<View>, Fault>> + use<> {
        let (back, answer) = oneshot::channel();
        let told = self.tell(room, Msg::View { who, back });
        async move {
            told?;
            answered(answer).await
        }
    }

    /// The members as somebody sees them.
    pub(crate) async fn members(self: &Arc<Self>, room: RoomId, who: Principal) -> Result<Vec<MemberView>, Fault> {
        self.ask(room, |back| Msg::Members { who, back }).await
    }

    /// The bans that hold, for those who may lift them.
    pub(crate) async fn bans(self: &Arc<Self>, room: RoomId, who: Principal) -> Result<Vec<BanView>, Fault> {
        self.ask(room, |back| Msg::Bans { who, back }).await
    }

    /// The open invites, for those who may withdraw them.
    pub(crate) async fn invites(self: &Arc<Self>, room: RoomId, who: Principal) -> Result<Vec<OpenInvite>, Fault> {
        self.ask(room, |back| Msg::Invites { who, back }).await
    }

    /// The first number that somebody may read, and the last there is.
    ///
    /// # Errors
    /// `not_found` for those who may read nothing.
    pub(crate) async fn access(self: &Arc<Self>, room: RoomId, who: Principal) -> Result<(Seq, Seq), Fault> {
        self.ask(room, |back| Msg::Access { who, back }).await
    }

    /// Tells the others that somebody is writing, or stopped.
    pub(crate) async fn typing(self: &Arc<Self>, room: RoomId, who: Principal, on: bool) -> Result<(), Fault> {
        self.ask(room, |back| Msg::Typing { who, on, back }).await
    }

    /// Marks everything up to a number as read.
    pub(crate) async fn mark(self: &Arc<Self>, room: RoomId, who: Principal, seq: Seq) -> Result<(), Fault> {
        self.ask(room, |back| Msg::Mark { who, seq, back }).await
    }
}

/// What relays that are open are told of their logs.
impl Registry {
    /// A command of this node's came to the entry with this number: answers wait until it is here.
    pub(crate) fn expect(&self, room: RoomId, seq: Seq) {
        self.tell_open(room, Msg::Expect(seq));
    }

    /// The log ends at this number, at least.
    pub(crate) fn heard_last(&self, room: RoomId, last: Seq) {
        self.tell_open(room, Msg::Heard(last));
    }

    /// The bus has come back: what was published meanwhile was missed.
    pub(crate) fn reconnected(&self, room: RoomId) {
        self.tell_open(room, Msg::Reconnected);
    }
}

/// For operators, and tests of supervision.
impl Registry {
    /// The rooms that are relayed here, in order.
    pub(crate) fn rooms(&self) -> Vec<RoomId> {
        self.all().into_iter().map(|(room, _)| room).collect()
    }

    /// Whether a room is relayed here.
    pub(crate) fn is_open(&self, room: RoomId) -> bool {
        self.get(room).is_some()
    }

    /// Ends a room's relay, by a panic or by killing it. False when there is none.
    pub(crate) fn end(&self, room: RoomId, panic: bool) -> bool {
        supervise::end(self.get(room), panic.then_some(Msg::Crash))
    }

    /// Shows the states of relays, at most `count`.
    pub(crate) async fn inspect(&self, count: usize) -> Vec<ActorView> {
        let mut views = Vec::new();
        for (room, actor) in self.all().into_iter().take(count) {
            views.push(supervise::inspect(format!("relays/{room}"), actor, Msg::Inspect).await);
        }
        views
    }
}
