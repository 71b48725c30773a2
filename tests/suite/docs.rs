//! What is written about the system, against the system: links, codes, metrics, limits, paths.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use parlance::api::refusal::Refusal;
use parlance::cli::Cli;
use parlance::telemetry::METRICS;
use parlance_schema::fault::Retry;
use parlance_schema::{Code, limits};

/// Folders that hold what others wrote, or what was built.
const FOREIGN: [&str; 5] = ["target", "node_modules", ".git", ".cache", "data"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files under a folder with this extension.
fn files(folder: &Path, extension: &str, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !FOREIGN.iter().any(|name| path.ends_with(name)) {
                files(&path, extension, into);
            }
        } else if path.extension().is_some_and(|there| there == extension) {
            into.push(path);
        }
    }
}

/// A page without its blocks of code, and without code in its lines.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut out = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && !line.starts_with("    ") {
            let parts = line.split('`').step_by(2);
            out.push_str(&parts.collect::<Vec<_>>().join(""));
            out.push('\n');
        }
    }
    out
}

/// What the links of a page lead to.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(to, _)| to.to_owned()).collect()
}

/// The anchors of a page's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let heading = |line: &str| {
        let name = line.trim_start_matches('#').trim().to_lowercase();
        let kept = name.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().replace(' ', "-")
    };
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        fenced ^= line.trim_start().starts_with("```");
        !fenced && line.starts_with('#')
    });
    lines.map(heading).collect()
}

/// The cells of the rows of a table whose first cell is code, in order; the code without its quotes.
fn rows(text: &str) -> Vec<(String, Vec<String>)> {
    let row = |line: &str| {
        let cells: Vec<_> =
            line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(|c| c.trim().to_owned()).collect();
        let name = cells[0].strip_prefix('`')?.strip_suffix('`')?.to_owned();
        Some((name, cells[1..].to_vec()))
    };
    text.lines().filter_map(row).collect()
}

/// The part of a page under a heading, up to the next one of the same rank or above.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let begin = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("there is no {heading:?}"));
    let rest = &text[begin + heading.len() + 1..];
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

#[test]
fn links_lead_somewhere() {
    let mut pages = Vec::new();
    files(root(), "md", &mut pages);
    assert!(pages.iter().any(|page| page.ends_with("README.md")), "{pages:?}");
    let mut seen = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            seen += 1;
            let (file, anchor) = link.split_once('#').map_or((link.as_str(), None), |(f, a)| (f, Some(a)));
            let to = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(to.exists(), "{}: {link} leads nowhere", page.display());
            if let Some(anchor) = anchor {
                let there = anchors(&std::fs::read_to_string(&to).unwrap());
                assert!(there.contains(anchor), "{}: {link} leads nowhere in {there:?}", page.display());
            }
        }
    }
    assert!(seen > 20, "only {seen} links were found");
}

#[test]
fn the_table_of_codes_is_the_code_s() {
    let text = read("docs/protocol.md");
    let table = rows(section(&text, "## Codes"));
    let word = |retry: Retry| serde_json::to_value(retry).unwrap().as_str().unwrap().to_owned();
    let expected = Code::ALL.iter().map(|code| {
        let cells = [code.http().to_string(), code.close().to_string(), word(code.retry())];
        (code.word().to_owned(), cells.to_vec())
    });
    let found = table.into_iter().map(|(name, cells)| {
        assert!(cells.len() == 4 && !cells[3].is_empty(), "{name} has no meaning");
        (name, cells[..3].to_vec())
    });
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn the_table_of_metrics_is_the_code_s() {
    let text = read("docs/operating.md");
    let found: Vec<_> =
        rows(section(&text, "## Metrics")).into_iter().map(|(name, cells)| (name, cells.join("|"))).collect();
    let expected: Vec<_> = METRICS.iter().map(|(name, _, help)| ((*name).to_owned(), (*help).to_owned())).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_metric_that_is_named_is_measured() {
    let mut sources = Vec::new();
    files(&root().join("src"), "rs", &mut sources);
    files(&root().join("actors/src"), "rs", &mut sources);
    let code: String = sources
        .iter()
        .filter(|path| !path.ends_with("telemetry.rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let idle: Vec<_> = METRICS.iter().filter(|(name, ..)| !code.contains(&format!("\"{name}\""))).collect();
    assert!(idle.is_empty(), "nothing measures {idle:?}");
    let text = read("docs/operating.md");
    let alerts = section(&text, "## Alerts").split('`').skip(1).step_by(2);
    let unknown: Vec<_> = alerts.filter(|word| word.starts_with("parlance_")).collect();
    let known = |word: &&str| METRICS.iter().any(|(name, ..)| name == word);
    assert!(!unknown.is_empty() && unknown.iter().all(known), "an alert on what is not measured: {unknown:?}");
}

/// A path in backquotes that names a folder or file of this repository from its root.
fn named_paths(text: &str) -> Vec<&str> {
    let tops =
        ["src/", "actors/", "domain/", "schema/", "wal/", "tests/", "bench/", "web/", "fuzz/", "docs/", "scripts/"];
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|word| tops.iter().any(|top| word.starts_with(top)) && !word.contains(['*', ' ', '\n'])).collect()
}

#[test]
fn files_that_are_named_are_there() {
    let mut seen = 0;
    let docs = ["installing", "operating", "protocol", "reference", "semantics"].map(|page| format!("docs/{page}.md"));
    for page in ["README.md", "ARCHITECTURE.md"].map(String::from).into_iter().chain(docs) {
        let text = read(&page);
        for path in named_paths(&text) {
            seen += 1;
            assert!(root().join(path).exists(), "{page}: there is no {path}");
        }
    }
    assert!(seen > 40, "only {seen} paths were found");
}

