//! Key files: made once, private, rotated under a running reader.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Numbers that never repeat.
#[derive(Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn bits(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

const DAY_MS: Millis = 24 * 3600 * 1_000;

fn kids(data: &Path) -> Vec<String> {
    contents(&data.join(FILE), FOREIGN_BITS).unwrap().keys.into_iter().map(|k| k.kid).collect()
}

#[test]
fn the_first_start_makes_one_private_key_and_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("new/data");
    let random = Counting::default();
    let first = KeyRing::open(&data, &random, 1).unwrap().current().kid.clone();
    assert_eq!(KeyRing::open(&data, &random, 2).unwrap().current().kid, first);
    assert_eq!(fs::metadata(data.join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = BASE64.decode(contents(&data.join(FILE), FOREIGN_BITS).unwrap().keys[0].secret.reveal()).unwrap();
    assert_eq!(secret.len(), 32);
}

#[test]
fn many_first_starts_at_once_agree_on_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let random = Counting::default();
    let kids: Vec<String> = std::thread::scope(|s| {
        let opening: Vec<_> =
            (0..8).map(|_| s.spawn(|| KeyRing::open(dir.path(), &random, 1).unwrap().current().kid.clone())).collect();
        opening.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(kids.iter().all(|k| *k == kids[0]), "{kids:?}");
}

#[test]
fn a_file_that_others_may_read_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let random = Counting::default();
    KeyRing::open(dir.path(), &random, 1).unwrap();
    let path = dir.path().join(FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = KeyRing::open(dir.path(), &random, 1).unwrap_err().to_string();
    assert!(error.contains("keys.json") && error.contains("0644") && error.contains("chmod 600"), "{error}");
}

#[test]
fn errors_show_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    for text in [
        "{\"keys\": [\"c2VjcmV0\"]}",
        "{\"keys\": []}",
        "c2VjcmV0",
        "{\"keys\": [{\"kid\": \"a\", \"secret\": \"c2VjcmV0\", \"created_at\": 1}]}",
    ] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = KeyRing::open(dir.path(), &Counting::default(), 1).unwrap_err();
        assert!(matches!(error, KeyError::Malformed { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("c2VjcmV0"), "{error}");
    }
}

#[test]
fn a_running_reader_sees_a_rotation_and_still_knows_the_old_key() {
    let dir = tempfile::tempdir().unwrap();
    let random = Counting::default();
    let ring = KeyRing::open(dir.path(), &random, 1).unwrap();
    let old = ring.current().kid.clone();
    let (new, count) = rotate(dir.path(), &random, 2, false).unwrap();
    assert_eq!(count, 2);
    let keys = ring.latest();
    assert_eq!(keys.kid, new);
    assert!(keys.verifying(&old).is_some());
    let (last, count) = rotate(dir.path(), &random, 3, true).unwrap();
    assert_eq!(count, 1);
    let keys = ring.latest();
    assert_eq!(keys.kid, last);
    assert!(keys.verifying(&old).is_none() && keys.verifying(&new).is_none());
}

#[test]
fn what_can_t_be_read_leaves_the_old_keys_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let ring = KeyRing::open(dir.path(), &Counting::default(), 1).unwrap();
    let kid = ring.current().kid.clone();
    fs::write(dir.path().join(FILE), "half a fi").unwrap();
    assert_eq!(ring.latest().kid, kid);
    fs::remove_file(dir.path().join(FILE)).unwrap();
    assert_eq!(ring.latest().kid, kid);
}

#[test]
fn a_key_goes_when_its_last_token_is_dead_however_old_it_is_itself() {
    let dir = tempfile::tempdir().unwrap();
    let random = Counting::default();
    rotate(dir.path(), &random, 0, false).unwrap();
    // A year later the first key has signed until this moment.
    let year = 365 * DAY_MS;
    rotate(dir.path(), &random, year, false).unwrap();
    let before = kids(dir.path());
    assert_eq!(before.len(), 2);
    rotate(dir.path(), &random, year + 30 * DAY_MS, false).unwrap();
    assert_eq!(kids(dir.path())[1..], before);
    rotate(dir.path(), &random, year + 31 * DAY_MS, false).unwrap();
    assert_eq!(kids(dir.path())[2..], before[..1]);
}

#[test]
fn rotations_at_once_lose_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let random = Counting::default();
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| rotate(dir.path(), &random, 1, false).unwrap());
        }
    });
    assert_eq!(kids(dir.path()).len(), 8);
}

#[test]
fn a_file_that_was_given_must_be_there_and_may_be_the_groups_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let (own, given) = (dir.path().join("own"), dir.path().join("secret/keys.json"));
    let random = Counting::default();
    let auth = config::Auth { keys_file: given.clone(), ..Default::default() };
    let open = || KeyRing::configured(&auth, &own, &random, 1);
    assert!(matches!(open(), Err(KeyError::Io { path, .. }) if path == given));
    assert!(!given.exists() && !own.exists(), "nothing is made");

    KeyRing::open(given.parent().unwrap(), &random, 1).unwrap();
    let mode = |mode| fs::set_permissions(&given, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o440);
    let kid = open().unwrap().current().kid.clone();
    assert_eq!(open().unwrap().current().kid, kid, "two nodes have one key");
    for foreign in [0o444, 0o460] {
        mode(foreign);
        assert!(matches!(open(), Err(KeyError::Open { .. })), "{foreign:o}");
    }
}
