//! The settings of the dialects, and the names that their services gave to them in the environment.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize, Serializer};

use super::check::{between, bounds};
use super::{Config, Error, PREFIX};
use crate::auth::{Algorithm, Secret, keys};

/// Services whose clients are served as well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dialects {
    /// Users, direct and group chats under `/api/v1`.
    pub chat_service: ChatService,
}

/// The dialect `chat-service`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChatService {
    /// Whether it is served.
    pub enabled: bool,
    /// The secret that another service signs tokens with which are good here; empty: there is none.
    #[serde(serialize_with = "masked")]
    pub secret_key: Secret,
    /// How that service signs.
    pub algorithm: Algorithm,
    /// Minutes that an access token of a login is good for.
    pub access_token_expire_minutes: u64,
}

impl Default for ChatService {
    fn default() -> Self {
        Self {
            enabled: true,
            secret_key: Secret::new(""),
            algorithm: Algorithm::default(),
            access_token_expire_minutes: 30,
        }
    }
}

/// Settings are listed in logs, where a secret has no place.
pub(super) fn masked<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(if secret.reveal().is_empty() { "" } else { "…" })
}

/// The variables that the services document, without our prefix.
pub(super) const VARIABLES: [&str; 5] = ["SECRET_KEY", "ALGORITHM", "ACCESS_TOKEN_EXPIRE_MINUTES", "HOST", "PORT"];

/// The secret's variable under our prefix: read as it stands, as it may look like a number.
pub(super) const SECRET: &str = "PARLANCE_DIALECTS__CHAT_SERVICE__SECRET_KEY";

/// Takes over the documented variables, where the same setting has none of ours.
pub(super) fn apply(config: &mut Config, environment: &[(String, String)]) -> Result<(), Error> {
    let find = |name: &str| environment.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let documented = |name: &str, ours: &str| {
        let ours = find(&format!("{PREFIX}_{ours}"));
        find(name).filter(|value| !value.is_empty() && ours.is_none())
    };
    let service = &mut config.dialects.chat_service;
    if let Some(secret) = find(SECRET).or_else(|| find("SECRET_KEY").filter(|value| !value.is_empty())) {
        service.secret_key = Secret::new(secret);
    }
    if let Some(name) = documented("ALGORITHM", "DIALECTS__CHAT_SERVICE__ALGORITHM") {
        let known = serde_json::from_value(name.into());
        service.algorithm = known.map_err(|_| bounds("ALGORITHM", name, "HS256, HS384 or HS512"))?;
    }
    let minutes = "DIALECTS__CHAT_SERVICE__ACCESS_TOKEN_EXPIRE_MINUTES";
    if let Some(text) = documented("ACCESS_TOKEN_EXPIRE_MINUTES", minutes) {
        let minutes = text.trim().parse();
        let minutes = minutes.map_err(|_| bounds("ACCESS_TOKEN_EXPIRE_MINUTES", text, "a number of minutes"))?;
        service.access_token_expire_minutes = minutes;
    }
    let listen = config.server.listen;
    let host = documented("HOST", "SERVER__LISTEN").map_or(Ok(listen.ip()), |host| match host {
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        host => host.parse().map_err(|_| bounds("HOST", host, "an IP address, or localhost")),
    })?;
    let port = documented("PORT", "SERVER__LISTEN")
        .map_or(Ok(listen.port()), |port| port.parse().map_err(|_| bounds("PORT", port, "it goes from 0 to 65535")))?;
    config.server.listen = SocketAddr::new(host, port);
    Ok(())
}

/// Checks every bound.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    let minutes = config.dialects.chat_service.access_token_expire_minutes;
    let most = keys::TOKEN_LIFE_S_MAX.min(config.auth.refresh_token_s) / 60;
    between("dialects.chat_service.access_token_expire_minutes", minutes, 1, most.max(1))
}
