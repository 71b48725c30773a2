//! Where the settings come from: to read them again, and to say in which place a mistake stands.

use std::path::{Path, PathBuf};

use config::{File, FileFormat};

use super::dialects::Spec;
use super::{Config, Error, FILE, Overrides, PREFIX, words};

/// The places that settings are read from, so that they can be read again while the process runs.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file that was named; absent: `cluster.toml` where there is one.
    pub file: Option<PathBuf>,
    /// The variables of the process.
    pub environment: Vec<(String, String)>,
    /// What the command line says.
    pub overrides: Overrides,
    /// What the settings may say of dialects.
    pub dialects: Vec<Spec>,
}

impl Sources {
    /// Reads the settings as they are now.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn read(&self) -> Result<Config, Error> {
        Config::load(self.file.as_deref(), self.environment.iter().cloned(), &self.overrides, &self.dialects)
    }

    /// The file's path, whether it is there or not.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new(FILE))
    }
}

/// A file's settings, in whatever form they have.
///
/// # Errors
/// When it is not TOML.
pub(super) fn parsed(path: &Path, text: &str) -> Result<config::Config, Error> {
    let built = config::Config::builder().add_source(File::from_str(text, FileFormat::Toml)).build();
    built.map_err(|error| Error::Setting(format!("{}: {error}", path.display())))
}

/// The places of one reading.
pub(super) struct Places<'a> {
    pub path: &'a Path,
    pub file: config::Config,
    pub environment: &'a [(String, String)],
    pub overrides: &'a Overrides,
}

impl Places<'_> {
    /// Says of a setting that is out of its bounds where it stands.
    pub(super) fn named(&self, error: Error) -> Error {
        match error {
            Error::Bounds { place, setting, value, why } if place.is_empty() => {
                let place = self.of(&setting).map_or(place, |place| format!("{place}: "));
                Error::Bounds { place, setting, value, why }
            }
            other => other,
        }
    }

    /// Says of a setting that is unknown or of the wrong type where it stands.
    pub(super) fn mistyped(&self, error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
        let (setting, why) = (error.path().to_string(), error.inner().to_string());
        // Of an unknown one the path ends at the section that it stands in.
        let unknown = why.split('`').nth(1).map(|name| format!("{setting}.{name}"));
        let unknown = unknown.map(|name| name.trim_start_matches('.').to_owned());
        let place = unknown.and_then(|name| self.of(&name)).or_else(|| self.of(&setting));
        let (place, why) = (place.as_deref().unwrap_or("settings"), words::plain(&why));
        // At the top there is no section to name.
        if setting == "." {
            return Error::Setting(format!("{place}: {why}"));
        }
        Error::Setting(format!("{place}: {setting}: {why}"))
    }

    /// Where a setting was set: on the command line, by a variable or in the file; nowhere where it is a default.
    pub fn of(&self, setting: &str) -> Option<String> {
        match setting {
            "server.listen" if self.overrides.listen.is_some() => return Some("--listen".to_owned()),
            "data.dir" if self.overrides.data.is_some() => return Some("--data".to_owned()),
            _ => {}
        }
        let variable = format!("{PREFIX}_{}", setting.to_ascii_uppercase().replace('.', "__"));
        if self.environment.iter().any(|(name, _)| *name == variable) {
            return Some(variable);
        }
        self.file.get::<serde_json::Value>(setting).ok().map(|_| self.path.display().to_string())
    }
}
