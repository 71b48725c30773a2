//! A chat-service's data brought in by the real binary: killed again and again, it comes to the same; and then it is served.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::raw::PATIENCE;
use crate::server::Setup;
use crate::text::sentence;

const BINARY: &str = env!("CARGO_BIN_EXE_parlance");
/// A bcrypt hash of `secret`, as Python's passlib makes it.
const BCRYPT: &str = "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW";
const MESSAGES: u64 = 3_000;

fn write(path: &Path, header: &str, rows: impl Iterator<Item = String>) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    writeln!(file, "{header}").unwrap();
    rows.for_each(|row| writeln!(file, "{row}").unwrap());
}

/// Ten users in a large chat and twenty small ones; one message leads nowhere.
fn files(folder: &Path) {
    let users = (1..=10).map(|u| format!("{u},user{u},u{u}@example.org,U {u},true,2024-01-01T00:00:00Z,,{BCRYPT}"));
    let header = "id,username,email,full_name,is_active,created_at,last_seen,hashed_password";
    write(&folder.join("users.csv"), header, users);
    let chats = (1..=21).map(|c| format!("{c},Chat {c},group,2024-01-02T00:00:00Z,2024-01-02T00:00:00Z,true"));
    write(&folder.join("chats.csv"), "id,name,chat_type,created_at,updated_at,is_active", chats);
    let members =
        (1..=21).flat_map(|c| (1..=10).map(move |u| format!("{u},{c},2024-01-02T00:00:0{}Z,{}", u - 1, u == 1)));
    write(&folder.join("participants.csv"), "user_id,chat_id,joined_at,is_admin", members);
    let message = |id: u64| {
        let chat = if id.is_multiple_of(3) { 1 + id % 21 } else { 1 };
        let (sender, text) = (1 + id % 10, sentence(id as usize).replace('"', "\"\""));
        let (edited, deleted, reply) = (
            id.is_multiple_of(7),
            id.is_multiple_of(11),
            if id.is_multiple_of(5) { (id - 1).to_string() } else { String::new() },
        );
        // Not in the order of their times.
        let at = 1_704_300_000_000 + id * 7_919 % 1_000_003;
        format!("{id},{chat},{sender},\"{text}\",{at},text,{edited},{deleted},{reply}")
    };
    let header = "id,chat_id,sender_id,content,timestamp,message_type,is_edited,is_deleted,reply_to";
    let lost = std::iter::once(format!("{},99,1,lost,1704300000000,text,,,", MESSAGES + 1));
    write(&folder.join("messages.csv"), header, (1..=MESSAGES).map(message).chain(lost));
}

fn command(folder: &Path, data: &Path) -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PARLANCE_")) {
        command.env_remove(name);
    }
    command.current_dir("/").args(["import", "chat-service"]).arg(folder).arg("--data").arg(data);
    command.args(["--batch-entries", "100", "--sort-bytes", "100000"]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &Path, data: &Path) -> Output {
    let out = command(folder, data).output().unwrap();
    assert_eq!(out.status.code(), Some(3), "one row is refused: {}", String::from_utf8_lossy(&out.stderr));
    out
}

