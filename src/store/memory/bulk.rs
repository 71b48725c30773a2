//! Imports in memory: done on a copy, which takes the place of what was there when all of it fits.

use std::collections::HashSet;

use async_trait::async_trait;
use parlance_actors::ports::store::{Account, Append, Bulk, BulkError, BulkStore, IdKind, Record, StoreError, Taken};
use parlance_schema::entry::Fact;
use parlance_schema::{MessageId, RoomId, UserId};

use super::{All, Memory};

#[async_trait]
impl BulkStore for Memory {
    async fn bulk(&self, bulk: Bulk) -> Result<(), BulkError> {
        bulk.appends.iter().try_for_each(crate::store::check_numbers)?;
        let mut all = self.lock();
        let step = all.imports.get(&bulk.import).map_or(0, |(step, _)| *step);
        if step != bulk.step {
            return Err(BulkError::Step(step));
        }
        let mut next = all.clone();
        let taken = next.import(bulk)?;
        if !taken.is_empty() {
            return Err(BulkError::Taken(taken));
        }
        *all = next;
        Ok(())
    }

    async fn import(&self, name: &str) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        Ok(self.lock().imports.get(name).cloned())
    }

    async fn records(&self, import: &str, kind: u8, from: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        let all = self.lock();
        let within = all.records.range((import.to_owned(), kind, from)..=(import.to_owned(), kind, u64::MAX));
        Ok(within.take(limit).map(|((_, _, key), value)| Record { kind, key: *key, value: value.clone() }).collect())
    }

    async fn taken(&self, kind: IdKind, ids: &[u64]) -> Result<Vec<u64>, StoreError> {
        let all = self.lock();
        let claimed: HashSet<u64> = all.claims.values().copied().collect();
        let there = |id: &u64| match kind {
            IdKind::User => UserId::try_from(*id).is_ok_and(|id| all.accounts.contains_key(&id)),
            IdKind::Room => claimed.contains(id) || RoomId::try_from(*id).is_ok_and(|id| all.rooms.contains_key(&id)),
            IdKind::Message => MessageId::try_from(*id).is_ok_and(|id| all.messages.contains_key(&id)),
        };
        Ok(ids.iter().copied().filter(there).collect())
    }
}

impl All {
    /// Writes a piece but for what is there already, which it returns.
    fn import(&mut self, bulk: Bulk) -> Result<Vec<Taken>, StoreError> {
        let mut taken = Vec::new();
        for (at, account) in bulk.accounts.iter().enumerate() {
            self.import_account(at, account, &mut taken);
        }
        for (at, (tenant, kind, key, target)) in bulk.claims.into_iter().enumerate() {
            let holder = *self.claims.entry((tenant, kind, key)).or_insert(target);
            taken.extend((holder != target).then_some(Taken::Claim(at, holder)));
        }
        let mut shut = HashSet::new();
        for (at, append) in bulk.appends.into_iter().enumerate() {
            self.import_log(at, append, &mut shut, &mut taken)?;
        }
        for (room, user, mark) in bulk.marks {
            let kept = self.marks.entry((room, user)).or_insert(mark);
            if mark.seq > kept.seq {
                *kept = mark;
            }
        }
        for (kind, last) in bulk.past {
            let next = self.next_ids.entry(kind).or_insert(1);
            *next = (*next).max(last.saturating_add(1));
        }
        for Record { kind, key, value } in bulk.records {
            self.records.insert((bulk.import.clone(), kind, key), value);
        }
        self.imports.insert(bulk.import, (bulk.step + 1, bulk.progress));
        Ok(taken)
    }

    fn import_account(&mut self, at: usize, account: &Account, taken: &mut Vec<Taken>) {
        let before = taken.len();
        taken.extend(self.accounts.contains_key(&account.id).then_some(Taken::User(at)));
        let nameless = Account { email: None, ..account.clone() };
        taken.extend(self.judge_names(&nameless).is_err().then_some(Taken::Username(at)));
        taken.extend(self.judge_email(account).is_err().then_some(Taken::Email(at)));
        if taken.len() == before {
            self.accounts.insert(account.id, account.clone());
        }
    }

    fn import_log(
        &mut self,
        at: usize,
        append: Append,
        shut: &mut HashSet<RoomId>,
        taken: &mut Vec<Taken>,
    ) -> Result<(), StoreError> {
        let last = self.last(append.room);
        if append.expected == 0 && last > 0 {
            shut.insert(append.room);
            taken.push(Taken::Room(at));
            return Ok(());
        }
        if shut.contains(&append.room) {
            return Ok(());
        }
        if last != append.expected {
            let what = format!("the log of room {} is at {last} and not at {}", append.room, append.expected);
            return Err(StoreError::Corrupt(what));
        }
        let mut names: HashSet<_> =
            self.rooms.get(&append.room).into_iter().flat_map(|l| l.dedup.keys()).cloned().collect();
        let mut ids = HashSet::new();
        for entry in append.entries.iter() {
            let named = names.insert((entry.by, entry.client_id.clone()));
            let fresh = |id: MessageId| !self.messages.contains_key(&id);
            let new =
                named && if let Fact::Posted { id, .. } = entry.fact { fresh(id) && ids.insert(id) } else { true };
            taken.extend((!new).then_some(Taken::Entry(at, entry.seq)));
        }
        self.feed.mark(crate::store::imported(&append));
        self.write(append);
        Ok(())
    }
}
