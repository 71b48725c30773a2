//! The store port: one conformance suite for every backend, and what is the embedded store's alone.

mod backup;
mod conformance;
mod damage;
mod folder;
mod full;
mod groups;
mod model;
pub mod sample;

use std::sync::Arc;

use parlance::store::sqlite::{Options, Synchronous};
use parlance::store::{Memory, Sqlite};
use parlance_actors::ports::Store;
use tempfile::TempDir;

/// A store for one test, and the folder that goes with it afterwards.
pub struct Bed {
    pub store: Arc<dyn Store>,
    _folder: Option<TempDir>,
}

pub fn memory() -> Bed {
    Bed { store: Arc::new(Memory::new()), _folder: None }
}

fn sqlite() -> Bed {
    sqlite_with(&Options::default())
}

/// Sentences in several scripts.
pub fn sample_sentences() -> Vec<String> {
    sample::SENTENCES.map(str::to_owned).to_vec()
}

/// For tests with many stores, none of which outlives its process.
pub fn quick_sqlite() -> Bed {
    sqlite_with(&Options { synchronous: Synchronous::Off, ..Options::default() })
}

fn sqlite_with(options: &Options) -> Bed {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path(), options).unwrap();
    Bed { store: Arc::new(store), _folder: Some(folder) }
}

mod on_memory {
    super::conformance::every_behaviour!(crate::store::memory);
}

mod on_sqlite {
    super::conformance::every_behaviour!(crate::store::sqlite);
}
