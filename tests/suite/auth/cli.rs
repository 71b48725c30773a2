//! The command line, word by word, on a real data folder.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use parlance::cli::{self, Backend, Failure};
use parlance::config::dialects::Spec;
use parlance::config::{Config, Sources};
use parlance::dialect;
use parlance::store::{Sqlite, sqlite};
use parlance_actors::ports::store::{Begins, DeadLetter, Filter};
use parlance_actors::ports::{Clock, Random, Store};
use serde_json::Value;
use tempfile::TempDir;

use super::{Hand, PASSWORD, Urandom, World, login};
use crate::store::sample;

/// The embedded store, and a server that only says that it was asked to serve.
struct Embedded;

#[async_trait]
impl Backend for Embedded {
    async fn serve(&self, config: Config, _: Sources) -> Result<(), Failure> {
        Err(Failure::Other(format!("would serve on {}", config.server.listen)))
    }

    async fn open_store(&self, config: &Config) -> Result<Arc<dyn Store>, Failure> {
        match Sqlite::open(&config.data.dir, &sqlite::Options::default()) {
            Ok(store) => Ok(Arc::new(store)),
            Err(error @ sqlite::OpenError::InUse { .. }) => Err(Failure::InUse(error.to_string())),
            Err(error) => Err(Failure::Other(error.to_string())),
        }
    }

    async fn backup(&self, config: &Config, to: &Path) -> Result<(), Failure> {
        sqlite::backup(&config.data.dir, to).map_err(|e| Failure::Other(e.to_string()))
    }

    async fn sqlite_to_scylla(&self, _: &Config, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
        Ok(writeln!(out, "would move")?)
    }

    fn dialects(&self) -> Vec<Spec> {
        dialect::specs()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(Hand(AtomicU64::new(1_790_000_000_000)))
    }

    fn random(&self) -> Arc<dyn Random> {
        Arc::new(Urandom)
    }
}

async fn run(dir: &TempDir, words: &str, typed: &str) -> Result<String, Failure> {
    let data = dir.path().join("data");
    let words = ["parlance"].into_iter().chain(words.split_whitespace()).map(str::to_owned);
    let words: Vec<_> = words.chain(["--data".into(), data.to_str().unwrap().into()]).collect();
    let mut out = Vec::new();
    cli::run_words(&Embedded, words, typed, &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

async fn refused(dir: &TempDir, words: &str, typed: &str) -> String {
    run(dir, words, typed).await.unwrap_err().to_string()
}

#[tokio::test]
async fn an_account_from_its_making_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let id: u64 = run(&dir, "user add ada --password-stdin --role manager --email a@b.org", "correct horse\n")
        .await
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let listed = run(&dir, "user list", "").await.unwrap();
    let ada: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&ada["id"], &ada["username"], &ada["role"]), (&id.into(), &"ada".into(), &"manager".into()));
    assert!(!listed.contains("argon2"), "{listed}");
    run(&dir, "user role ada super_admin", "").await.unwrap();
    assert!(run(&dir, "user list --search AD", "").await.unwrap().contains("super_admin"));
    let token = run(&dir, &format!("user token {id} --hours 1"), "").await.unwrap();
    assert_eq!(token.trim().split('.').count(), 3);
    run(&dir, "user password a@b.org --password-stdin", "another password").await.unwrap();
    run(&dir, "user disable ada", "").await.unwrap();
    assert!(refused(&dir, "user token ada", "").await.contains("disabled"));
    assert_eq!(run(&dir, "user list", "").await.unwrap(), "");
    run(&dir, "user enable ada", "").await.unwrap();
    run(&dir, "user token ada", "").await.unwrap();
}

