//! Deciding a batch, and giving what it comes to to the store.

use std::sync::Arc;

use parlance_domain::message::Target;
use parlance_domain::room::{self, State as Folded};
use parlance_schema::command::Command;
use parlance_schema::entry::Entry;
use parlance_schema::limits::SNAPSHOT_EVERY;
use parlance_schema::{Fault, MessageId};
use ractor::ActorRef;
use tokio::time::Instant;

use super::actor::{Ask, Msg, State};
use super::batch::{self, Batch, Fate};
use crate::ports::store::{Answer, Append, IdKind};

impl State {
    /// Decides the batch's commands one after the other and appends what they come to.
    pub(super) async fn append(&mut self, me: &ActorRef<Msg>) {
        let Some(mut batch) = self.batch.take() else { return };
        let expected = self.last();
        let append_id = self.shared.random_id();
        let now = self.shared.clock.now();
        let mut append = Append {
            room: self.room,
            tenant: parlance_schema::id::TENANT_DEFAULT,
            expected,
            entries: Arc::new([]),
            snapshot: None,
            messages: Vec::new(),
            members: Vec::new(),
            erase: Vec::new(),
        };
        let mut entries: Vec<Arc<Entry>> = Vec::with_capacity(batch.len());
        for at in 0..batch.len() {
            let fate = self.decide(&batch, at, now, append_id, &mut entries, &mut append).await;
            batch.set(at, fate);
        }
        if entries.is_empty() {
            return self.settle_nothing(me, batch).await;
        }
        if let Some(folded) = &self.folded {
            append.tenant = folded.tenant;
            if folded.last >= self.snapshot_at + SNAPSHOT_EVERY {
                append.snapshot = crate::room::encode_state(folded);
                self.snapshot_at = folded.last;
            }
        }
        append.entries = entries.into();
        batch.sent(append.entries.clone());
        self.batch = Some(batch);
        let (shared, room, me) = (self.shared.clone(), self.room, me.clone());
        let (entries, started) = (append.entries.clone(), Instant::now());
        let answer = Answer::new(move |outcome| {
            shared.meters.append_seconds.record(started.elapsed().as_secs_f64());
            let landed = outcome.is_ok();
            // A Room that died meanwhile tells nobody, and the next one may have read the log before this.
            if me.cast(Msg::Appended(outcome)).is_err() && landed {
                shared.announce(room, &entries);
            }
        });
        self.shared.store.clone().submit(append, answer);
    }

    /// Answers a batch that came to no entry. What is appended is decided by the log as it is, else the append is refused;
    /// a refusal alone may have been decided by what the log was before another node wrote to it.
    async fn settle_nothing(&mut self, me: &ActorRef<Msg>, batch: Batch) {
        let refused = batch.has_refusal() && !self.shared.cluster.is_single_node();
        self.batch = Some(batch);
        if refused {
            match self.shared.entry(self.room, self.last() + 1).await {
                Err(error) => return self.give_up(me, &error),
                Ok(Some(_)) => return self.went_on(me, self.last() + 1),
                Ok(None) => self.refused = 0,
            }
        }
        self.settle(&Vec::new().into());
    }

    pub(super) async fn decide(
        &mut self,
        batch: &Batch,
        at: usize,
        now: u64,
        append_id: u64,
        entries: &mut Vec<Arc<Entry>>,
        append: &mut Append,
    ) -> Fate {
        let ask = batch.ask(at);
        if let Some(done) = self.recent.get(&(ask.who.user, ask.client_id.clone())) {
            return Fate::Again(done.clone());
        }
        if let Some(first) = batch.same_before(at) {
            return Fate::Same(first);
        }
        let posts = matches!(ask.command, Command::Post { .. });
        let id = if posts { self.shared.ids.next(IdKind::Message).await } else { Ok(1) };
        let Ok(id) = id.map(MessageId::new) else {
            return Fate::Refused(Fault::store_unavailable("no message ids can be had"));
        };
        let about = room::needs(&ask.command);
        let target = about.and_then(|seq| self.targets.get(&seq));
        let question = room::Ask { who: &ask.who, command: &ask.command, now, id, target };
        let fact = match room::decide(self.folded.as_ref(), &question) {
            Ok(fact) => fact,
            Err(fault) => return self.refused(ask, fault).await,
        };
        let member = |folded: &Folded| folded.members.contains_key(&ask.who.user);
        if self.folded.as_ref().is_some_and(|folded| !member(folded)) && !matches!(ask.command, Command::Join { .. }) {
            self.moderated.push(self.last() + 1);
        }
        let entry = Entry {
            seq: self.last() + 1,
            at: now,
            by: ask.who.user,
            client_id: ask.client_id.clone(),
            posts: self.folded.as_ref().map_or(0, |f| f.posts) + u64::from(posts),
            append: append_id,
            fact,
        };
        self.take_in(&entry, append);
        let done = batch::done(self.room, &entry);
        entries.push(Arc::new(entry));
        Fate::Entry(entries.len() - 1, done)
    }

    /// What is refused now may have been done before, by the same client id: then its answer is the first one's.
    pub(super) async fn refused(&self, ask: &Ask, fault: Fault) -> Fate {
        if self.folded.is_none() {
            return Fate::Refused(fault);
        }
        match self.shared.done_before(self.room, ask.who.user, &ask.client_id).await {
            Ok(Some(entry)) => Fate::Again(batch::done(self.room, &entry)),
            Ok(None) => Fate::Refused(fault),
            Err(_) => Fate::Refused(Fault::store_unavailable("whether this was done before can't be read now")),
        }
    }

    /// Folds an entry that is about to be appended, and notes what follows from it.
    pub(super) fn take_in(&mut self, entry: &Entry, append: &mut Append) {
        match &mut self.folded {
            Some(folded) => {
                append.members.extend(folded.changes(entry));
                folded.fold(entry);
            }
            None => {
                self.folded = Folded::opened(entry);
                append.members.extend(self.folded.iter().flat_map(|f| f.members.keys().map(|user| (*user, true))));
            }
        }
        let Some(seq) = entry.message() else { return };
        if seq == entry.seq {
            self.targets.insert(seq, Target { by: Some(entry.by), ..Target::default() });
            return;
        }
        let Some(target) = self.targets.get_mut(&seq) else { return };
        parlance_domain::message::fold(&mut target.state, entry);
        append.erase.extend(parlance_domain::message::erased(&target.state, entry));
        append.messages.retain(|(at, _)| *at != seq);
        append.messages.push((seq, target.state.clone()));
    }
}
