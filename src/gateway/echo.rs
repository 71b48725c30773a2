//! `/dev/echo`: sends every message back through the gateway's own socket code, for public conformance suites.
//!
//! It is mounted only when asked for. Nothing but the receiver differs from a session's connection.

use std::sync::Arc;

use parlance_actors::link::{Link, Receiver};
use parlance_actors::wire::{Opcode, frame};
use parlance_schema::UserId;
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::limits::ID_MAX;
use parlance_schema::user::{Principal, Role};
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

use super::handshake::{Handshake, NotUpgraded, handshake};
use super::native;

/// Bytes of a message here; the suites' largest have 16 MiB.
pub const ECHO_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Sends back what it gets.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

impl Receiver for Echo {
    fn message(&mut self, link: &Arc<Link>, text: bool, payload: &[u8]) {
        link.outbox.push_raw(frame(if text { Opcode::Text } else { Opcode::Binary }, payload));
    }

    fn drained(&mut self, _: &Arc<Link>) {}

    fn closed(&mut self, _: &Arc<Link>) {}
}

/// The route `/dev/echo`.
pub fn route() -> impl Filter<Extract = (Response,), Error = Rejection> + Clone {
    warp::path!("dev" / "echo").and(handshake()).map(answer)
}

fn answer(handshake: Result<Handshake, NotUpgraded>) -> Response {
    match handshake {
        Ok(handshake) => handshake.accept(None, ECHO_BYTES_MAX, || {
            // Nobody: a reader without a room.
            let nobody = Principal { user: UserId::new(ID_MAX), tenant: TENANT_DEFAULT, role: Role::Readonly };
            (Link::new(0, nobody, Arc::new(native::Json), u64::MAX), Echo)
        }),
        Err(refused) => refused.into_response(),
    }
}
