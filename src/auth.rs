//! Accounts and tokens: who may come in, and as whom.
//!
//! `Accounts` is what the doors call. Passwords are argon2id hashes, access tokens are short-lived JWTs that any node with
//! the key ring can check, refresh tokens are random, good once, and come in families: one family is one login.

pub(crate) mod account_rules;
mod account_status;
mod admin;
mod body;
mod foreign;
pub mod keys;
mod login;
pub(crate) mod password;
mod password_strength;
mod precis;
mod profile;
mod token;
mod verified_tokens;

use std::sync::Arc;

use dashmap::DashMap;
use parlance_actors::ids::Ids;
use parlance_actors::ports::store::{Account, AccountError, StoreError, Who};
use parlance_actors::ports::{Bus, Clock, Random, Store};
use parlance_schema::limits::TOKEN_LIFE_S_MAX;
use parlance_schema::user::{MeView, Principal, UserView};
use parlance_schema::{Code, Fault, Millis, UserId};
use tokio::sync::{Mutex, MutexGuard};

pub use admin::By;
pub use body::{ChangePassword, Grant, Login, Refresh, Register, UpdateProfile};
pub use foreign::{Algorithm, Issuer};
pub use keys::KeyRing;

use crate::config;
use crate::secret::Secret;
use account_status::AccountStatusCache;

/// What accounts need from outside.
#[derive(Clone)]
pub struct Ports {
    /// Where accounts are kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness fit for secrets.
    pub random: Arc<dyn Random>,
    /// Tells a user's sessions that their tokens are void.
    pub bus: Arc<dyn Bus>,
}

/// Who a token stands for, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// The user, with the role that the account has now.
    pub principal: Principal,
    /// When the token was issued, in Unix milliseconds; a `Notice::Revoked` with a later `before` ends it.
    pub issued_at: Millis,
    /// When the token expires, in Unix milliseconds.
    pub expires_at: Millis,
    /// The login that it came from; absent for tokens made on the command line.
    pub family: Option<String>,
}

/// Accounts that may be written at once.
const WRITERS: usize = 64;

/// The accounts of an installation.
pub struct Accounts {
    ports: Ports,
    ids: Arc<Ids>,
    keys: KeyRing,
    config: config::Auth,
    hasher: password::Hasher,
    statuses: AccountStatusCache,
    /// An account is read, changed and written whole, if it is still what was read. Those of one stripe one after the other,
    /// so that only another node can come in between.
    writers: Vec<Mutex<()>>,
    /// Users by (issuer, subject), as far as they were seen; a mapping never changes.
    subjects: DashMap<(String, String), UserId>,
}

