//! Libraries that are loaded into a server, with `LD_PRELOAD`, to make a worse world for it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the library of a source under `tests/`; an error says that there is no C compiler.
pub fn build(source: &str, folder: &Path) -> std::io::Result<PathBuf> {
    let library = folder.join("shim.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(source);
    let mut compiler = Command::new("cc");
    let built = compiler.args(["-O1", "-shared", "-fPIC", "-pthread", "-o"]).arg(&library).arg(source).output()?;
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Ok(library)
}
