//! Tokens: access tokens are JWTs (RFC 7519) signed with HS256, refresh tokens are a family's name and a secret.

use std::sync::LazyLock;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header, encode};
use parlance_schema::user::Role;
use parlance_schema::{Code, Fault, Millis, TenantId, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::keys::KeyRing;
use super::verified_tokens::VerifiedTokens;
use super::{hex, random_bytes};
use crate::secret::Secret;
use parlance_actors::ports::Random;

/// Who issues the tokens.
const ISSUER: &str = "parlance";
/// Bytes of an access token that is looked at at all; ours have some 400.
pub(super) const TOKEN_BYTES_MAX: usize = 2_048;

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    iss: String,
    /// The user's id, as text (RFC 7519, 4.1.2).
    sub: String,
    tid: TenantId,
    role: Role,
    /// Seconds since the Unix epoch, like `exp`.
    iat: u64,
    exp: u64,
    /// When it was issued, in milliseconds: a second is too coarse to tell what came before a revocation.
    iat_ms: Millis,
    jti: String,
    /// The family of refresh tokens that it was issued with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
}

/// An access token that was checked, as far as it can be without the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) user: UserId,
    pub(super) tenant: TenantId,
    pub(super) issued_at: Millis,
    pub(super) expires_at: Millis,
    pub(super) family: Option<String>,
}

/// What to issue an access token for.
pub(super) struct Issue<'a> {
    pub(super) user: UserId,
    pub(super) tenant: TenantId,
    pub(super) role: Role,
    pub(super) family: Option<&'a str>,
    /// The time of issue.
    pub(super) at: Millis,
    /// Tokens issued before that are void, so that this one is issued then or later.
    pub(super) valid_after: Millis,
    pub(super) life_s: u64,
}

/// Signs an access token with the ring's first key.
pub(super) fn sign(ring: &KeyRing, random: &dyn Random, issue: &Issue<'_>) -> Result<Secret, Fault> {
    let keys = ring.current();
    let claims = Claims {
        iss: ISSUER.to_owned(),
        sub: issue.user.to_string(),
        tid: issue.tenant,
        role: issue.role,
        iat: issue.at / 1_000,
        exp: issue.at / 1_000 + issue.life_s,
        iat_ms: issue.at.max(issue.valid_after),
        jti: hex(&random_bytes::<16>(random)),
        sid: issue.family.map(str::to_owned),
    };
    let header = Header { kid: Some(keys.kid.clone()), ..Header::new(Algorithm::HS256) };
    encode(&header, &claims, &keys.signing).map(Secret::new).map_err(|error| {
        tracing::error!(%error, "a token could not be signed");
        Fault::internal("the server could not create a token: try again")
    })
}

/// Checks an access token's form, signature, issuer and time.
pub(super) fn check(ring: &KeyRing, token: &str, now: Millis) -> Result<Checked, Fault> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(not_valid());
    }
    let name = VerifiedTokens::name(token);
    let mut keys = ring.current();
    let checked = match keys.seen.get(&name) {
        Some(checked) => checked,
        None => {
            let header = decode_header(token).map_err(|_| not_valid())?;
            if header.alg != Algorithm::HS256 {
                return Err(not_valid());
            }
            let kid = header.kid.as_deref().ok_or_else(not_valid)?;
            if keys.verifying(kid).is_none() {
                keys = ring.latest();
            }
            let key = keys.verifying(kid).ok_or_else(not_valid)?;
            let checked = verify(token, key)?;
            keys.seen.put(name, checked.clone());
            checked
        }
    };
    if now >= checked.expires_at {
        return Err(Fault::new(
            Code::TokenExpired,
            "the access token has expired: get a new one with your refresh token, or log in again",
        ));
    }
    Ok(checked)
}

/// Checks a token's signature and issuer.
fn verify(token: &str, key: &DecodingKey) -> Result<Checked, Fault> {
    let claims = decode::<Claims>(token, key, &VALIDATION).map_err(|e| refused(e.kind()))?.claims;
    Ok(Checked {
        user: claims.sub.parse().map_err(|_| not_valid())?,
        tenant: claims.tid,
        issued_at: claims.iat_ms,
        expires_at: claims.exp.saturating_mul(1_000),
        family: claims.sid,
    })
}

/// What a token must have; made once.
static VALIDATION: LazyLock<Validation> = LazyLock::new(|| {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "sub"]);
    validation.validate_aud = false;
    // The time is the caller's to tell, so that one clock decides.
    validation.validate_exp = false;
    validation.leeway = 0;
    validation
});

fn refused(kind: &ErrorKind) -> Fault {
    tracing::debug!(?kind, "access token refused");
    not_valid()
}

/// What a client is told whose access token is not good.
pub(super) fn not_valid() -> Fault {
    // One sentence for all reasons: a forger learns nothing from it.
    Fault::unauthenticated("the access token is not valid: log in again")
}

/// A refresh token: the family that it belongs to, and what only its owner knows.
pub(super) struct Refresh {
    pub(super) family: String,
    secret: String,
}

impl Refresh {
    /// The first token of a new family.
    pub(super) fn first(random: &dyn Random) -> Self {
        Self::next(&hex(&random_bytes::<16>(random)), random)
    }

    /// A new token of a family.
    pub(super) fn next(family: &str, random: &dyn Random) -> Self {
        Self { family: family.to_owned(), secret: hex(&random_bytes::<32>(random)) }
    }

    /// Takes a client's text apart; anything that was never issued in this form is refused.
    pub(super) fn parse(token: &Secret) -> Result<Self, Fault> {
        let digits = |s: &str, n: usize| s.len() == n && s.bytes().all(|b| b.is_ascii_hexdigit());
        match token.reveal().split_once('.') {
            Some((family, secret)) if digits(family, 32) && digits(secret, 64) => {
                Ok(Self { family: family.to_owned(), secret: secret.to_owned() })
            }
            _ => Err(Self::invalid()),
        }
    }

    /// What is kept of it: SHA-256 in hexadecimal. The secret has 256 random bits, so nothing slower is needed.
    pub(super) fn digest(&self) -> String {
        hex(&Sha256::digest(format!("{}.{}", self.family, self.secret)))
    }

    /// What the client gets.
    pub(super) fn text(&self) -> Secret {
        Secret::new(format!("{}.{}", self.family, self.secret))
    }

    /// The one answer to tokens that don't exist.
    pub(super) fn invalid() -> Fault {
        Fault::unauthenticated("the refresh token is not valid: log in again")
    }
}

#[cfg(test)]
#[path = "token/tests.rs"]
mod tests;
