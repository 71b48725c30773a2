//! The signing keys: a file in the data folder, or the one that all nodes of a cluster are given, which a running server
//! reads again when it changes.
//!
//! The first key signs, all of them verify. A key that was replaced stays as long as a token that it signed may live.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{DecodingKey, EncodingKey};
use parlance_actors::ports::Random;
use parlance_schema::Millis;
use serde::{Deserialize, Serialize};

use super::random_bytes;
use super::verified_tokens::VerifiedTokens;
use crate::config;
use crate::secret::Secret;
use parlance_schema::limits::TOKEN_LIFE_S_MAX;

/// How often the file's time stamp is looked at, at most, in milliseconds.
const LOOK_MS: u64 = 1_000;
/// The file's name in the data folder.
pub(crate) const FILE: &str = "keys.json";
/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// Why the keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// Others could read the file.
    #[error(
        "{path} has mode {mode:04o}, so that others may read it; run `chmod 600 {path}`, then make new keys with `parlance keys rotate --drop-old`"
    )]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What is in the file is not a list of keys.
    #[error("{path} is not a key file: {why}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it; never its text.
        why: String,
    },
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    kid: String,
    secret: Secret,
    created_at: Millis,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    /// The newest first.
    keys: Vec<Stored>,
}

/// The keys as they were read at one time.
pub(super) struct Keys {
    /// The id of the key that signs.
    pub(super) kid: String,
    /// The key that signs.
    pub(super) signing: EncodingKey,
    verifying: HashMap<String, DecodingKey>,
    /// Tokens that they have signed.
    pub(super) seen: VerifiedTokens,
}

impl Keys {
    /// The key of that id.
    pub(super) fn verifying(&self, kid: &str) -> Option<&DecodingKey> {
        self.verifying.get(kid)
    }
}

/// What tells one version of the file from another: a replaced file is another inode.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, i64, i64, u64);

/// Permission bits that a key file of the node's own may not have.
const FOREIGN_BITS: u32 = 0o077;
/// The same for a file that a node was given: a mounted secret is often its group's to read.
const FOREIGN_BITS_GIVEN: u32 = 0o027;

/// The keys of one file.
pub struct KeyRing {
    path: PathBuf,
    foreign: u32,
    keys: RwLock<Arc<Keys>>,
    stamp: Mutex<Stamp>,
    started: Instant,
    /// Milliseconds after `started` when the file was last looked at.
    looked: AtomicU64,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing").field("path", &self.path).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// Opens a data folder's keys; makes the folder and a first key where there are none.
    ///
    /// # Errors
    /// When the file can't be read or made, is no key file, or others may read it.
    pub fn open(data: &Path, random: &dyn Random, now: Millis) -> Result<Self, KeyError> {
        let path = data.join(FILE);
        fs::create_dir_all(data).map_err(io(data))?;
        if !path.exists() {
            let _lock = lock(data)?;
            // Another process may have been quicker.
            if !path.exists() {
                write(&path, &Contents { keys: vec![fresh(random, now)] })?;
            }
        }
        Self::read(path, FOREIGN_BITS)
    }

    /// Opens the keys where the settings have them: in a file that was given, which must be there, or in the data folder.
    ///
    /// # Errors
    /// As for [`KeyRing::open`].
    pub fn configured(auth: &config::Auth, data: &Path, random: &dyn Random, now: Millis) -> Result<Self, KeyError> {
        if auth.keys_file.as_os_str().is_empty() {
            return Self::open(data, random, now);
        }
        Self::read(auth.keys_file.clone(), FOREIGN_BITS_GIVEN)
    }

    fn read(path: PathBuf, foreign: u32) -> Result<Self, KeyError> {
        let (keys, stamp) = read(&path, foreign)?;
        Ok(Self {
            path,
            foreign,
            keys: RwLock::new(Arc::new(keys)),
            stamp: Mutex::new(stamp),
            started: Instant::now(),
            looked: AtomicU64::new(0),
        })
    }

    /// The keys; the file is looked at first, if that was not done within the last second.
    pub(super) fn current(&self) -> Arc<Keys> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked.load(Ordering::Relaxed);
        if now - looked.min(now) >= LOOK_MS
            && self.looked.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.look();
        }
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys, after looking at the file: a token named a key that nobody knew.
    pub(super) fn latest(&self) -> Arc<Keys> {
        self.look();
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again if it is another one. What can't be read leaves the present keys in force.
    fn look(&self) {
        let mut stamp = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = fs::metadata(&self.path).map(|m| stamp_of(&m) != *stamp);
        if !matches!(changed, Ok(true)) {
            return;
        }
        match read(&self.path, self.foreign) {
            Ok((keys, new)) => {
                tracing::info!(kid = keys.kid, keys = keys.verifying.len(), "signing keys read again");
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                *stamp = new;
            }
            Err(error) => tracing::error!(%error, "signing keys not read again; the old ones stay in force"),
        }
    }
}

