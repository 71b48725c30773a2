//! Who follows logs: a destination for each kind of consumer, behind the port `actors/src/ports/consumer.rs`.

pub mod file;

use std::path::Path;
use std::sync::Arc;

use parlance_actors::ports::Consumer;

use crate::config::{Config, ConsumerKind, ConsumerSettings};

/// Makes the consumers that the settings name; each is called by its kind and its name there, such as `file:audit`.
///
/// # Errors
/// When a destination can't be used, in words.
pub fn configured(config: &Config) -> Result<Vec<Arc<dyn Consumer>>, String> {
    config.consumers.iter().map(|(name, settings)| one(&config.data.dir, name, settings)).collect()
}

fn one(data: &Path, name: &str, settings: &ConsumerSettings) -> Result<Arc<dyn Consumer>, String> {
    match settings.kind {
        ConsumerKind::File => {
            let (path, filter) = (data.join(&settings.path), settings.filter());
            let opened = file::File::open(format!("file:{name}"), &path, filter, settings.begins);
            let failed = |error| format!("consumers.{name}.path: {} can't be written: {error}", path.display());
            Ok(Arc::new(opened.map_err(failed)?))
        }
    }
}
