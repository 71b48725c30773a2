//! All statements, prepared once at the start, so that each goes straight to a replica of its partition.

use std::sync::Arc;

use scylla::client::session::Session;
use scylla::errors::PrepareError;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};

/// Rows that one page holds, at most: entries may have 40 KiB.
const PAGE_ROWS: i32 = 256;

/// How far an answer must have gone.
#[derive(Clone, Copy)]
enum Kind {
    /// Reads what a quorum has.
    Read,
    /// Reads after all conditional writes that were begun before: what is there then is decided.
    Serial,
    /// Writes to a quorum. Done twice, it does no harm.
    Write,
    /// Writes on a condition. The driver never repeats it: what became of it is found out by reading.
    Cas,
}

macro_rules! statements {
    ($($kind:ident $name:ident $cql:literal;)+) => {
        /// All statements.
        pub(super) struct Statements {
            $(pub $name: PreparedStatement,)+
        }

        impl Statements {
            /// Prepares all of them.
            pub async fn prepare(db: &Session) -> Result<Box<Self>, PrepareError> {
                Ok(Box::new(Self { $($name: Box::pin(prepare(db, Kind::$kind, $cql)).await?,)+ }))
            }
        }
    };
}

async fn prepare(db: &Session, kind: Kind, cql: &str) -> Result<PreparedStatement, PrepareError> {
    let mut statement = db.prepare(cql).await?;
    statement.set_page_size(PAGE_ROWS);
    statement.set_is_idempotent(!matches!(kind, Kind::Cas));
    statement.set_consistency(match kind {
        Kind::Read | Kind::Write | Kind::Cas => Consistency::LocalQuorum,
        Kind::Serial => Consistency::LocalSerial,
    });
    statement.set_serial_consistency(Some(SerialConsistency::LocalSerial));
    if matches!(kind, Kind::Cas) {
        statement.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
    }
    Ok(statement)
}

/// A conditional batch of one partition.
pub(super) fn cas_batch(statements: impl IntoIterator<Item = PreparedStatement>) -> Batch {
    let mut batch = plain_batch(statements);
    batch.set_is_idempotent(false);
    batch.set_serial_consistency(Some(SerialConsistency::LocalSerial));
    batch.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
    batch
}

/// Rows of one partition that are written together.
pub(super) fn plain_batch(statements: impl IntoIterator<Item = PreparedStatement>) -> Batch {
    let mut batch = Batch::new(BatchType::Unlogged);
    for statement in statements {
        batch.append_statement(statement);
    }
    batch.set_is_idempotent(true);
    batch.set_consistency(Consistency::LocalQuorum);
    batch
}

