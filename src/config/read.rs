//! Reading the settings: file, environment, command line, in this order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat};

use super::dialects::Spec;
use super::source::{Places, parsed};
use super::{Config, DEV_PREFIX, Error, FILE, FILE_VARIABLE, PREFIX, cluster, dialects, scylla, values};

/// The variables of the process's environment that are settings of ours.
#[must_use]
pub fn environment(dialects: &[Spec]) -> Vec<(String, String)> {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).filter(|pair| is_ours(pair, dialects)).collect()
}

/// What the command line says; it wins over file and environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `server.listen`.
    pub listen: Option<SocketAddr>,
    /// `data.dir`.
    pub data: Option<PathBuf>,
    /// `server.dev_echo`.
    pub dev_echo: bool,
    /// `server.dev_faults`.
    pub dev_faults: bool,
}

impl Config {
    /// Reads the settings: `file` (else `cluster.toml` where there is one), then `environment`, then `overrides`; those of the
    /// dialects as their specifications say.
    ///
    /// # Errors
    /// When the file can't be read, or a setting is unknown, of the wrong type or out of bounds; the message names the
    /// setting and the file or variable that it stands in.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &Overrides,
        dialects: &[Spec],
    ) -> Result<Self, Error> {
        let path = file.unwrap_or(Path::new(FILE));
        let text = if file.is_some() || path.exists() {
            std::fs::read_to_string(path).map_err(|error| Error::File { path: path.to_owned(), error })?
        } else {
            String::new()
        };
        let environment: Vec<(String, String)> = environment.into_iter().collect();
        let places = Places { path, file: parsed(path, &text)?, environment: &environment, overrides };
        Self::combined(&text, &environment, overrides, dialects, &places).map_err(|error| places.named(error))
    }

    fn combined(
        text: &str,
        environment: &[(String, String)],
        overrides: &Overrides,
        specs: &[Spec],
        places: &Places<'_>,
    ) -> Result<Self, Error> {
        let settings = environment.iter().filter(|pair| is_setting(pair, specs)).cloned().collect();
        // Variables stay text here; what each stands for, its setting decides.
        let source = Environment::with_prefix(PREFIX).prefix_separator("_").separator("__").source(Some(settings));
        let builder = config::Config::builder().add_source(File::from_str(text, FileFormat::Toml)).add_source(source);
        let read = builder.build().map_err(|error| Error::Setting(format!("settings: {error}")))?;
        let typed = values::typed(&read.cache, specs)?;
        let mut config: Self = serde_path_to_error::deserialize(typed).map_err(|error| places.mistyped(&error))?;
        dialects::apply(&mut config, specs, places)?;
        cluster::apply(&mut config, environment);
        scylla::apply(&mut config, environment);
        overrides.apply(&mut config);
        let (gateway, store, nats) = (&mut config.gateway, &mut config.store.scylla, &mut config.nats);
        let lists =
            [&mut gateway.origins, &mut gateway.hosts, &mut gateway.proxies, &mut store.nodes, &mut nats.servers];
        for list in lists {
            // A list in a variable may have spaces, and an empty one is a list of nothing.
            list.iter_mut().for_each(|text| *text = text.trim().to_owned());
            list.retain(|text| !text.is_empty());
        }
        config.check()?;
        Ok(config)
    }

    /// The settings as names and values, for logs and operators; there is no secret among them.
    #[must_use]
    pub fn listed(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        if let Ok(value) = serde_json::to_value(self) {
            flatten("", &value, &mut all);
        }
        all
    }
}

fn is_ours((name, _): &(String, String), dialects: &[Spec]) -> bool {
    name.starts_with(PREFIX) || dialects::is_documented(name, dialects)
}

fn is_setting((name, _): &(String, String), dialects: &[Spec]) -> bool {
    ![FILE_VARIABLE, scylla::PASSWORD].contains(&name.as_str())
        && !dialects::is_secret(name, dialects)
        && !cluster::SECRETS.contains(&name.as_str())
        && !name.starts_with(DEV_PREFIX)
}

impl Overrides {
    fn apply(&self, config: &mut Config) {
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        if let Some(data) = &self.data {
            config.data.dir.clone_from(data);
        }
        config.server.dev_echo |= self.dev_echo;
        config.server.dev_faults |= self.dev_faults;
    }
}

/// Adds what is in a value under its names, with a dot between the parts of one.
pub(super) fn flatten(prefix: &str, value: &serde_json::Value, into: &mut BTreeMap<String, String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&name, field, into);
            }
        }
        other => {
            into.insert(prefix.to_owned(), other.to_string());
        }
    }
}
