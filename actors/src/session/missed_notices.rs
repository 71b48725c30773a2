//! Looking for what a session was not told, as news between nodes may be lost: rooms that its user was taken into, a token
//! that is void.

use std::sync::Arc;

use parlance_schema::notice::Notice;
use parlance_schema::{Code, Fault};
use ractor::ActorRef;

use super::actor::{Msg, State};
use super::registry::Registry;
use crate::link::Link;

impl State {
    /// Compares what is so with what this session knows.
    pub(super) fn sweep(&self, me: &ActorRef<Msg>) {
        let (sessions, link, me) = (self.sessions.clone(), self.link.clone(), me.clone());
        tokio::spawn(async move {
            if let Some(token) = link.liveness.token() {
                match sessions.node.shared.authority.check(&token, link.wire.index()).await {
                    Ok((principal, _)) if principal == link.principal => {}
                    Ok(_) => link
                        .outbox
                        .close_for(&Fault::new(Code::Revoked, "your account or its role has changed: log in again")),
                    Err(fault) if fault.code.http() == 401 => link.outbox.close_for(&fault),
                    // Whoever is to say can't just now.
                    Err(_) => {}
                }
            }
            new_rooms(sessions, link, me).await;
        });
    }
}

/// Finds the rooms that the user was taken into while nobody heard it.
pub(super) async fn new_rooms(sessions: Arc<Registry>, link: Arc<Link>, me: ActorRef<Msg>) {
    if !link.liveness.is_resumed() || link.outbox.is_closed() {
        return;
    }
    match sessions.node.shared.store.rooms_of(link.principal.user).await {
        Ok(rooms) => {
            for room in rooms.into_iter().filter(|room| !sessions.node.relays.serves(*room, link.id)) {
                let _ = me.cast(Msg::Notice(Notice::RoomAdded { room }));
            }
        }
        Err(error) => tracing::warn!(session = link.id, %error, "new rooms can't be looked for"),
    }
}