#[test]
fn architecture_stays_short() {
    assert!(read("ARCHITECTURE.md").lines().count() <= 300);
}

#[test]
fn the_oldest_rust_is_told_right() {
    let manifest = read("Cargo.toml");
    let quoted =
        |key: &str| manifest.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
    let version = quoted("rust-version").unwrap();
    assert!(read("README.md").contains(&format!("is {version} (`rust-version`")), "{version}");
}

#[test]
fn every_reason_to_refuse_is_told() {
    let text = read("docs/reference.md");
    let (_, table) = section(&text, "## Checks on every request").split_once("| why | counted |").unwrap();
    let told: BTreeSet<_> =
        table.lines().filter(|l| l.starts_with("| `")).flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
    let words: BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.word()).collect();
    assert_eq!(words.len(), Refusal::ALL.len());
    assert_eq!(told, words);
}

/// The commands that do something, hidden ones left out: `parlance user add`.
fn commands(of: &clap::Command, name: &str, into: &mut BTreeSet<String>) {
    let shown: Vec<_> = of.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    if shown.is_empty() {
        into.insert(name.to_owned());
    }
    for command in shown {
        commands(command, &format!("{name} {}", command.get_name()), into);
    }
}

#[test]
fn every_command_is_told() {
    let mut there = BTreeSet::new();
    commands(&Cli::command(), "parlance", &mut there);
    let reference = read("docs/reference.md");
    let told: BTreeSet<_> =
        rows(section(&reference, "## The command line")).into_iter().map(|(command, _)| command).collect();
    assert_eq!(told, there, "docs/reference.md beside --help");
    let readme = read("README.md");
    let words: BTreeSet<_> =
        section(&readme, "## The command line").split('`').skip(1).step_by(2).flat_map(str::split_whitespace).collect();
    for command in there {
        assert!(command.split(' ').all(|word| words.contains(word)), "README.md doesn't name {command}");
    }
}

/// A number as people write it: 10,000.
fn grouped(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().ok().unwrap().to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[test]
fn the_table_of_limits_is_the_code_s() {
    let seconds = |ms: u64| format!("{} s", grouped(ms / 1_000));
    let values = [
        grouped(limits::MEMBERS_MAX),
        grouped(limits::MESSAGE_CHARS_MAX),
        grouped(limits::PARTS_MAX),
        grouped(limits::EDITS_MAX),
        grouped(limits::REACTIONS_MAX),
        format!("{}; {}", grouped(limits::META_KEYS_MAX), grouped(limits::META_BYTES_MAX)),
        format!("{}; {}", grouped(limits::FRAME_BYTES_MAX), grouped(limits::BODY_BYTES_MAX)),
        grouped(limits::DEPTH_MAX),
        grouped(limits::ROOMS_PER_USER_MAX),
        [limits::INVITES_MAX, limits::BANS_MAX, limits::MUTES_KEPT_MAX].map(grouped).join("; "),
        grouped(limits::CONNECTIONS_PER_USER),
        grouped(limits::CREDITS),
        grouped(limits::COMMANDS_PER_S),
        grouped(limits::ROOM_QUEUE_MAX),
        grouped(limits::RESUME_ENTRIES_MAX),
        format!("{}; {}", grouped(limits::PAGE_MAX), grouped(limits::PAGE_DEFAULT)),
        grouped(limits::OUTBOX_BYTES_MAX),
        seconds(limits::SLOW_CLOSE_MS),
        format!("{}; {}", seconds(limits::HEARTBEAT_MS), seconds(limits::SILENCE_MS)),
        format!("{}; {}", seconds(limits::COMMAND_DEADLINE_MS), seconds(limits::OPERATION_DEADLINE_MS)),
        format!("{}; {}", limits::PASSWORD_CHARS_MIN, limits::PASSWORD_BYTES_MAX),
        format!("{} s; {} s", grouped(limits::ACCESS_TOKEN_S), grouped(limits::REFRESH_TOKEN_S)),
    ];
    let text = read("docs/reference.md");
    let cells = section(&text, "## Limits").lines().filter(|line| line.starts_with("| ")).skip(1);
    let told: Vec<_> =
        cells.map(|line| line.split('|').nth(2).unwrap().split(" (`").next().unwrap().trim().to_owned()).collect();
    assert_eq!(told, values);
}

#[test]
fn the_index_of_decisions_is_whole() {
    let mut pages = Vec::new();
    files(&root().join("docs/decisions"), "md", &mut pages);
    pages.retain(|page| !page.ends_with("README.md"));
    pages.sort();
    let index = read("docs/decisions/README.md");
    let told: Vec<_> = index.lines().filter(|line| line.starts_with("| ") && line.contains("](")).collect();
    assert_eq!(told.len(), pages.len(), "a page has no row in docs/decisions/README.md, or a row no page");
    for (at, (page, row)) in pages.iter().zip(told).enumerate() {
        let (number, name) = (at + 1, page.file_name().unwrap().to_str().unwrap());
        assert!(name.starts_with(&format!("{number:04}-")), "{name} should begin with {number:04}-");
        let text = std::fs::read_to_string(page).unwrap();
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let title = lines.next().and_then(|line| line.strip_prefix(&format!("# {number}. ")));
        let date = lines.next().and_then(|line| line.strip_prefix("Decided on ")?.strip_suffix('.'));
        let (title, date) = title
            .zip(date)
            .unwrap_or_else(|| panic!("{name} should begin with '# {number}. Title', then 'Decided on 2026-11-21.'"));
        assert!(date.len() == 10 && date.split('-').map(str::len).eq([4, 2, 2]), "{name}: {date} is no date");
        assert_eq!(row, format!("| {number} | {date} | [{title}]({name}) |"));
    }
}
