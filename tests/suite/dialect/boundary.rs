//! What dialects may know: the parts of `parlance::api` and the vocabulary, no store, bus, actor or gateway.

use std::path::{Path, PathBuf};

/// Words that would name something else of parlance.
const FOREIGN: [&str; 14] = [
    "parlance_actors",
    "parlance_domain",
    "crate::auth",
    "crate::bus",
    "crate::cli",
    "crate::compose",
    "crate::config",
    "crate::gateway",
    "crate::import",
    "crate::membership",
    "crate::store",
    "parlance::gateway",
    "parlance::config",
    "parlance::auth",
];

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

#[test]
fn dialects_know_the_api_s_parts_and_the_vocabulary_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = vec![root.join("src/dialect.rs"), root.join("tests/suite/dialect/notices.rs")];
    files(&root.join("src/dialect"), &mut all);
    files(&root.join("tests/suite/dialect/notices"), &mut all);
    assert!(all.len() > 10, "{all:?}");
    for file in all {
        let text = std::fs::read_to_string(&file).unwrap();
        let found = FOREIGN.iter().find(|word| text.contains(**word));
        assert_eq!(found, None, "{}", file.display());
    }
}
