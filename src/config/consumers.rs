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
        let is_same = |other: &(&String, &ConsumerSettings)| other.0 < name && other.1.path == settings.path;
        if let Some((other, _)) = config.consumers.iter().find(is_same) {
            let why = format!("consumers.{other} writes to the same file; each needs a file of its own");
            return Err(Error::Setting(format!("consumers.{name}.path: {why}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, facts: &[&str]) -> ConsumerSettings {
        let facts = facts.iter().map(|fact| (*fact).to_owned()).collect();
        ConsumerSettings { kind: ConsumerKind::File, path: path.into(), begins: Begins::Start, facts }
    }

    fn checked(consumers: &[(&str, ConsumerSettings)]) -> Result<(), String> {
        let consumers = consumers.iter().map(|(name, settings)| ((*name).to_owned(), settings.clone())).collect();
        check(&Config { consumers, ..Config::default() }).map_err(|error| error.to_string())
    }

    #[test]
    fn consumers_that_can_be_are_let_through() {
        let many = [("audit", file("audit.jsonl", &[])), ("posts_2", file("/var/posts.jsonl", &["posted", "edited"]))];
        assert_eq!(checked(&many), Ok(()));
        assert_eq!(checked(&[(&"a".repeat(32), file("a", &[]))]), Ok(()));
    }

    #[test]
    fn each_mistake_is_told_with_its_place() {
        let long = "a".repeat(33);
        for (name, settings, told) in [
            ("", file("a", &[]), "1 to 32 characters"),
            (&long, file("a", &[]), "1 to 32 characters"),
            ("Audit", file("a", &[]), "consumers.Audit: "),
            ("a:b", file("a", &[]), "consumers.a:b: "),
            ("audit", file("", &[]), "consumers.audit.path: name the file"),
            ("audit", file("a", &["posted", "sent"]), "consumers.audit.facts: there is no fact \"sent\""),
        ] {
            let said = checked(&[(name, settings)]).unwrap_err();
            assert!(said.contains(told), "{said:?} does not say {told:?}");
        }
        let said = checked(&[("one", file("a", &[])), ("two", file("a", &[]))]).unwrap_err();
        assert!(said.contains("consumers.two.path: consumers.one writes to the same file"), "{said}");
    }
}
