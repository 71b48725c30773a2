//! docs/protocol.md, against the code: rates, numbers, fields, words.

use parlance::config::Config;
use parlance_schema::fault::Limit;
use parlance_schema::limits;
use parlance_schema::push::Push;
use parlance_schema::{Code, Fault, UserId};
use serde_json::Value;

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cells of a table's rows, without backquotes; the table follows a head.
fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    let (_, rest) = page.split_once(head).unwrap_or_else(|| panic!("there is no table {head:?}"));
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let inner = row.trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    rows.map(cells).collect()
}

fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

#[test]
fn the_rates_are_the_settings() {
    let page = read("docs/protocol.md");
    let rates = Config::default().rates;
    let row = |limit, per_s: String, burst: String| vec![word(limit), per_s, burst];
    let expected = [
        row(Limit::AddressRate, rates.address_per_s.to_string(), rates.address_burst.to_string()),
        row(Limit::AttemptRate, rates.attempts_per_s.to_string(), rates.attempts_burst.to_string()),
        row(Limit::UserRate, rates.user_per_s.to_string(), rates.user_burst.to_string()),
        row(Limit::CommandRate, limits::COMMANDS_PER_S.to_string(), limits::COMMANDS_PER_S.to_string()),
    ];
    let found = table(&page, "| `limit` | what counts | a second | at once |");
    let found: Vec<_> =
        found.into_iter().map(|cells| vec![cells[0].clone(), cells[2].clone(), cells[3].clone()]).collect();
    assert_eq!(found, expected);
    let config = Config::default().limits;
    for (limit, number, what) in [
        (Limit::UserConnections, config.connections_per_user, "WebSockets of one user"),
        (Limit::AddressConnections, config.connections_per_address, "connections of one address"),
    ] {
        let told = format!("`{}` ({number} {what})", word(limit));
        assert!(page.contains(&told), "{told}");
    }
}

#[test]
fn deadlines_and_numbers_are_the_limits() {
    let page = read("docs/protocol.md");
    let told = [
        format!("The reply to a command to a room comes within {} seconds", limits::COMMAND_DEADLINE_MS / 1_000),
        format!("answered within {} seconds", limits::OPERATION_DEADLINE_MS / 1_000),
        format!(
            "The server pings after {} s of silence and closes after {} s",
            limits::HEARTBEAT_MS / 1_000,
            limits::SILENCE_MS / 1_000
        ),
        format!("a message over {} KiB", limits::FRAME_BYTES_MAX / 1_024),
        format!("there are at most {} parts", limits::PARTS_MAX),
        format!("the language's name has at most {} bytes", limits::CODE_LANGUAGE_BYTES_MAX),
        format!("at most {} keys", limits::META_KEYS_MAX),
        format!("good for {} minutes", limits::ACCESS_TOKEN_S / 60),
    ];
    for text in told {
        assert!(page.contains(&text), "docs/protocol.md does not say {text:?}");
    }
    let decisions = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/decisions")).unwrap();
    let once = decisions.map(|entry| entry.unwrap().path()).find(|path| path.to_string_lossy().contains("once-inside"));
    let once = std::fs::read_to_string(once.unwrap()).unwrap();
    assert!(once.contains(&format!("the last {} commands", limits::ROOM_RECENT_MAX)));
    assert!(read("docs/reference.md").contains(&format!("| {} s;", limits::COMMAND_DEADLINE_MS / 1_000)));
}

#[test]
fn hello_and_faults_have_the_fields_that_are_told() {
    let page = read("docs/protocol.md");
    let fields =
        |value: &Value| value.as_object().unwrap().keys().filter(|key| *key != "push").cloned().collect::<Vec<_>>();
    let hello = Push::Hello {
        session: 1,
        user: UserId::new(1),
        now: 1,
        credits: 1,
        heartbeat_ms: 1,
        requests_per_s: 1,
        token_expires_at: 1,
    };
    let rows = table(&page, "| push | fields | meaning |");
    let told = rows.iter().find(|row| row[0] == "hello").unwrap()[1].replace('`', "");
    let mut told: Vec<_> = told.split(", ").map(str::to_owned).collect();
    let mut there = fields(&serde_json::to_value(&hello).unwrap());
    told.sort();
    there.sort();
    assert_eq!(told, there);
    let fault = Fault::rate_limited(Limit::UserRate, "no", 5);
    assert_eq!(fault.code, Code::RateLimited);
    for field in fields(&serde_json::to_value(&fault).unwrap()) {
        assert!(page.contains(&format!("\"{field}\"")), "the fault's {field} is not told");
    }
}
