//! Tokens of another service that shares a secret with this one: who they name is a user here.
//!
//! Each such issuer has a namespace of subjects of its own. A subject is mapped by (issuer, tenant, subject) to a user, made
//! on first sight; it is never taken for one of this installation's own ids or names.

use jsonwebtoken::{DecodingKey, Validation, decode};
use parlance_actors::ports::store::{Account, AccountError, ClaimKind, Who};
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::user::Role;
use parlance_schema::{Code, Fault, Millis, UserId};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::token::{Checked, TOKEN_BYTES_MAX, not_valid};
use super::{Accounts, account_fault, account_rules, store_fault};
use crate::secret::Secret;

/// Bytes of a subject.
const SUBJECT_BYTES_MAX: usize = 255;
/// How far ahead of this server's clock an issuer's may be, in milliseconds.
const AHEAD_MS_MAX: Millis = 60_000;

/// How an issuer signs, with the secret that it shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    #[default]
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
}

/// Another service whose tokens are good on some paths.
pub struct Issuer {
    name: &'static str,
    key: DecodingKey,
    validation: Validation,
    life_ms: Millis,
}

/// What is looked at in its tokens (RFC 7519, 4.1).
#[derive(Deserialize)]
struct Claims {
    sub: Subject,
    exp: NumericDate,
    iat: Option<NumericDate>,
    nbf: Option<NumericDate>,
}

/// A time that is written as seconds since the Unix epoch, with or without a fraction (RFC 7519, 2); in milliseconds, rounded
/// down.
struct NumericDate(Millis);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if !seconds.is_finite() || seconds < 0.0 {
            return Err(D::Error::custom("a time is a finite number of seconds, 0 or more"));
        }
        Ok(Self((seconds * 1_000.0).floor() as Millis))
    }
}

impl Claims {
    /// When the token was issued; without that claim as early as it can have been, given how long the issuer's tokens are good for.
    /// Never later than `now`. Where the issuer's clock is ahead, so are its tokens: what is revoked holds for all that were issued
    /// before, but for those of the last [`AHEAD_MS_MAX`].
    fn issued_at(&self, life_ms: Millis, now: Millis) -> Millis {
        self.iat.as_ref().map_or_else(|| self.exp.0.saturating_sub(life_ms), |iat| iat.0).min(now)
    }
}

/// A subject is text, but some services write a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Subject {
    Text(String),
    Number(u64),
}

impl Issuer {
    /// An issuer whose tokens are good for `life_s` seconds, which tells how old one is that doesn't say when it was issued. The
    /// name is part of what its subjects are known by, and never changes.
    #[must_use]
    pub fn new(name: &'static str, secret: &Secret, algorithm: Algorithm, life_s: u64) -> Self {
        let algorithm = match algorithm {
            Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::HS384 => jsonwebtoken::Algorithm::HS384,
            Algorithm::HS512 => jsonwebtoken::Algorithm::HS512,
        };
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp"]);
        validation.validate_aud = false;
        // The time is the caller's to tell, so that one clock decides.
        validation.validate_exp = false;
        let key = DecodingKey::from_secret(secret.reveal().as_bytes());
        Self { name, key, validation, life_ms: life_s.saturating_mul(1_000) }
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Accounts {
    /// Checks a token of another issuer's, and finds or makes the user whom it names.
    pub(super) async fn check_foreign(&self, issuer: &Issuer, token: &str, now: Millis) -> Result<Checked, Fault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(not_valid());
        }
        let claims = decode::<Claims>(token, &issuer.key, &issuer.validation).map_err(|_| not_valid())?.claims;
        let expires_at = claims.exp.0;
        if now >= expires_at {
            return Err(Fault::new(
                Code::TokenExpired,
                "the access token has expired: get a new one with your refresh token, or log in again",
            ));
        }
        let later_than = |claim: &Option<NumericDate>, time: Millis| claim.as_ref().is_some_and(|claim| claim.0 > time);
        if later_than(&claims.nbf, now) || later_than(&claims.iat, now + AHEAD_MS_MAX) {
            return Err(not_valid());
        }
        let issued_at = claims.issued_at(issuer.life_ms, now);
        let subject = match claims.sub {
            Subject::Text(text) => text,
            Subject::Number(number) => number.to_string(),
        };
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || subject.contains(char::is_control) {
            return Err(not_valid());
        }
        let user = self.subject(issuer.name, &subject).await?;
        Ok(Checked { user, tenant: TENANT_DEFAULT, issued_at, expires_at, family: None })
    }

    /// The user whom an issuer calls `subject`. The claim comes first, so that of many who ask at once one makes the account,
    /// and one who died in between is taken over from.
    async fn subject(&self, issuer: &str, subject: &str) -> Result<UserId, Fault> {
        let known = (issuer.to_owned(), subject.to_owned());
        if let Some(user) = self.subjects.get(&known) {
            return Ok(*user);
        }
        let mine = self.ids.user().await.map_err(|e| store_fault(&e))?.get();
        let key = format!("{issuer}:{subject}");
        let claimed = self.ports.store.claim(TENANT_DEFAULT, ClaimKind::Subject, &key, mine).await;
        let user = UserId::try_from(claimed.map_err(|e| store_fault(&e))?).map_err(|_| not_valid())?;
        let _alone = self.writing(user).await;
        if self.account(Who::Id(user)).await?.is_none() {
            self.make_subject(issuer, subject, user).await?;
        }
        if self.subjects.len() >= SUBJECTS_MAX {
            self.subjects.clear();
        }
        self.subjects.insert(known, user);
        Ok(user)
    }

    /// Makes the account of a subject: under its name where that is free and a username, else under one made of its id, with a number
    /// after it where somebody has taken that as well.
    async fn make_subject(&self, issuer: &str, subject: &str, user: UserId) -> Result<(), Fault> {
        let full_name =
            if account_rules::full_name(subject).is_ok() { subject.to_owned() } else { format!("{issuer} {user}") };
        let own = account_rules::username(subject).ok();
        let made =
            (1..=NAMES_TRIED).map(|n| if n == 1 { format!("{issuer}-{user}") } else { format!("{issuer}-{user}-{n}") });
        for username in own.into_iter().chain(made) {
            let account = Account {
                id: user,
                tenant: TENANT_DEFAULT,
                username,
                email: None,
                full_name: full_name.clone(),
                password: None,
                role: Role::User,
                active: true,
                created_at: self.ports.clock.now(),
                last_seen: None,
                valid_after: 0,
            };
            match self.ports.store.create_account(&account).await {
                Ok(()) => return Ok(()),
                Err(AccountError::UsernameTaken) => {}
                Err(error) => {
                    // Another node may have made it in this very moment.
                    let there = self.account(Who::Id(user)).await?.is_some();
                    return if there { Ok(()) } else { Err(account_fault(&error)) };
                }
            }
        }
        match self.account(Who::Id(user)).await? {
            Some(_) => Ok(()),
            None => Err(Fault::new(
                Code::Exists,
                "the username in your token is already taken by another person's account on this server: ask the server's operator to change one of the two usernames",
            )),
        }
    }
}

/// Names that are tried for a subject whose own one is no username or somebody else's.
const NAMES_TRIED: u32 = 20;
/// Subjects remembered at once; beyond that, all are forgotten.
const SUBJECTS_MAX: usize = 100_000;
