//! The settings of consumers that follow logs: a section for each, `[consumers.NAME]`.

use std::path::PathBuf;

use parlance_actors::ports::store::{Begins, Filter};
use parlance_schema::entry::FACTS;
use parlance_schema::limits::{CONSUMER_NAME_BYTES_MAX, CONSUMERS_MAX};
use serde::{Deserialize, Serialize};

use super::{Config, Error};

/// What a consumer gives entries to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsumerKind {
    /// A file, one JSON object a line.
    File,
}

/// A consumer that follows the logs of all rooms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerSettings {
    /// What it gives entries to.
    pub kind: ConsumerKind,
    /// The file, for one that writes to a file; a relative path begins in the data folder.
    #[serde(default)]
    pub path: PathBuf,
    /// Where it begins when it is registered for the first time: with each log's first entry, or with what comes from now on.
    #[serde(default)]
    pub begins: Begins,
    /// The facts that it is given, such as `posted`; none is all.
    #[serde(default)]
    pub facts: Vec<String>,
}

impl ConsumerSettings {
    /// Which entries it is given.
    #[must_use]
    pub fn filter(&self) -> Filter {
        Filter { facts: self.facts.clone() }
    }
}

/// Refuses consumers that can't be.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    if config.consumers.len() > CONSUMERS_MAX {
        return Err(Error::Setting(format!("consumers: there can be {CONSUMERS_MAX} at most")));
    }
    for (name, settings) in &config.consumers {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > CONSUMER_NAME_BYTES_MAX / 2 || !name.chars().all(good) {
            let most = CONSUMER_NAME_BYTES_MAX / 2;
            let why = format!("a consumer's name has 1 to {most} characters, of a-z, 0-9, - and _");
            return Err(Error::Setting(format!("consumers.{name}: {why}")));
        }
        if let Some(fact) = settings.facts.iter().find(|fact| !FACTS.contains(&fact.as_str())) {
            let why = format!("there is no fact {fact:?}; there are {}", FACTS.join(", "));
            return Err(Error::Setting(format!("consumers.{name}.facts: {why}")));
        }
        if settings.path.as_os_str().is_empty() {
            return Err(Error::Setting(format!("consumers.{name}.path: name the file that it writes to")));
        }
    }
    Ok(())
}
