//! The settings of the dialects: a table `[dialects.NAME]` each, whose fields the dialect itself knows, and the variables of the
//! environment that its service documented.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use config::{Map, Value, ValueKind};
use parlance_schema::limits::TOKEN_LIFE_S_MAX;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::check::bounds;
use super::{Config, Error, PREFIX};

/// What the settings say of one dialect.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The name of its table, such as `chat_service`.
    pub name: &'static str,
    /// Settings that are taken as they stand, though they may look like a number, and that are never shown.
    pub secrets: &'static [&'static str],
    /// The variables of the environment that its service documented.
    pub variables: &'static [Variable],
    /// Reads and checks the table, and gives it back with the defaults of what it leaves out.
    pub complete: fn(&Section, &Bounds) -> Result<serde_json::Value, Invalid>,
}

/// A variable of the environment that a service documented. It holds unless the setting's own variable is there.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name, such as `SECRET_KEY`.
    pub name: &'static str,
    /// What it sets.
    pub sets: Sets,
}

/// What a documented variable sets.
#[derive(Clone, Copy, Debug)]
pub enum Sets {
    /// A setting of the dialect.
    Setting(&'static str),
    /// The address of `server.listen`.
    ListenAddress,
    /// The port of `server.listen`.
    ListenPort,
}

/// What other settings bound a dialect's with.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Seconds that an access token of a login may be good for.
    pub login_token_s_max: u64,
}

/// Why a dialect's settings can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{why}", .setting.map(|name| format!("{name}: ")).unwrap_or_default())]
pub struct Invalid {
    /// The setting, where one alone is to blame.
    pub setting: Option<&'static str>,
    /// What is wrong, and what it may be.
    pub why: String,
}

/// The table of one dialect: as it was given, and what is shown of it.
#[derive(Clone, Default)]
pub struct Section {
    given: BTreeMap<String, Value>,
    /// All settings with their defaults, without secrets.
    shown: serde_json::Value,
}

/// The tables of all dialects, by their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dialects(BTreeMap<String, Section>);

impl Dialects {
    /// The table of a dialect; empty where none was given.
    #[must_use]
    pub fn section(&self, name: &str) -> Section {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// Sets a setting of a dialect.
    pub fn set(&mut self, name: &str, setting: &str, value: &str) {
        let section = self.0.entry(name.to_owned()).or_default();
        section.given.insert(setting.to_owned(), Value::new(None, ValueKind::String(value.to_owned())));
    }
}

impl Section {
    /// Reads the settings that were given.
    ///
    /// # Errors
    /// When one of them is unknown or of another type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        let table: Map<String, Value> = self.given.clone().into_iter().collect();
        let read = Value::new(None, ValueKind::Table(table)).try_deserialize();
        read.map_err(|error| Invalid { setting: None, why: error.to_string() })
    }

    fn without(&self, setting: &str) -> Self {
        let mut other = self.clone();
        other.given.remove(setting);
        other
    }
}

impl PartialEq for Section {
    fn eq(&self, other: &Self) -> bool {
        self.shown == other.shown
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shown)
    }
}

impl Serialize for Section {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.shown.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Section {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self { given: BTreeMap::deserialize(from)?, shown: serde_json::Value::Null })
    }
}

/// The variable under our prefix of a dialect's setting.
fn ours(dialect: &str, setting: &str) -> String {
    format!("{PREFIX}_DIALECTS__{dialect}__{setting}").to_uppercase()
}

/// Whether a variable's name is one that a dialect's service documented.
pub(super) fn is_documented(name: &str, specs: &[Spec]) -> bool {
    specs.iter().flat_map(|spec| spec.variables).any(|variable| variable.name == name)
}

/// Whether a variable holds a dialect's secret, which is read as it stands.
pub(super) fn is_secret(name: &str, specs: &[Spec]) -> bool {
    specs.iter().any(|spec| spec.secrets.iter().any(|secret| ours(spec.name, secret) == name))
}

/// Takes over secrets and documented variables, then checks all tables and fills in their defaults.
pub(super) fn apply(config: &mut Config, environment: &[(String, String)], specs: &[Spec]) -> Result<(), Error> {
    if let Some(name) = config.dialects.0.keys().find(|name| !specs.iter().any(|spec| spec.name == **name)) {
        let known: Vec<_> = specs.iter().map(|spec| spec.name).collect();
        let say =
            if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", known.join(", ")) };
        return Err(Error::Setting(format!("settings: there is no dialect `{name}`; {say}")));
    }
    let bounds = Bounds { login_token_s_max: TOKEN_LIFE_S_MAX.min(config.auth.refresh_token_s) };
    for spec in specs {
        let mut section = config.dialects.section(spec.name);
        let from = variables(spec, &mut section, &mut config.server.listen, environment)?;
        let completed = (spec.complete)(&section, &bounds);
        section.shown = completed.map_err(|invalid| blame(spec, &section, &bounds, &from, invalid))?;
        config.dialects.0.insert(spec.name.to_owned(), section);
    }
    Ok(())
}

/// Takes over the variables of one dialect; says which settings have their value from which documented variable.
fn variables(
    spec: &Spec,
    section: &mut Section,
    listen: &mut SocketAddr,
    environment: &[(String, String)],
) -> Result<Vec<(&'static str, &'static str)>, Error> {
    let find = |name: &str| environment.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let text = |value: &str| Value::new(None, ValueKind::String(value.to_owned()));
    for secret in spec.secrets {
        if let Some(value) = find(&ours(spec.name, secret)) {
            section.given.insert((*secret).to_owned(), text(value));
        }
    }
    let mut from = Vec::new();
    for Variable { name, sets } in spec.variables {
        let Some(value) = find(name).filter(|value| !value.is_empty()) else { continue };
        let listens = find(&format!("{PREFIX}_SERVER__LISTEN")).is_some();
        match sets {
            Sets::Setting(setting) if find(&ours(spec.name, setting)).is_none() => {
                section.given.insert((*setting).to_owned(), text(value));
                from.push((*setting, *name));
            }
            Sets::ListenAddress if !listens => listen.set_ip(match value {
                "localhost" => IpAddr::from([127, 0, 0, 1]),
                value => value.parse().map_err(|_| bounds(*name, value, "it must be an IP address, or localhost"))?,
            }),
            Sets::ListenPort if !listens => {
                listen.set_port(value.parse().map_err(|_| bounds(*name, value, "it goes from 0 to 65535"))?);
            }
            Sets::Setting(_) | Sets::ListenAddress | Sets::ListenPort => {}
        }
    }
    Ok(from)
}

/// Says what is wrong with a dialect's settings, and names the variable that a bad one came from: the one without which the
/// table would do.
fn blame(
    spec: &Spec,
    section: &Section,
    bounds: &Bounds,
    from: &[(&'static str, &'static str)],
    invalid: Invalid,
) -> Error {
    let culprit = from.iter().find(|(setting, _)| (spec.complete)(&section.without(setting), bounds).is_ok());
    let setting = invalid.setting.or(culprit.map(|(setting, _)| *setting));
    let place = setting.map_or_else(|| spec.name.to_owned(), |setting| format!("{}.{setting}", spec.name));
    let variable = culprit.map(|(_, variable)| format!(" (the variable {variable})")).unwrap_or_default();
    Error::Setting(format!("settings: dialects.{place}{variable}: {}", invalid.why))
}
