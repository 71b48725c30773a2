//! What comes in on a connection: decoded, counted, and given to whoever does it.

use std::sync::Arc;

use parlance_domain::rate::Rate;
use parlance_schema::Fault;
use ractor::ActorRef;

use super::actor::Msg;
use super::command_rate;
use super::registry::Registry;
use super::reply_deadlines::limit_command;
use crate::link::{Link, Receiver, ticks};
use crate::mailbox::Counted;
use crate::ops::{self, Plan};
use crate::room::{Ask, Forward, ReplyTo};
use crate::wire::Asked;

/// What a socket hands its frames to: it limits the rate, gives rooms their commands, and the Session everything else.
pub(super) struct Incoming {
    sessions: Arc<Registry>,
    actor: ActorRef<Msg>,
    rate: Rate,
}

impl Incoming {
    pub(super) fn new(sessions: Arc<Registry>, actor: ActorRef<Msg>) -> Self {
        Self { sessions, actor, rate: Rate::default() }
    }

    /// Tells the Session something; the new one, where it has crashed.
    fn tell(&mut self, link: &Arc<Link>, msg: Msg) -> Result<(), Msg> {
        let Err(ractor::MessagingErr::SendErr(msg)) = self.actor.cast(msg) else { return Ok(()) };
        match self.sessions.get(link.id) {
            Some(actor) if actor.get_id() != self.actor.get_id() => self.actor = actor,
            _ => return Err(msg),
        }
        match self.actor.cast(msg) {
            Err(ractor::MessagingErr::SendErr(msg)) => Err(msg),
            _ => Ok(()),
        }
    }
}

impl Receiver for Incoming {
    fn message(&mut self, link: &Arc<Link>, text: bool, payload: &[u8]) {
        let request = match link.wire.decode(text, payload) {
            Ok(request) => request,
            Err((n, fault)) => return link.refuse(n, fault),
        };
        let asked = Asked { n: request.n, op: Some(request.op.word()) };
        let id = match link.requests.begin(asked) {
            Ok(id) => id,
            Err((n, fault)) => return link.refuse(n, fault),
        };
        let reply = ReplyTo::link(link.clone(), asked, id);
        self.sessions.node.shared.meters.requests.increment(1);
        let now = ticks();
        if let Err(fault) = command_rate::take(&mut self.rate, now, self.sessions.node.shared.options.commands_per_s) {
            return reply.finish(Err(fault));
        }
        let op = match ops::plan(request.op) {
            Err(fault) => return reply.finish(Err(fault)),
            // The room gets it at once, so that commands keep their order and wait for nothing else.
            Ok(Plan::Command { room, client_id, command }) => {
                let client_id = client_id.unwrap_or_else(|| ops::fresh_client_id(&self.sessions.node));
                limit_command(&reply, now);
                link.note_sent(&client_id);
                let ask = Ask { who: link.principal, client_id, command, reply };
                return self.sessions.node.lanes.route(room, ask);
            }
            Ok(Plan::Other(op)) => op,
        };
        let request = Counted::new(&self.sessions.node.shared.meters.session_mailbox, Box::new((op, reply)));
        if let Err(Msg::Request(request)) = self.tell(link, Msg::Request(request)) {
            request.take().1.finish(Err(Fault::busy(
                "the server could not take this request just now; the connection stays open: send the request again",
            )
            .after(50)));
        }
    }

    fn drained(&mut self, link: &Arc<Link>) {
        if self.tell(link, Msg::Drained).is_err() {
            // The next Session catches all its rooms up when it starts.
            tracing::debug!(session = link.id, "drained while the session was restarting");
        }
    }

    fn closed(&mut self, link: &Arc<Link>) {
        self.sessions.refusals.ended(link);
        // Where no Session is left to hear it, the next one finds the link closed.
        let _ = self.tell(link, Msg::Closed);
    }
}