#[tokio::test]
async fn mistakes_are_told_in_words() {
    let dir = tempfile::tempdir().unwrap();
    run(&dir, "user add ada --no-password", "").await.unwrap();
    for (words, typed, told) in [
        ("user add ada --no-password", "", "taken"),
        ("user add 12345 --no-password", "", "plain number"),
        ("user add bob --password-stdin", "short\n", "at least 8 characters"),
        ("user add bob", "correct horse\n", "--password-stdin"),
        ("user add bob --no-password --password-stdin", "", "cannot be used with"),
        ("user role ada emperor", "", "readonly, user, manager"),
        ("user role nobody user", "", "no user nobody"),
        ("user token ada --tenant 2", "", "no user ada in tenant 2"),
        ("user token ada --hours 721", "", "a token's lifetime must be"),
        ("user token ada --hours 18446744073709551615", "", "a token's lifetime must be"),
        ("--listen nowhere", "", "nowhere"),
        ("fly", "", "fly"),
    ] {
        let error = refused(&dir, words, typed).await;
        assert!(error.contains(told), "{words:?}: {error:?} does not say {told:?}");
    }
}

#[tokio::test]
async fn a_folder_in_use_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    run(&dir, "user add ada --no-password", "").await.unwrap();
    let server = Sqlite::open(&dir.path().join("data"), &sqlite::Options::default()).unwrap();
    let error = refused(&dir, "user token ada", "").await;
    assert!(error.contains("in use") && error.contains("stop the server"), "{error}");
    // These two work all the same.
    run(&dir, "keys rotate", "").await.unwrap();
    let copy = dir.path().join("copy.db");
    run(&dir, &format!("backup --to {}", copy.display()), "").await.unwrap();
    assert!(copy.exists());
    drop(server);
    run(&dir, "user token ada", "").await.unwrap();
}

#[tokio::test]
async fn new_keys_are_not_made_where_no_server_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let (data, given) = (dir.path().join("data"), dir.path().join("given.json"));
    let config = |keys: &Path| {
        let file = dir.path().join("some.toml");
        let text = format!("[data]\ndir = '{}'\n[auth]\nkeys_file = '{}'", data.display(), keys.display());
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let rotate = |file: String| async move {
        let mut out = Vec::new();
        let done = cli::run_words(&Embedded, ["parlance", "--config", &file, "keys", "rotate"], "", &mut out).await;
        done.map(|()| String::from_utf8(out).unwrap())
    };
    let error = rotate(config(&given)).await.unwrap_err().to_string();
    assert!(error.contains(given.to_str().unwrap()) && error.contains("--data DIR keys rotate"), "{error}");
    assert!(!data.join("keys.json").exists());
    // Who names the folder makes keys for other places, and is told so.
    let told = run(&dir, &format!("--config {} keys rotate", config(&given)), "").await.unwrap();
    assert!(told.contains("put the new file in its place"), "{told}");
    let told = rotate(config(&data.join("keys.json"))).await.unwrap();
    assert!(told.ends_with("2 in the ring\n"), "{told}");
    // However the file is written.
    let told = rotate(config(&data.join("../data/./keys.json"))).await.unwrap();
    assert!(told.ends_with("3 in the ring\n"), "{told}");
    // Who drops the old keys is told to do just that elsewhere.
    let mut out = Vec::new();
    let words = ["parlance", "--config", &config(&given), "keys", "rotate", "--drop-old"];
    let error = cli::run_words(&Embedded, words, "", &mut out).await.unwrap_err().to_string();
    assert!(error.contains("--data DIR keys rotate --drop-old`"), "{error}");
}

#[tokio::test]
async fn seeding_makes_users_once_and_tokens_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let seed = |text: String| -> Vec<(u64, String, String)> {
        let line = |l: &str| serde_json::from_str::<Value>(l).unwrap();
        let field = |v: &Value, name: &str| v[name].as_str().unwrap().to_owned();
        text.lines().map(line).map(|v| (v["id"].as_u64().unwrap(), field(&v, "username"), field(&v, "token"))).collect()
    };
    let first = seed(run(&dir, "user seed --count 500 --prefix load", "").await.unwrap());
    assert_eq!(first.len(), 500);
    assert!(first.iter().enumerate().all(|(n, (_, name, _))| *name == format!("load{}", n + 1)));
    let again = seed(run(&dir, "user seed --count 510 --prefix load", "").await.unwrap());
    assert!(first.iter().zip(&again).all(|(a, b)| a.0 == b.0));
    let ids: std::collections::HashSet<_> = again.iter().map(|(id, ..)| id).collect();
    assert_eq!((again.len(), ids.len()), (510, 510));
}

