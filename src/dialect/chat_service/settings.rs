//! What can be set of it: `[dialects.chat_service]`, and the variables that the service documented.

use serde::{Deserialize, Serialize};

use crate::api::account::{Algorithm, Issuer, Secret, masked};
use crate::api::settings::{Bounds, Declared, Invalid, Sets, Settings as Declarable, Variable};

/// The name of its issuer; foreign subjects are known by it, so it never changes.
const ISSUER: &str = "chat-service";

/// How the settings are called, and what sets them.
pub const DECLARED: Declared = Declared::of::<Settings>(
    "chat_service",
    &["secret_key"],
    &[
        Variable { name: "SECRET_KEY", sets: Sets::Setting("secret_key") },
        Variable { name: "ALGORITHM", sets: Sets::Setting("algorithm") },
        Variable { name: "ACCESS_TOKEN_EXPIRE_MINUTES", sets: Sets::Setting("access_token_expire_minutes") },
        Variable { name: "HOST", sets: Sets::ListenAddress },
        Variable { name: "PORT", sets: Sets::ListenPort },
    ],
);

/// The settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether it is served.
    enabled: bool,
    /// The secret that another service signs tokens with which are good here; empty: there is none.
    #[serde(serialize_with = "masked")]
    secret_key: Secret,
    /// How that service signs.
    algorithm: Algorithm,
    /// Minutes that an access token is good for, of a login here or of that service.
    access_token_expire_minutes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            secret_key: Secret::new(""),
            algorithm: Algorithm::default(),
            access_token_expire_minutes: 30,
        }
    }
}

impl Settings {
    /// Seconds that an access token of a login is good for.
    #[must_use]
    pub fn token_life_s(&self) -> u64 {
        self.access_token_expire_minutes * 60
    }
}

impl Declarable for Settings {
    fn is_enabled(&self) -> bool {
        self.enabled
    }

    fn check(&self, bounds: &Bounds) -> Result<(), Invalid> {
        let minutes_max = (bounds.login_token_s_max / 60).max(1);
        if (1..=minutes_max).contains(&self.access_token_expire_minutes) {
            return Ok(());
        }
        let why = format!("it is {} and goes from 1 to {minutes_max}", self.access_token_expire_minutes);
        Err(Invalid { setting: Some("access_token_expire_minutes".into()), why })
    }

    fn issuers(&self) -> Vec<Issuer> {
        let secret = Some(&self.secret_key).filter(|secret| !secret.reveal().is_empty());
        let issuer = |secret| Issuer::new(ISSUER, secret, self.algorithm, self.token_life_s());
        secret.map(issuer).into_iter().collect()
    }
}
