//! What a dialect can be set to: the table `[dialects.NAME]` of the settings, and the variables that its service documented.

use std::any::Any;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::account::Issuer;
pub use crate::config::dialects::{Bounds, Invalid, Section, Sets, Spec, Variable};

/// The settings of a dialect. Their serde attributes name them, give defaults and refuse unknown ones; a secret among them is
/// serialised with [`masked`](super::account::masked), so that it is never shown.
pub trait Settings: Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Whether the dialect is served.
    fn is_enabled(&self) -> bool;

    /// Checks the bounds of the settings.
    ///
    /// # Errors
    /// The first setting that is out of its bounds.
    fn check(&self, bounds: &Bounds) -> Result<(), Invalid> {
        let _ = bounds;
        Ok(())
    }

    /// Whose tokens are good on the dialect's paths, besides this installation's own.
    fn issuers(&self) -> Vec<Issuer> {
        Vec::new()
    }
}

/// How a dialect's settings are read, whatever type they have.
#[derive(Clone, Copy)]
pub struct Declared {
    /// What the settings' files and variables may say.
    pub spec: Spec,
    /// Reads them.
    pub(super) open: fn(&Section) -> Result<Open, Invalid>,
}

/// A dialect's settings, once they are read.
pub(super) struct Open {
    pub(super) enabled: bool,
    pub(super) issuers: Vec<Issuer>,
    pub(super) settings: Arc<dyn Any + Send + Sync>,
}

impl Declared {
    /// Declares settings of type `T` under `[dialects.NAME]`, of which `secrets` are taken as they stand.
    #[must_use]
    pub const fn of<T: Settings>(
        name: &'static str,
        secrets: &'static [&'static str],
        variables: &'static [Variable],
    ) -> Self {
        let spec = Spec { name, secrets, variables, defaults: defaults::<T>, complete: complete::<T> };
        Self { spec, open: open::<T> }
    }
}

fn defaults<T: Settings>() -> serde_json::Value {
    serde_json::to_value(T::default()).unwrap_or_default()
}

fn complete<T: Settings>(section: &Section, bounds: &Bounds) -> Result<serde_json::Value, Invalid> {
    let settings: T = section.read()?;
    settings.check(bounds)?;
    serde_json::to_value(&settings).map_err(|error| Invalid { setting: None, why: error.to_string() })
}

fn open<T: Settings>(section: &Section) -> Result<Open, Invalid> {
    let settings: T = section.read()?;
    Ok(Open { enabled: settings.is_enabled(), issuers: settings.issuers(), settings: Arc::new(settings) })
}