#[tokio::test]
async fn serving_gets_its_settings() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("some.toml");
    std::fs::write(&file, "[server]\nlisten = '127.0.0.1:7'").unwrap();
    let named = format!("--config {}", file.display());
    assert_eq!(refused(&dir, &named, "").await, "would serve on 127.0.0.1:7");
    assert_eq!(refused(&dir, &format!("serve {named}"), "").await, "would serve on 127.0.0.1:7");
    assert_eq!(refused(&dir, &format!("{named} --listen 127.0.0.1:8"), "").await, "would serve on 127.0.0.1:8");
    assert_eq!(refused(&dir, &format!("serve {named} --listen 127.0.0.1:9"), "").await, "would serve on 127.0.0.1:9");
    assert!(run(&dir, "version", "").await.unwrap().starts_with("parlance "));
}

/// A room of one entry, and dead letters of `file:audit`: of that entry, and of one that retention has removed.
async fn buried(dir: &TempDir) -> u64 {
    let store = Sqlite::open(&dir.path().join("data"), &sqlite::Options::default()).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    store.append(sample::append(room, vec![sample::renamed(1, by)])).await.unwrap();
    store.register("file:audit", &Filter::default(), Begins::Start).await.unwrap();
    for seq in [1, 2] {
        let reason = "a disk that was full".to_owned();
        store.put_dead(&DeadLetter { consumer: "file:audit".to_owned(), room, seq, at: 5, reason }).await.unwrap();
    }
    room.get()
}

#[tokio::test]
async fn dead_letters_are_listed_and_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let room = buried(&dir).await;
    let read = |out: &str| -> Vec<Value> { out.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let listed = read(&run(&dir, "feed list", "").await.unwrap());
    assert_eq!((&listed[0]["name"], &listed[0]["dead_letters"]), (&"file:audit".into(), &2.into()));
    let shown = read(&run(&dir, "feed replay file:audit --dry-run", "").await.unwrap());
    assert_eq!(shown.len(), 2);
    assert_eq!((&shown[0]["seq"], &shown[0]["reason"]), (&1.into(), &"a disk that was full".into()));
    let told = refused(&dir, "feed replay file:audit", "").await;
    assert!(told.contains("settings here do not name file:audit"), "{told}");
    assert!(refused(&dir, "feed replay file:other", "").await.contains("no consumer"));
    let settings = dir.path().join("settings.toml");
    std::fs::write(&settings, "[consumers.audit]\nkind = 'file'\npath = 'audit.jsonl'\n").unwrap();
    let replay = format!("feed replay file:audit --config {}", settings.display());
    let given = read(&run(&dir, &replay, "").await.unwrap());
    assert!(given.len() == 2 && given.iter().all(|line| line["given"] == true), "{given:?}");
    let written = read(&std::fs::read_to_string(dir.path().join("data/audit.jsonl")).unwrap());
    assert_eq!(written.len(), 1, "of what is not there any more, nothing can be given");
    assert_eq!((&written[0]["room"], &written[0]["seq"]), (&room.into(), &1.into()));
    assert_eq!(run(&dir, &replay, "").await.unwrap(), "");
    assert_eq!(read(&run(&dir, "feed list", "").await.unwrap())[0]["dead_letters"], 0);
}

#[tokio::test]
async fn a_password_reset_ends_logins() {
    let world = World::new();
    let grant = world.register("bob").await;
    world.accounts.reset_password(grant.user.user.id, &"another password".into()).await.unwrap();
    assert!(world.who(&grant).await.is_err());
    assert!(world.accounts.login(login("bob", PASSWORD)).await.is_err());
    world.accounts.login(login("bob", "another password")).await.unwrap();
}