/// Puts a new signing key into a data folder's file and drops those that signed no token that can still be alive; with
/// `drop_old`, all others. Returns the new key's id and how many there are now.
///
/// # Errors
/// When the file can't be read or written.
pub fn rotate(data: &Path, random: &dyn Random, now: Millis, drop_old: bool) -> Result<(String, usize), KeyError> {
    fs::create_dir_all(data).map_err(io(data))?;
    let _lock = lock(data)?;
    let path = data.join(FILE);
    let mut keys = vec![fresh(random, now)];
    if path.exists() && !drop_old {
        keys.extend(contents(&path, FOREIGN_BITS)?.keys);
        retire(&mut keys, now);
    }
    let kid = keys[0].kid.clone();
    let count = keys.len();
    write(&path, &Contents { keys })?;
    Ok((kid, count))
}

/// Drops keys whose successor began to sign longer ago than a token lives. The newest come first.
fn retire(keys: &mut Vec<Stored>, now: Millis) {
    let alive = |successor: &Stored| now.saturating_sub(successor.created_at) <= TOKEN_LIFE_S_MAX * 1_000;
    let keep = 1 + keys.iter().take_while(|k| alive(k)).count();
    keys.truncate(keep);
}

fn fresh(random: &dyn Random, now: Millis) -> Stored {
    let kid = BASE64.encode(random_bytes::<9>(random));
    Stored { kid, secret: Secret::new(BASE64.encode(random_bytes::<KEY_BYTES>(random))), created_at: now }
}

fn read(path: &Path, foreign: u32) -> Result<(Keys, Stamp), KeyError> {
    // The stamp comes first: a file that is replaced in between is read once more, not missed.
    let meta = fs::metadata(path).map_err(io(path))?;
    let stored = contents(path, foreign)?.keys;
    let malformed = |why: &str| KeyError::Malformed { path: path.to_owned(), why: why.to_owned() };
    let mut verifying = HashMap::new();
    let mut signing = None;
    for key in &stored {
        let bytes = BASE64.decode(key.secret.reveal()).map_err(|_| malformed("a key is not in base64"))?;
        if bytes.len() < KEY_BYTES {
            return Err(malformed("a key has less than 256 bits"));
        }
        signing.get_or_insert_with(|| (key.kid.clone(), EncodingKey::from_secret(&bytes)));
        verifying.insert(key.kid.clone(), DecodingKey::from_secret(&bytes));
    }
    let (kid, signing) = signing.ok_or_else(|| malformed("there is no key in it"))?;
    Ok((Keys { kid, signing, verifying, seen: VerifiedTokens::default() }, stamp_of(&meta)))
}

fn contents(path: &Path, foreign: u32) -> Result<Contents, KeyError> {
    let mode = fs::metadata(path).map_err(io(path))?.mode() & 0o777;
    if mode & foreign != 0 {
        return Err(KeyError::Open { path: path.to_owned(), mode });
    }
    let text = fs::read(path).map_err(io(path))?;
    // The parser's own words might quote the file.
    serde_json::from_slice(&text).map_err(|e| KeyError::Malformed {
        path: path.to_owned(),
        why: format!("line {}, column {}", e.line(), e.column()),
    })
}

/// Writes the whole file beside the old one and puts it in its place, so that nobody sees half of it.
fn write(path: &Path, contents: &Contents) -> Result<(), KeyError> {
    let beside = path.with_extension("json.new");
    let text = serde_json::to_vec_pretty(contents)
        .map_err(|e| KeyError::Malformed { path: path.to_owned(), why: e.to_string() })?;
    let put = || -> std::io::Result<()> {
        match fs::remove_file(&beside) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    put().map_err(io(path))
}

/// Keeps other processes from writing the file until it is dropped.
fn lock(data: &Path) -> Result<File, KeyError> {
    let path = data.join("keys.lock");
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(io(&path))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).map_err(|e| io(&path)(e.into()))?;
    Ok(file)
}

fn stamp_of(meta: &fs::Metadata) -> Stamp {
    Stamp(meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len())
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> KeyError + '_ {
    move |error| KeyError::Io { path: path.to_owned(), error }
}

#[cfg(test)]
#[path = "keys/tests.rs"]
mod tests;