fn open(data: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(data.join("parlance.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Pieces that an import has written; none before it began.
fn steps(data: &Path) -> u64 {
    let read = || open(data)?.query_row("SELECT step FROM import", [], |row| row.get::<_, i64>(0));
    read().map_or(0, |step| step as u64)
}

/// All rows of all tables but the database's own facts.
fn rows(data: &Path) -> Vec<String> {
    let db = open(data).unwrap();
    let mut tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'meta'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut all = Vec::new();
    for table in tables {
        let mut select = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let (columns, progress) = (select.column_count(), select.column_names().position(|name| name == "progress"));
        let mut rows = select.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            // The progress holds when it began and ended.
            let values = (0..columns).filter(|at| Some(*at) != progress).map(|at| row.get::<_, Sql>(at).unwrap());
            all.push(format!("{table} {:?}", values.collect::<Vec<_>>()));
        }
    }
    all.sort();
    all
}

/// What a server says that won't start on a folder.
fn server_refuses(data: &Path) -> String {
    let out = Command::new(BINARY).args(["--listen", "127.0.0.1:0", "--data"]).arg(data).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn an_import_that_is_killed_again_and_again_comes_to_the_same() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let out = run(folder.path(), &whole);
    let last = steps(&whole);
    assert!(last > 25, "{last} pieces are enough to be killed between them");
    let mut kills = 0;
    for after in (1..last - 2).step_by(4) {
        let mut child = command(folder.path(), &killed).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while steps(&killed) < after && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "piece {after} should be written");
            std::thread::sleep(Duration::from_millis(1));
        }
        kills += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        if after == 1 {
            let said = server_refuses(&killed);
            assert!(said.contains("has not come to its end"), "{said}");
        }
    }
    assert!(kills > 3, "it was killed only {kills} times");
    let again = run(folder.path(), &killed);
    println!("killed {kills} times in {last} pieces");
    let said = |out: &Output| String::from_utf8_lossy(&out.stdout).lines().take(6).collect::<Vec<_>>().join("\n");
    assert_eq!(
        said(&again).trim_start_matches("this import has come to its end before; nothing was written\n"),
        said(&out)
    );
    let (found, expected) = (rows(&killed), rows(&whole));
    assert_eq!(found.len(), expected.len());
    let other = found.iter().zip(&expected).find(|(a, b)| a != b);
    assert!(other.is_none(), "{other:?}");
    let report = |data: &Path| std::fs::read_to_string(data.join("import/report.csv")).unwrap();
    assert_eq!(report(&killed), report(&whole));
    assert!(!killed.join("import-scratch").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_brought_in_is_served() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    let data = folder.path().join("data");
    // The messages come through a pipe.
    let mut child = command(folder.path(), &data)
        .args(["--messages", "-", "--format", "csv"])
        .stdin(std::fs::File::open(folder.path().join("messages.csv")).unwrap())
        .spawn()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(!data.join("import-stdin").exists());
    let server = Setup::new(&data).start().await;
    for _ in 0..2 {
        // The first login makes a hash of the present kind.
        let (status, grant) =
            server.post("/v1/auth/login", "", &json!({"username": "user3", "password": "secret"})).await;
        assert_eq!(status, 200, "{grant}");
        let token = grant["access_token"].as_str().unwrap().to_owned();
        let path = "/v1/rooms/1/messages?limit=200";
        let client = reqwest::Client::new();
        let reply = client.get(format!("http://{}{path}", server.address())).bearer_auth(&token).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        let page: serde_json::Value = reply.json().await.unwrap();
        assert_eq!(page["items"].as_array().unwrap().len(), 200, "{page}");
        let (status, sent) = server.post("/v1/rooms/1/messages", &token, &json!({"content": {"text": "new"}})).await;
        assert_eq!(status, 201, "{sent}");
        assert!(sent["id"].as_u64().unwrap() > MESSAGES, "ids go on after the largest: {sent}");
    }
    let (status, _) = server.post("/v1/auth/login", "", &json!({"username": "user3", "password": "Secret"})).await;
    assert_eq!(status, 401);
    let hash: String =
        open(&data).unwrap().query_row("SELECT password FROM account WHERE user_id = 3", [], |row| row.get(0)).unwrap();
    assert!(hash.starts_with("$argon2id$"), "{hash}");
}

#[test]
fn a_folder_that_is_in_use_and_files_that_are_missing_are_told() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    let data = folder.path().join("data");
    let told = |arguments: &[&str]| {
        let out = Command::new(BINARY)
            .args(["import", "chat-service", "--data"])
            .arg(&data)
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(1));
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    assert!(told(&[]).contains("--users"));
    let users = folder.path().join("users.csv").display().to_string();
    assert!(told(&["--users", &users, "--messages", &users]).contains("--chats"));
    assert!(told(&["--users", "/etc/hostname"]).contains("--format"));
    assert!(told(&["--users", "/nowhere/users.csv"]).contains("/nowhere/users.csv"));
    assert!(told(&["--users", "-"]).contains("--format"));
}

#[test]
fn a_quote_that_is_not_closed_and_a_second_file_are_no_success() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    let messages = "id,chat_id,sender_id,content,timestamp\n1,1,1,\"the size is 5,1704300000000\n\
                    2,1,1,two,1704300000001\n3,1,1,three,1704300000002\n";
    std::fs::write(folder.path().join("messages.csv"), messages).unwrap();
    let out = command(folder.path(), &folder.path().join("data")).output().unwrap();
    assert_eq!(out.status.code(), Some(3), "{}", String::from_utf8_lossy(&out.stderr));
    let said = String::from_utf8_lossy(&out.stdout);
    let counts = said.lines().find(|line| line.starts_with("messages ")).unwrap();
    assert_eq!(counts.split_whitespace().collect::<Vec<_>>(), ["messages", "3", "0", "0", "3"], "{said}");
    assert!(said.contains("refused: messages row 1"), "{said}");
    std::fs::write(folder.path().join("users.jsonl"), "").unwrap();
    let out = command(folder.path(), &folder.path().join("other")).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && said.contains("users.csv") && said.contains("users.jsonl"), "{said}");
}