statements! {
    // The log.
    Cas advance "UPDATE room_log SET last_seq = ? WHERE room_id = ? AND bucket = ? IF last_seq = ? AND fence = ?";
    Cas fence_set "UPDATE room_log SET fence = ? WHERE room_id = ? AND bucket = ? IF last_seq = ?";
    Cas log_insert "INSERT INTO room_log (room_id, bucket, seq, by_user, client_id, message_id, append_id, entry) \
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    Cas log_erase "UPDATE room_log SET entry = ? WHERE room_id = ? AND bucket = ? AND seq = ? IF append_id = ?";
    Serial end_serial "SELECT last_seq, fence FROM room_log WHERE room_id = ? AND bucket = ? LIMIT 1";
    Read end "SELECT last_seq, fence FROM room_log WHERE room_id = ? AND bucket = ? LIMIT 1";
    Serial one_entry "SELECT entry FROM room_log WHERE room_id = ? AND bucket = ? AND seq = ?";
    Read log_up "SELECT seq, entry FROM room_log WHERE room_id = ? AND bucket = ? AND seq >= ? AND seq <= ? LIMIT ?";
    Read log_down "SELECT seq, entry FROM room_log WHERE room_id = ? AND bucket = ? AND seq >= ? AND seq <= ? \
                   ORDER BY seq DESC LIMIT ?";
    Read posts_up "SELECT seq, entry FROM room_log WHERE room_id = ? AND bucket = ? AND seq >= ? AND seq <= ? \
                   AND message_id >= 0 LIMIT ? ALLOW FILTERING";
    Read posts_down "SELECT seq, entry FROM room_log WHERE room_id = ? AND bucket = ? AND seq >= ? AND seq <= ? \
                     AND message_id >= 0 ORDER BY seq DESC LIMIT ? ALLOW FILTERING";
    Read posts_count "SELECT COUNT(*) FROM room_log WHERE room_id = ? AND bucket = ? AND seq > ? AND by_user = ? \
                      AND message_id >= 0 ALLOW FILTERING";
    Read named "SELECT seq FROM room_log WHERE room_id = ? AND bucket = ? AND seq > ? AND by_user = ? \
                AND client_id = ? ALLOW FILTERING";
    // What follows from it.
    Read room "SELECT last_seq, indexed_upto FROM room WHERE room_id = ?";
    Write room_mark "UPDATE room USING TIMESTAMP ? SET last_seq = ?, indexed_upto = ? WHERE room_id = ?";
    Read snapshot "SELECT seq, state FROM snapshot WHERE room_id = ?";
    Write snapshot_put "INSERT INTO snapshot (room_id, seq, state) VALUES (?, ?, ?) USING TIMESTAMP ?";
    Read pairs "SELECT hash, seq FROM pair WHERE room_id = ? AND generation = ? AND hash IN ?";
    Write pair_put "INSERT INTO pair (room_id, generation, hash, seq) VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
    Read messages "SELECT message_id, room_id, seq FROM message WHERE block = ? AND message_id IN ?";
    Write message_put "INSERT INTO message (block, message_id, room_id, seq) VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
    Read states "SELECT seq, state FROM message_state WHERE room_id = ? AND bucket = ? AND seq >= ? AND seq <= ?";
    Read state "SELECT upto, state FROM message_state WHERE room_id = ? AND bucket = ? AND seq = ?";
    Write state_put "INSERT INTO message_state (room_id, bucket, seq, upto, state) VALUES (?, ?, ?, ?, ?) \
                     USING TIMESTAMP ?";
    Read member "SELECT room_id FROM member WHERE user_id = ?";
    Write member_put "INSERT INTO member (user_id, room_id) VALUES (?, ?) USING TIMESTAMP ?";
    Write member_drop "DELETE FROM member USING TIMESTAMP ? WHERE user_id = ? AND room_id = ?";
    Read marks "SELECT user_id, seq, posts, own FROM read_mark WHERE room_id = ?";
    Write mark_put "INSERT INTO read_mark (room_id, user_id, seq, posts, own) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
    // Claims, ids and facts about the database.
    Read claim "SELECT target FROM claim WHERE tenant = ? AND kind = ? AND key = ?";
    Serial claim_serial "SELECT target FROM claim WHERE tenant = ? AND kind = ? AND key = ?";
    Cas claim_put "INSERT INTO claim (tenant, kind, key, target) VALUES (?, ?, ?, ?) IF NOT EXISTS";
    Serial ids "SELECT next_id FROM id_block WHERE kind = ?";
    Cas ids_begin "INSERT INTO id_block (kind, next_id) VALUES (?, ?) IF NOT EXISTS";
    Cas ids_take "UPDATE id_block SET next_id = ? WHERE kind = ? IF next_id = ?";
    Serial meta "SELECT value FROM meta WHERE key = ?";
    Cas meta_put "INSERT INTO meta (key, value) VALUES (?, ?) IF NOT EXISTS";
    Cas meta_set "UPDATE meta SET value = ? WHERE key = ? IF value = ?";
    Serial moving "SELECT source, progress, finished FROM moving WHERE one = 1";
    Cas moving_begin "INSERT INTO moving (one, source, progress, finished) VALUES (1, ?, ?, false) IF NOT EXISTS";
    Cas moving_note "UPDATE moving SET progress = ? WHERE one = 1 IF source = ?";
    Cas moving_end "UPDATE moving SET finished = true WHERE one = 1 IF source = ?";
    Write probe_put "INSERT INTO probe (one, at) VALUES (1, ?)";
    // Accounts.
    Read account "SELECT user_id, tenant, state, version, username, email, full_name, password, role, active, created_at, \
                  valid_after FROM account WHERE user_id = ?";
    Serial account_serial "SELECT user_id, tenant, state, version, username, email, full_name, password, role, active, \
                           created_at, valid_after FROM account WHERE user_id = ?";
    Cas account_put "INSERT INTO account (user_id, tenant, state, version, username, email, full_name, password, role, \
                     active, created_at, valid_after) VALUES (?, ?, 'opening', 0, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
    Cas account_open "UPDATE account SET state = 'open', version = ? WHERE user_id = ? IF version = ? AND state = 'opening'";
    Cas account_touch "UPDATE account SET version = ? WHERE user_id = ? IF version = ?";
    Cas account_set "UPDATE account SET version = ?, username = ?, email = ?, full_name = ?, password = ?, role = ?, \
                     active = ?, valid_after = ? WHERE user_id = ? IF version = ? AND state = 'open'";
    Cas account_drop "DELETE FROM account WHERE user_id = ? IF version = ? AND state = 'opening'";
    Read name "SELECT user_id FROM account_name WHERE tenant = ? AND kind = ? AND key = ?";
    Serial name_serial "SELECT user_id, since FROM account_name WHERE tenant = ? AND kind = ? AND key = ?";
    Cas name_put "INSERT INTO account_name (tenant, kind, key, user_id, since) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS";
    Cas name_take "UPDATE account_name SET user_id = ?, since = ? WHERE tenant = ? AND kind = ? AND key = ? \
                   IF user_id = ? AND since = ?";
    Cas name_drop "DELETE FROM account_name WHERE tenant = ? AND kind = ? AND key = ? IF user_id = ? AND since = ?";
    Read seen "SELECT at FROM account_seen WHERE user_id = ?";
    Write seen_put "INSERT INTO account_seen (user_id, at) VALUES (?, ?) USING TIMESTAMP ?";
    Read directory_from "SELECT username_key, user_id, full_name_key FROM directory WHERE tenant = ? AND shard = ? \
                         AND username_key >= ?";
    Write directory_put "INSERT INTO directory (tenant, shard, username_key, user_id, full_name_key) \
                         VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
    Write directory_drop "DELETE FROM directory USING TIMESTAMP ? WHERE tenant = ? AND shard = ? AND username_key = ? \
                          AND user_id = ?";
    // Families, and what moderators did.
    Read family "SELECT user_id, current, expires_at, revoked FROM family WHERE family_id = ?";
    Serial family_serial "SELECT user_id, current, expires_at, revoked FROM family WHERE family_id = ?";
    Cas family_put "INSERT INTO family (family_id, user_id, current, expires_at, revoked) VALUES (?, ?, ?, ?, ?) \
                    IF NOT EXISTS";
    Cas family_rotate "UPDATE family SET current = ?, expires_at = ? WHERE family_id = ? IF current = ? AND revoked = false";
    Cas family_revoke "UPDATE family SET revoked = true WHERE family_id = ? IF revoked = false";
    Cas family_drop "DELETE FROM family WHERE family_id = ? IF expires_at = ?";
    Read families_of "SELECT family_id FROM family_of_user WHERE user_id = ?";
    Write family_of_put "INSERT INTO family_of_user (user_id, family_id) VALUES (?, ?)";
    Write family_of_drop "DELETE FROM family_of_user WHERE user_id = ? AND family_id = ?";
    Read expiries "SELECT expires_at, family_id FROM family_expiry WHERE day = ? AND expires_at < ? LIMIT ?";
    Write expiry_put "INSERT INTO family_expiry (day, expires_at, family_id) VALUES (?, ?, ?)";
    Write expiry_drop "DELETE FROM family_expiry WHERE day = ? AND expires_at = ? AND family_id = ?";
    Read days "SELECT day FROM family_day WHERE one = 1";
    Write day_put "INSERT INTO family_day (one, day) VALUES (1, ?)";
    Write day_drop "DELETE FROM family_day WHERE one = 1 AND day = ?";
    Write audit_put "INSERT INTO audit (day, at, audit_id, by_user, room_id, what) VALUES (?, ?, ?, ?, ?, ?)";
    // What lets logs be followed.
    Write owner_put "INSERT INTO work_owner (one, owner, opened_at) VALUES (1, ?, ?)";
    Read owners "SELECT owner, opened_at FROM work_owner WHERE one = 1";
    Write owner_drop "DELETE FROM work_owner WHERE one = 1 AND owner = ?";
    Write work_put "INSERT INTO work_mark (owner, shard, kind, thing, at) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
    Write work_drop "DELETE FROM work_mark USING TIMESTAMP ? WHERE owner = ? AND shard = ? AND kind = ? AND thing = ?";
    Read work "SELECT kind, thing, at FROM work_mark WHERE owner = ? AND shard = ? AND (kind, thing) > (?, ?) LIMIT ?";
    Write hour_put "INSERT INTO due_hour (one, hour) VALUES (1, ?)";
    Read hours "SELECT hour FROM due_hour WHERE one = 1 AND hour <= ?";
    Write hour_drop "DELETE FROM due_hour WHERE one = 1 AND hour = ?";
    Write due_put "INSERT INTO due_mark (hour, shard, due, kind, thing, owner, at) VALUES (?, ?, ?, ?, ?, ?, ?) \
                   USING TIMESTAMP ?";
    Write due_drop "DELETE FROM due_mark USING TIMESTAMP ? WHERE hour = ? AND shard = ? AND due = ? AND kind = ? \
                    AND thing = ? AND owner = ?";
    Read due "SELECT due, kind, thing, owner, at FROM due_mark WHERE hour = ? AND shard = ? AND due <= ? LIMIT ?";
    Serial consumers "SELECT name, generation, dropped, begins, filter, walk FROM consumer WHERE one = 1";
    Cas consumer_put "INSERT INTO consumer (one, name, generation, dropped, begins, filter, walk) \
                      VALUES (1, ?, 1, false, ?, ?, ?) IF NOT EXISTS";
    Cas consumer_take "INSERT INTO consumer (one, name, generation, dropped, begins, filter, walk) \
                       VALUES (1, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
    Cas consumer_filter "UPDATE consumer SET filter = ? WHERE one = 1 AND name = ? IF generation = ? AND dropped = false";
    Cas consumer_again "UPDATE consumer SET generation = ?, dropped = false, begins = ?, filter = ?, walk = ? \
                        WHERE one = 1 AND name = ? IF generation = ? AND dropped = ?";
    Cas consumer_drop "UPDATE consumer SET dropped = true WHERE one = 1 AND name = ? IF generation = ? AND dropped = false";
    Cas consumer_walk "UPDATE consumer SET walk = ? WHERE one = 1 AND name = ? IF generation = ? AND dropped = false \
                       AND walk = ?";
    Read logs_first "SELECT DISTINCT room_id, bucket FROM room_log LIMIT ?";
    Read logs_after "SELECT DISTINCT room_id, bucket FROM room_log WHERE token(room_id, bucket) > token(?, ?) LIMIT ?";
    Write run_put "INSERT INTO consumer_run (one, name, at) VALUES (1, ?, ?)";
    Read runs "SELECT name, at FROM consumer_run WHERE one = 1";
    Write cursor_put "INSERT INTO feed_cursor (room_id, consumer, generation, seq) VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
    Read cursors "SELECT consumer, generation, seq FROM feed_cursor WHERE room_id = ?";
    Write dead_put "INSERT INTO dead_letter (consumer, room_id, seq, at, reason) VALUES (?, ?, ?, ?, ?)";
    Read dead "SELECT room_id, seq, at, reason FROM dead_letter WHERE consumer = ? AND (room_id, seq) > (?, ?) LIMIT ?";
    Write dead_drop "DELETE FROM dead_letter WHERE consumer = ? AND room_id = ? AND seq = ?";
}
