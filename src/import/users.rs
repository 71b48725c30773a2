//! The service's users become accounts: names that can't be kept are changed, and said.

use std::collections::HashSet;

use parlance_actors::ports::store::{Account, IdKind, Taken};
use parlance_domain::content_rules::is_blank;
use parlance_schema::UserId;
use parlance_schema::limits::{FULL_NAME_CHARS_MAX, USERNAME_CHARS_MAX};
use parlance_schema::user::Role;

use super::fields::Fields;
use super::job::{Job, Kept, Phase, What};
use super::people::People;
use super::source::{Column, Next, Row, Rows};
use super::{Bar, Error, Options, field};
use crate::auth::{account_rules, password};
use crate::store::with_ending;

/// Accounts that are written together.
const BATCH: usize = 2_000;

pub(super) const COLUMNS: [Column; 8] = [
    Column { names: &["id", "user_id"], required: true },
    Column { names: &["username"], required: true },
    Column { names: &["email"], required: false },
    Column { names: &["full_name"], required: false },
    Column { names: &["is_active"], required: false },
    Column { names: &["created_at"], required: false },
    Column { names: &["last_seen"], required: false },
    Column { names: &["hashed_password", "password_hash", "password"], required: false },
];
/// What the note of a username that somebody has begins with.
const TAKEN: &str = "the username";

const ID: usize = 0;
const USERNAME: usize = 1;
const EMAIL: usize = 2;
const FULL_NAME: usize = 3;
const IS_ACTIVE: usize = 4;
const CREATED_AT: usize = 5;
const LAST_SEEN: usize = 6;
const PASSWORD: usize = 7;

/// A user on the way to an account.
struct Draft {
    row: u64,
    old: u64,
    account: Account,
    changes: Vec<String>,
    /// The username that it is to have, and how many were tried instead.
    wanted: String,
    tries: u32,
}

/// What became of a row.
enum Fate {
    Draft(Box<Draft>),
    Refused { row: u64, id: Option<u64>, why: String },
}

/// Writes all users, or those that are missing still.
pub(super) async fn import(job: &mut Job, options: &Options) -> Result<People, Error> {
    let (largest, bytes) = survey(job, options)?;
    if job.progress.phase > Phase::Users {
        return People::load(job).await;
    }
    if job.step == 0 {
        let mut piece = job.piece();
        if largest > 0 {
            piece.past(IdKind::User, largest);
        }
        job.commit_all(&piece).await?;
    }
    let mut people = People::load(job).await?;
    // Of the users that are there already, and of those that follow, an id counts once.
    let mut seen = HashSet::new();
    let mut rows = Rows::open(&options.users, &COLUMNS)?;
    let mut bar = Bar::new("users", bytes);
    let (mut batch, mut last, began) = (Vec::new(), job.progress.rows, job.progress.began_at);
    loop {
        bar.at(rows.bytes());
        let (row, fate) = match rows.next()? {
            Next::End => break,
            Next::Bad(row, why) => (row, Fate::Refused { row, id: None, why }),
            Next::Row(row) => (row.number, draft(&row, options, began)),
        };
        if row <= job.progress.rows {
            continue;
        }
        let fate = match fate {
            Fate::Draft(draft) if people.get(draft.old).is_some() || !seen.insert(draft.old) => {
                let why = "another user before it has this id".to_owned();
                Fate::Refused { row, id: Some(draft.old), why }
            }
            fate => fate,
        };
        last = row;
        batch.push(fate);
        if batch.len() >= BATCH {
            write(job, &mut people, std::mem::take(&mut batch), last, Phase::Users).await?;
            seen.clear();
        }
    }
    write(job, &mut people, batch, last, Phase::Chats).await?;
    Ok(people)
}

/// Looks the file through: the largest id, and its size in bytes.
fn survey(job: &mut Job, options: &Options) -> Result<(u64, u64), Error> {
    let mut rows = Rows::open(&options.users, &COLUMNS)?;
    let (mut largest, mut count) = (0, 0_u64);
    loop {
        match rows.next()? {
            Next::End => break,
            Next::Bad(..) => count += 1,
            Next::Row(row) => {
                count += 1;
                let id = row.text(ID).ok().flatten().and_then(|text| field::id(text).ok());
                largest = largest.max(id.unwrap_or(0));
            }
        }
    }
    if count == 0 {
        let (path, why) = (options.users.path.clone(), "there is no user in it".to_owned());
        return Err(Error::Columns { path, why });
    }
    job.check_digest(What::Users, rows.digest())?;
    Ok((largest, rows.bytes()))
}

async fn write(job: &mut Job, people: &mut People, mut batch: Vec<Fate>, last: u64, phase: Phase) -> Result<(), Error> {
    loop {
        let mut piece = job.piece();
        piece.progress.rows = last;
        piece.progress.phase = phase;
        piece.progress.tallies[What::Users as usize].read += batch.len() as u64;
        // Places in the piece and in the batch differ by what is refused.
        let mut places = Vec::new();
        for (at, fate) in batch.iter().enumerate() {
            let draft = match fate {
                Fate::Refused { row, id, why } => {
                    piece.refuse(What::Users, *row, *id, why);
                    continue;
                }
                Fate::Draft(draft) => draft,
            };
            places.push(at);
            let id = draft.account.id.get();
            piece.import(What::Users, draft.row, draft.old, &draft.changes);
            piece.keep(Kept::User, draft.old, id);
            if id != draft.old {
                piece.past(IdKind::User, id);
            }
            piece.bulk.accounts.push(draft.account.clone());
        }
        let Err(taken) = job.commit(&piece).await? else { break };
        for word in taken {
            let (Taken::User(at) | Taken::Username(at) | Taken::Email(at)) = word else { continue };
            if let Some(Fate::Draft(draft)) = batch.get_mut(places[at]) {
                yield_to_others(job, draft, word).await?;
            }
        }
    }
    for fate in batch {
        if let Fate::Draft(draft) = fate {
            people.add(draft.old, draft.account.id);
        }
    }
    Ok(())
}

