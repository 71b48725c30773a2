//! `[dialects.notices]`, and the variable `NOTICES_SECRET`.

use parlance::api::account::{Algorithm, Issuer, Secret, masked};
use parlance::api::settings::{Bounds, Declared, Invalid, Sets, Settings as Declarable, Variable};
use serde::{Deserialize, Serialize};

/// How the settings are called, and what sets them.
pub const DECLARED: Declared = Declared::of::<Settings>(
    "notices",
    &["secret"],
    &[Variable { name: "NOTICES_SECRET", sets: Sets::Setting("secret") }],
);

/// The settings.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    enabled: bool,
    #[serde(serialize_with = "masked")]
    secret: Secret,
    /// Notices that a list shows.
    pub shown: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, secret: Secret::new(""), shown: 10 }
    }
}

impl Declarable for Settings {
    fn is_enabled(&self) -> bool {
        self.enabled
    }

    fn check(&self, _: &Bounds) -> Result<(), Invalid> {
        if (1..=50).contains(&self.shown) {
            return Ok(());
        }
        Err(Invalid { setting: Some("shown".into()), why: "it goes from 1 to 50".to_owned() })
    }

    fn issuers(&self) -> Vec<Issuer> {
        vec![Issuer::new("notices", &self.secret, Algorithm::HS256, 3_600)]
    }
}
