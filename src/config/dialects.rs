//! The settings of the dialects: a table `[dialects.NAME]` each, whose fields the dialect itself knows, and the variables of the
//! environment that its service documented.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use config::ValueKind;
use parlance_schema::limits::TOKEN_LIFE_S_MAX;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::check::bounds;
use super::source::Places;
use super::{Config, Error, PREFIX, values, words};

/// What the settings say of one dialect.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The name of its table, such as `chat_service`.
    pub name: &'static str,
    /// Settings that are taken as they stand, though they may look like a number, and that are never shown.
    pub secrets: &'static [&'static str],
    /// The variables of the environment that its service documented.
    pub variables: &'static [Variable],
    /// The settings where none is given, which tell of what kind each is.
    pub defaults: fn() -> Value,
    /// Reads and checks the table, and gives it back with the defaults of what it leaves out.
    pub complete: fn(&Section, &Bounds) -> Result<Value, Invalid>,
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
#[error("{}{why}", .setting.as_ref().map(|name| format!("{name}: ")).unwrap_or_default())]
pub struct Invalid {
    /// The setting, where one alone is to blame.
    pub setting: Option<Cow<'static, str>>,
    /// What is wrong, and what it may be.
    pub why: String,
}

/// The table of one dialect: as it was given, and what is shown of it.
#[derive(Clone, Default)]
pub struct Section {
    given: BTreeMap<String, Value>,
    /// All settings with their defaults, without secrets.
    shown: Value,
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
    pub fn set(&mut self, name: &str, setting: &str, value: impl Into<Value>) {
        self.0.entry(name.to_owned()).or_default().given.insert(setting.to_owned(), value.into());
    }
}

impl Section {
    /// Reads the settings that were given.
    ///
    /// # Errors
    /// When one of them is unknown or of another type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        let table = Value::Object(self.given.clone().into_iter().collect());
        serde_path_to_error::deserialize(table).map_err(|error| {
            let (path, why) = (error.path().to_string(), error.inner().to_string());
            // An unknown one has no path, but the text names it.
            let unknown = why.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
            let setting = unknown.map(str::to_owned).or(Some(path).filter(|path| path != "."));
            Invalid { setting: setting.map(Cow::Owned), why: words::plain(&why) }
        })
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
        Ok(Self { given: BTreeMap::deserialize(from)?, shown: Value::Null })
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
pub(super) fn apply(config: &mut Config, specs: &[Spec], places: &Places<'_>) -> Result<(), Error> {
    if let Some(name) = config.dialects.0.keys().find(|name| !specs.iter().any(|spec| spec.name == **name)) {
        let known: Vec<_> = specs.iter().map(|spec| spec.name).collect();
        let say =
            if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", known.join(", ")) };
        return Err(Error::Setting(format!("settings: there is no dialect `{name}`; {say}")));
    }
    let bounds = Bounds { login_token_s_max: TOKEN_LIFE_S_MAX.min(config.auth.refresh_token_s) };
    for spec in specs {
        let mut section = config.dialects.section(spec.name);
        let from = variables(spec, &mut section, &mut config.server.listen, places.environment)?;
        section.shown = (spec.complete)(&section, &bounds).map_err(|invalid| blame(spec, &from, places, &invalid))?;
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
    let defaults = (spec.defaults)();
    for secret in spec.secrets {
        if let Some(value) = find(&ours(spec.name, secret)) {
            section.given.insert((*secret).to_owned(), value.into());
        }
    }
    let mut from = Vec::new();
    for Variable { name, sets } in spec.variables {
        let Some(value) = find(name).filter(|value| !value.is_empty()) else { continue };
        let listens = find(&format!("{PREFIX}_SERVER__LISTEN")).is_some();
        match sets {
            Sets::Setting(setting) if find(&ours(spec.name, setting)).is_none() => {
                let default = defaults.get(setting).unwrap_or(&Value::Null);
                let value = values::value(name, &ValueKind::String(value.to_owned()), default)?;
                section.given.insert((*setting).to_owned(), value);
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

/// Says what is wrong with a dialect's settings, and where the setting stands: in a documented variable, or in one of ours or
/// the file.
fn blame(spec: &Spec, from: &[(&'static str, &'static str)], places: &Places<'_>, invalid: &Invalid) -> Error {
    let table = format!("dialects.{}", spec.name);
    let Some(setting) = invalid.setting.as_deref() else {
        return Error::Setting(format!("settings: {table}: {}", invalid.why));
    };
    let variable = from.iter().find(|(name, _)| *name == setting).map(|(_, variable)| (*variable).to_owned());
    let name = format!("{table}.{setting}");
    let place = variable.or_else(|| places.of(&name));
    Error::Setting(format!("{}: {name}: {}", place.as_deref().unwrap_or("settings"), invalid.why))
}

/// The defaults of all dialects' settings.
pub(super) fn defaults(specs: &[Spec]) -> Value {
    Value::Object(specs.iter().map(|spec| (spec.name.to_owned(), (spec.defaults)())).collect())
}