impl Accounts {
    /// Accounts on a store, with the keys of a data folder.
    ///
    /// # Errors
    /// When argon2 refuses the configured cost.
    pub fn new(ports: Ports, ids: Arc<Ids>, keys: KeyRing, config: &config::Auth) -> Result<Self, String> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let hasher = password::Hasher::new(&config.argon2, cores)?;
        let writers = (0..WRITERS).map(|_| Mutex::new(())).collect();
        Ok(Self {
            ports,
            ids,
            keys,
            config: config.clone(),
            hasher,
            statuses: AccountStatusCache::default(),
            writers,
            subjects: DashMap::new(),
        })
    }

    /// Checks an access token: whose it is, that it is signed by a key of the ring, has not expired and was not revoked.
    ///
    /// # Errors
    /// `unauthenticated`, `token_expired`, `revoked`, or the store's faults.
    pub async fn authenticate(&self, token: &str) -> Result<Authenticated, Fault> {
        let now = self.ports.clock.now();
        let checked = token::check(&self.keys, token, now)?;
        self.admit(checked, now).await
    }

    /// As [`Self::authenticate`], where other issuers' tokens are good as well; whom one of them names and nobody has seen
    /// yet becomes a user.
    ///
    /// # Errors
    /// As for [`Self::authenticate`].
    pub async fn authenticate_with(&self, issuers: &[Issuer], token: &str) -> Result<Authenticated, Fault> {
        let now = self.ports.clock.now();
        let mut checked = token::check(&self.keys, token, now);
        for issuer in issuers {
            match &checked {
                Err(fault) if fault.code == Code::Unauthenticated => {
                    checked = self.check_foreign(issuer, token, now).await;
                }
                _ => break,
            }
        }
        self.admit(checked?, now).await
    }

    /// Lets whoever a checked token names in as the account stands now.
    async fn admit(&self, checked: token::Checked, now: Millis) -> Result<Authenticated, Fault> {
        let standing = self.statuses.of(&self.ports, checked.user, now).await?;
        let Some(standing) = standing.filter(|s| s.tenant == checked.tenant) else {
            return Err(token::not_valid());
        };
        if !standing.active {
            return Err(Fault::new(Code::Revoked, "your account is disabled: ask an administrator"));
        }
        if checked.issued_at < standing.valid_after {
            return Err(Fault::new(
                Code::Revoked,
                "the access token was revoked: get a new one with your refresh token, or log in again",
            ));
        }
        if let Some(family) = &checked.family
            && self.statuses.ended(&self.ports, checked.user, family, now).await?
        {
            return Err(Fault::new(Code::Revoked, "this login has ended: log in again"));
        }
        Ok(Authenticated {
            principal: Principal { user: checked.user, tenant: standing.tenant, role: standing.role },
            issued_at: checked.issued_at,
            expires_at: checked.expires_at,
            family: checked.family,
        })
    }

    /// An access token for a user, without a login, good for `life_s` seconds: for the command line.
    ///
    /// # Errors
    /// When the life is longer than 30 days, or the token can't be signed.
    pub fn token_for(&self, account: &Account, life_s: u64) -> Result<Secret, Fault> {
        if !(1..=TOKEN_LIFE_S_MAX).contains(&life_s) {
            return Err(Fault::invalid(format!("a token's lifetime must be 1 to {TOKEN_LIFE_S_MAX} seconds")));
        }
        self.sign(account, None, life_s)
    }

    fn sign(&self, account: &Account, family: Option<&str>, life_s: u64) -> Result<Secret, Fault> {
        let issue = token::Issue {
            user: account.id,
            tenant: account.tenant,
            role: account.role,
            family,
            at: self.ports.clock.now(),
            valid_after: account.valid_after,
            life_s,
        };
        token::sign(&self.keys, &*self.ports.random, &issue)
    }

    async fn account(&self, who: Who<'_>) -> Result<Option<Account>, Fault> {
        self.ports.store.account(who).await.map_err(|e| store_fault(&e))
    }

    /// Keeps others on this node from changing an account until it is dropped.
    async fn writing(&self, user: UserId) -> MutexGuard<'_, ()> {
        self.writers[user.get() as usize % WRITERS].lock().await
    }

    /// Reads an account, lets `change` change it, writes it. What `change` refuses is not written.
    async fn change<T>(
        &self,
        user: UserId,
        change: impl FnOnce(&mut Account) -> Result<T, Fault> + Send,
    ) -> Result<(Account, T), Fault> {
        let _alone = self.writing(user).await;
        let mut account =
            self.account(Who::Id(user)).await?.ok_or_else(|| Fault::not_found("there is no such user"))?;
        let before = account.clone();
        let done = change(&mut account)?;
        if account != before {
            let written = self.ports.store.replace_account(&before, &account).await;
            self.statuses.forget(user);
            written.map_err(|e| account_fault(&e))?;
        }
        Ok((account, done))
    }

    /// Tells the user's sessions, on all nodes, that some tokens issued before `before` are void: each looks whether its own is.
    fn publish_revoked(&self, user: UserId, before: Millis) {
        self.statuses.forget(user);
        self.ports.bus.publish_user(user, parlance_schema::notice::Notice::Revoked { before });
    }

    /// The next moment from which on tokens are good: later than that of any token that there is.
    fn void_until_now(&self, account: &mut Account) {
        account.valid_after = self.ports.clock.now().max(account.valid_after) + 1;
    }
}

/// What everybody in the same tenant may see of an account.
#[must_use]
pub fn user_view(account: &Account) -> UserView {
    UserView {
        id: account.id,
        username: account.username.clone(),
        full_name: account.full_name.clone(),
        is_active: account.active,
        created_at: account.created_at,
        last_seen: account.last_seen,
    }
}

/// What a user sees of themselves.
#[must_use]
pub fn me_view(account: &Account) -> MeView {
    MeView { user: user_view(account), email: account.email.clone(), role: account.role, tenant: account.tenant }
}

/// What a client is told of a store's failure; the details are for the log.
fn store_fault(error: &StoreError) -> Fault {
    tracing::error!(%error, "account store failed");
    match error {
        StoreError::Unavailable(_) => {
            Fault::store_unavailable("the server's database can't be reached right now: try again later")
        }
        StoreError::Unknown(_) => Fault::new(
            Code::OutcomeUnknown,
            "it is not known whether this was done: check the current state before you try again",
        ),
        StoreError::Corrupt(_) => Fault::internal("the stored account data can't be read: tell the server's operator"),
    }
}

fn account_fault(error: &AccountError) -> Fault {
    match error {
        AccountError::UsernameTaken => Fault::new(Code::Exists, "the username is taken: choose another one"),
        AccountError::EmailTaken => Fault::new(Code::Exists, "another account has this e-mail address"),
        AccountError::Changed => Fault::busy(
            "another request changed this account at the same time, and yours changed nothing: send it again",
        )
        .after(50),
        AccountError::Store(error) => store_fault(error),
    }
}

fn random_bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&random.bits().to_le_bytes()[..chunk.len()]);
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
