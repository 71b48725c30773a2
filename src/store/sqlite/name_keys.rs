//! The migration of accounts to keys that are the same however a name's letters are written ([`name_key`]).
//!
//! Names that used to be two may be one now. The account whose key is the new one already keeps its name, else the one that was
//! made first; another is called by its name with its id appended, or `user` with its id where that can't be appended, and an
//! e-mail address that another has is left out.

use icu_properties::CodePointMapData;
use icu_properties::props::BidiClass;
use parlance_schema::limits::USERNAME_CHARS_MAX;
use rusqlite::{Connection, OptionalExtension, params};

use crate::store::{name_key, with_ending};

/// An account whose keys are to be others.
struct Stale {
    id: i64,
    tenant: i64,
    username: String,
    email: Option<String>,
    full_name: String,
}

/// Gives every account its keys.
pub(super) fn run(db: &Connection) -> rusqlite::Result<()> {
    let stale = stale(db)?;
    for account in &stale {
        // Out of each other's way first: what follows sees only keys that stay.
        let sql = "UPDATE account SET username_key = ?2, email_key = NULL WHERE user_id = ?1";
        db.execute(sql, params![account.id, format!("\u{0}{}", account.id)])?;
    }
    for mut account in stale {
        let wanted = account.username.clone();
        let mut tries = 0;
        while has(db, "username_key", &account, &name_key(&account.username))? {
            tries += 1;
            let more = if tries == 1 { String::new() } else { format!("-{tries}") };
            let named: &str = if takes_digits(&wanted) { &wanted } else { "user" };
            account.username = with_ending(named, &format!("-{}{more}", account.id), USERNAME_CHARS_MAX);
        }
        if tries > 0 {
            tracing::warn!(user = account.id, username = account.username, "an account has another username now");
        }
        if let Some(email) = &account.email
            && has(db, "email_key", &account, &name_key(email))?
        {
            tracing::warn!(user = account.id, "an account has no e-mail address any more: another has the same one");
            account.email = None;
        }
        let sql = "UPDATE account SET username = ?2, username_key = ?3, email = ?4, email_key = ?5, full_name_key = ?6 \
                   WHERE user_id = ?1";
        let (key, full_name_key) = (name_key(&account.username), name_key(&account.full_name));
        let email_key = account.email.as_deref().map(name_key);
        db.execute(sql, params![account.id, account.username, key, account.email, email_key, full_name_key])?;
    }
    Ok(())
}

/// Whether the digits 0 to 9 may stand in a name beside its own: Arabic-Indic ones don't allow that (RFC 5893, 2).
fn takes_digits(name: &str) -> bool {
    !name.chars().any(|c| CodePointMapData::<BidiClass>::new().get(c) == BidiClass::ArabicNumber)
}

/// The accounts whose keys are not what they should be, the first one that was made first.
fn stale(db: &Connection) -> rusqlite::Result<Vec<Stale>> {
    let sql = "SELECT user_id, tenant, username, email, full_name, username_key, email_key, full_name_key FROM account \
               ORDER BY user_id";
    let mut select = db.prepare(sql)?;
    let mut rows = select.query([])?;
    let mut stale = Vec::new();
    while let Some(row) = rows.next()? {
        let account = Stale {
            id: row.get(0)?,
            tenant: row.get(1)?,
            username: row.get(2)?,
            email: row.get(3)?,
            full_name: row.get(4)?,
        };
        let keys = (row.get::<_, String>(5)?, row.get::<_, Option<String>>(6)?, row.get::<_, String>(7)?);
        let email = account.email.as_deref().map(name_key);
        if keys != (name_key(&account.username), email, name_key(&account.full_name)) {
            stale.push(account);
        }
    }
    Ok(stale)
}

fn has(db: &Connection, column: &str, account: &Stale, key: &str) -> rusqlite::Result<bool> {
    let sql = format!("SELECT 1 FROM account WHERE tenant = ?1 AND {column} = ?2 AND user_id <> ?3");
    let found = db.prepare_cached(&sql)?.query_row(params![account.tenant, key, account.id], |_| Ok(())).optional()?;
    Ok(found.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(db: &Connection) -> Vec<(i64, String, String, Option<String>)> {
        let mut select = db.prepare("SELECT user_id, username, username_key, email_key FROM account").unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        select.query_map([], row).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn names_that_are_one_now_stay_with_one_account() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("../../../schema/sqlite/0001_initial.sql")).unwrap();
        let (composed, apart) = ("caf\u{e9}", "cafe\u{301}");
        let digits = "\u{628}\u{650}\u{654}\u{661}";
        for (id, tenant, username, email) in [
            (1, 1, apart, Some("e\u{301}@example.org")),
            (2, 1, composed, Some("\u{e9}@example.org")),
            (3, 1, "ａｄａ", None),
            (4, 1, "ada", None),
            (5, 1, "Bob", Some("Bob@example.org")),
            (6, 2, apart, None),
            (7, 1, "ada-3", None),
            (8, 1, "user-9", None),
            (9, 1, "\u{628}\u{654}\u{650}\u{661}", None),
            (10, 1, digits, None),
        ] {
            // As keys were: without regard to case, and no more.
            let key = username.to_lowercase();
            db.execute(
                "INSERT INTO account VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?3, ?4, NULL, 'user', 1, 0, NULL, 0)",
                params![id, tenant, username, key, email, email.map(str::to_lowercase)],
            )
            .unwrap();
        }
        run(&db).unwrap();
        let named = |id, username: &str, key: &str, email: Option<&str>| {
            (id, username.to_owned(), key.to_owned(), email.map(str::to_owned))
        };
        let expected = [
            named(1, "cafe\u{301}-1", "caf\u{e9}-1", None),
            named(2, composed, composed, Some("\u{e9}@example.org")),
            named(3, "ａｄａ-3-2", "ada-3-2", None),
            named(4, "ada", "ada", None),
            named(5, "Bob", "bob", Some("bob@example.org")),
            named(6, apart, composed, None),
            named(7, "ada-3", "ada-3", None),
            named(8, "user-9", "user-9", None),
            named(9, "user-9-2", "user-9-2", None),
            named(10, digits, digits, None),
        ];
        assert_eq!(accounts(&db), expected);
        run(&db).unwrap();
        assert_eq!(accounts(&db), expected, "once is enough");
    }
}