/// Gives a user another id or name where somebody has it.
async fn yield_to_others(job: &mut Job, draft: &mut Draft, taken: Taken) -> Result<(), Error> {
    let account = &mut draft.account;
    match taken {
        Taken::User(_) => {
            account.id = UserId::new(job.next_id(IdKind::User).await?);
            draft.changes.push(format!("the id is taken; it is {} now", account.id));
        }
        Taken::Username(_) => {
            // Each try is another name, of which all that there are can't be taken.
            draft.tries += 1;
            let more = if draft.tries == 1 { String::new() } else { format!("-{}", draft.tries) };
            let name = with_ending(&draft.wanted, &format!("-{}{more}", draft.old), USERNAME_CHARS_MAX);
            // A name of Arabic-Indic digits can't have others appended.
            let name = account_rules::username(&name).unwrap_or_else(|_| made_name(draft.old) + &more);
            draft.changes.retain(|change| !change.starts_with(TAKEN));
            draft.changes.push(format!("{TAKEN} {} is taken; it is {name} now", draft.wanted));
            account.username = name;
        }
        _ => {
            account.email = None;
            draft.changes.push("somebody has the e-mail address; it was left out".to_owned());
        }
    }
    Ok(())
}

fn draft(row: &Row<'_>, options: &Options, began: u64) -> Fate {
    let mut fields = Fields::new(row, &COLUMNS);
    let old = match fields.required(ID, field::id) {
        Ok(old) => old,
        Err(why) => return Fate::Refused { row: row.number, id: None, why },
    };
    let username = match row.text(USERNAME) {
        Ok(text) => username(text.unwrap_or_default().trim(), old, &mut fields.changes),
        Err(why) => {
            let name = made_name(old);
            fields.changes.push(format!("username is {why}; it is {name} now"));
            name
        }
    };
    let email = fields.text(EMAIL).map(str::trim).filter(|email| match account_rules::email(email) {
        Ok(()) => true,
        Err(fault) => {
            fields.changes.push(format!("the e-mail address was left out: {}", fault.detail));
            false
        }
    });
    let written = fields.text(FULL_NAME).unwrap_or_default();
    let full_name = full_name(written, &username, &mut fields.changes);
    let active = fields.optional(IS_ACTIVE, Some(false), "the account is disabled", field::truth);
    // A later one would stay: nobody's times go back.
    let past = |text: &str| -> Result<u64, &'static str> {
        let millis = field::micros(text)? / 1_000;
        if millis > began { Err("a time in the future") } else { Ok(millis) }
    };
    let created_at = fields.optional(CREATED_AT, None, "the time of the import is used instead", past);
    let last_seen = fields.optional(LAST_SEEN, None, "it was left out", past);
    let password = fields.text(PASSWORD).filter(|hash| {
        let kept = password::acceptable(hash);
        if !kept {
            let why = "its password hash is neither argon2 nor bcrypt at a usual cost: set a password";
            fields.changes.push(why.to_owned());
        }
        kept
    });
    let account = Account {
        id: UserId::new(old),
        tenant: options.tenant,
        username,
        email: email.map(str::to_owned),
        full_name,
        password: password.map(str::to_owned),
        role: Role::User,
        active: active.unwrap_or(true),
        created_at: created_at.unwrap_or(began),
        last_seen,
        valid_after: 0,
    };
    let (wanted, changes) = (account.username.clone(), fields.changes);
    Fate::Draft(Box::new(Draft { row: row.number, old, account, changes, wanted, tries: 0 }))
}

/// The username of somebody who has none that is allowed.
fn made_name(id: u64) -> String {
    format!("user-{id}")
}

/// The username itself, or the nearest one that is allowed.
fn username(text: &str, id: u64, changes: &mut Vec<String>) -> String {
    let fault = match account_rules::username(text) {
        Ok(name) => return name,
        Err(fault) => fault,
    };
    let near = account_rules::nearest_username(text);
    let digits = near.chars().all(char::is_numeric).then(|| format!("user-{near}"));
    let named = digits.unwrap_or(near);
    let candidates = if named.chars().any(char::is_alphanumeric) && named != "user-" {
        vec![with_ending(&named, &format!("-{id}"), USERNAME_CHARS_MAX), named]
    } else {
        Vec::new()
    };
    // The last one first: it is the one that was written, as far as that goes.
    let name = candidates.iter().rev().find_map(|name| account_rules::username(name).ok());
    let name = name.unwrap_or_else(|| made_name(id));
    changes.push(format!("{}; it is {name} now", fault.detail));
    name
}

/// The name to show, cut and without control characters; the username where nothing of it shows.
fn full_name(text: &str, username: &str, changes: &mut Vec<String>) -> String {
    if is_blank(text) {
        return username.to_owned();
    }
    let Err(fault) = account_rules::full_name(text) else { return text.to_owned() };
    changes.push(format!("{}; it was cut to fit", fault.detail));
    let fits = |c: char| if c.is_control() { ' ' } else { c };
    let cut: String = text.chars().take(FULL_NAME_CHARS_MAX).map(fits).collect();
    if is_blank(&cut) { username.to_owned() } else { cut }
}
