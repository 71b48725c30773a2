//! Who follows logs: a destination for each kind of consumer, behind the port `actors/src/ports/consumer.rs`.

pub mod file;

use std::collections::BTreeMap;
use std::sync::Arc;

use parlance_actors::ports::Consumer;

use crate::config::{ConsumerKind, ConsumerSettings};

/// Makes the consumers that the settings name; each is called by its kind and its name there, such as `file:audit`.
///
/// # Errors
/// When a destination can't be used, in words.
pub fn configured(settings: &BTreeMap<String, ConsumerSettings>) -> Result<Vec<Arc<dyn Consumer>>, String> {
    settings.iter().map(|(name, settings)| one(name, settings)).collect()
}

fn one(name: &str, settings: &ConsumerSettings) -> Result<Arc<dyn Consumer>, String> {
    match settings.kind {
        ConsumerKind::File => {
            let filter = settings.filter();
            let opened = file::File::open(format!("file:{name}"), &settings.path, filter, settings.begins);
            let failed = |error| format!("consumers.{name}: {} can't be written: {error}", settings.path.display());
            Ok(Arc::new(opened.map_err(failed)?))
        }
    }
}
