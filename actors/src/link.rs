//! One connection, between relays, rooms and its Session on one side and the socket on the other.
//!
//! Relays and rooms push complete frames into its outbox; the socket's task takes them and writes. The Session actor stands
//! beside this path, not in it. The link outlives a Session actor that crashes, and the next one goes on with it.

mod delivery;
mod liveness;
mod outbox;
mod requests;
mod slow_client;
mod token_expiry;

use std::sync::Arc;

use parlance_schema::entry::Entry;
use parlance_schema::frame::ReplyOutcome;
use parlance_schema::push::Push;
use parlance_schema::user::Principal;
use parlance_schema::{ClientId, Fault, RoomId};

pub use delivery::Delivery;
pub use liveness::{Liveness, ticks};
pub use outbox::{Outbox, Pushed, Taken};
pub use requests::Requests;

use crate::wire::{Asked, Wire};

/// One connection, as rooms, relays and its Session see it.
pub struct Link {
    /// The connection's id, unique on this node.
    pub id: u64,
    /// Who is connected.
    pub principal: Principal,
    /// How its frames look.
    pub wire: Arc<dyn Wire>,
    /// The one room that it is for; absent where it is for all rooms of its user.
    pub room: Option<RoomId>,
    /// What it gets, and what its being there does.
    pub delivery: Delivery,
    /// What waits to be written.
    pub outbox: Outbox,
    /// What waits for a reply.
    pub requests: Requests,
    /// Whether the client is there, and may be.
    pub liveness: Liveness,
    /// What came on it, where its entries are not pushed on it.
    sent: delivery::Sent,
}

impl Link {
    /// Makes the link of a new connection for all rooms of its user, as the native wires have it.
    #[must_use]
    pub fn new(id: u64, principal: Principal, wire: Arc<dyn Wire>, expires: u64) -> Arc<Self> {
        Self::serving(None, Delivery::NATIVE, id, principal, wire, expires)
    }

    /// Makes the link of a new connection: for one room, or for all rooms of its user.
    #[must_use]
    pub fn serving(
        room: Option<RoomId>,
        delivery: Delivery,
        id: u64,
        principal: Principal,
        wire: Arc<dyn Wire>,
        expires: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            principal,
            wire,
            room,
            delivery,
            outbox: Outbox::default(),
            requests: Requests::default(),
            liveness: Liveness::new(expires),
            sent: delivery::Sent::default(),
        })
    }

    /// Queues something that concerns this session only, and that it can't do without.
    pub fn push(&self, push: &Push) {
        if let Some(frame) = self.wire.push(push) {
            self.outbox.push(frame);
        }
    }

    /// Replies to a request, once: a second reply under the same id is dropped, and false is returned.
    pub fn reply(&self, asked: Asked, id: u64, outcome: &ReplyOutcome) -> bool {
        let frame = self.wire.reply(asked, outcome);
        let first = self.requests.end(id, || {
            if let Some(frame) = frame {
                self.outbox.push(frame);
            }
        });
        if first && let ReplyOutcome::Fault(fault) = outcome {
            self.requests.count_refusal(fault);
        }
        first
    }

    /// Refuses a request that was never begun. One reply carries a number, so where the number is in flight, the client is
    /// pushed the fault.
    pub fn refuse(&self, n: Option<u64>, fault: Fault) {
        self.requests.count_refusal(&fault);
        match self.requests.refusal(n, fault) {
            (Some(n), fault) => {
                if let Some(frame) = self.wire.reply(Asked { n, op: None }, &ReplyOutcome::Fault(fault)) {
                    self.outbox.push_raw(frame);
                }
            }
            (None, fault) => self.push(&Push::Fault { fault }),
        }
    }

    /// Notes that the socket is gone: nothing is queued any more, and what was is dropped.
    pub fn gone(&self) {
        self.outbox.gone();
        self.requests.end_all();
    }

    /// Notes a command that came on this connection, where its entry is not to be pushed on it.
    pub(crate) fn note_sent(&self, client_id: &ClientId) {
        if !self.delivery.echoes {
            self.sent.note(client_id);
        }
    }

    /// Whether an entry is passed over on this connection, as what it says came on it.
    pub(crate) fn passes_over(&self, entry: &Entry) -> bool {
        !self.delivery.echoes && entry.by == self.principal.user && self.sent.has(&entry.client_id)
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("id", &self.id).field("user", &self.principal.user).finish_non_exhaustive()
    }
}

/// What a socket hands its frames to: a Session, or `/dev/echo`.
pub trait Receiver: Send + 'static {
    /// A whole message came; text is valid UTF-8. Must not block.
    fn message(&mut self, link: &Arc<Link>, text: bool, payload: &[u8]);

    /// The outbox has room again after a room was behind.
    fn drained(&mut self, link: &Arc<Link>);

    /// The socket is gone; the last call.
    fn closed(&mut self, link: &Arc<Link>);
}

impl Receiver for Box<dyn Receiver> {
    fn message(&mut self, link: &Arc<Link>, text: bool, payload: &[u8]) {
        self.as_mut().message(link, text, payload);
    }

    fn drained(&mut self, link: &Arc<Link>) {
        self.as_mut().drained(link);
    }

    fn closed(&mut self, link: &Arc<Link>) {
        self.as_mut().closed(link);
    }
}
