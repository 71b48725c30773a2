//! Files that are broken, or made to do harm: a clear word, and never more memory than a row.

use proptest::prelude::*;

use super::{Format, MESSAGES, Options, Service, USERS, import, input, run};
use crate::store::memory;

/// What an import of such a users' file says.
async fn refused(name: &str, text: &[u8], format: Format) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let options = Options::new(input(path, format), &folder.path().join("data"));
    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    run(&memory().store, &options).await.map(|_| String::new()).unwrap_or_else(|error| error.to_string())
}

#[tokio::test]
async fn files_that_are_something_else_are_refused_whole() {
    for (text, told) in [
        (&b""[..], "no header"),
        (b"a,b,c\n1,2,3\n", "no column id, username"),
        (b"id,name\n", "no column username"),
        (b"\xff\xfe\x00", "no column"),
    ] {
        let said = refused("users.csv", text, Format::Csv).await;
        assert!(said.contains(told) && said.contains("users.csv"), "{said}");
    }
    let said = refused("users.json", b" \n [{\"id\": 1}]", Format::Jsonl).await;
    assert!(said.contains("jq -c"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let mut options = Service::small().write(folder.path());
    options.chats = Some(input(folder.path().join("not-there.csv"), Format::Csv));
    let error = run(&memory().store, &options).await.unwrap_err().to_string();
    assert!(error.contains("not-there.csv"), "{error}");
}

#[tokio::test]
async fn a_row_without_an_end_costs_no_memory() {
    // A quote that is never closed, and then three megabytes.
    let mut messages = "1,10,1,fine,2024-01-03T00:00:00Z,,,,\n2,10,1,\"open,".to_owned();
    messages.push_str(&"2024-01-03T00:00:00Z,,,,\n".repeat(3 << 20 >> 4));
    let done = import(&Service::with_messages(&messages)).await;
    assert_eq!((done.summary.tallies[3].imported, done.summary.tallies[3].refused), (1, 1), "{}", done.said);
    assert!(done.report.contains("is a quote not closed?"), "{}", done.report);
    // So with fields, and with lines; the rows after them are read.
    let fields = format!("2,10,1,x{}\n3,10,1,fine,2024-01-03T00:00:00Z,,,,\n", ",".repeat(5_000));
    let done = import(&Service::with_messages(&fields)).await;
    assert_eq!((done.summary.tallies[3].imported, done.summary.tallies[3].refused), (1, 1), "{}", done.said);
    let folder = tempfile::tempdir().unwrap();
    let mut options = Service::small().write(folder.path());
    let path = folder.path().join("m.jsonl");
    let long = format!(
        "{{\"id\": 1, \"x\": \"{}\"}}\n{{\"id\":2,\"chat_id\":10,\"sender_id\":1,\"content\":\"a\",\"timestamp\":1704300000}}\n",
        "y".repeat(3 << 20)
    );
    std::fs::write(&path, long).unwrap();
    options.messages = Some(input(path, Format::Jsonl));
    let (summary, said) = run(&memory().store, &options).await.unwrap();
    assert_eq!((summary.tallies[3].imported, summary.tallies[3].refused), (1, 1), "{said}");
}

#[tokio::test]
async fn lines_that_are_no_rows_are_refused_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Service::small().write(folder.path());
    let path = folder.path().join("m.jsonl");
    let mut text = Vec::new();
    let deep = format!("{{\"id\": 1, \"x\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for line in [
        &b"{"[..],
        b"[1]",
        b"null",
        b"{\"id\": 1, \"content\": \"\xff\"}",
        b"{\"id\": 1, \"content\": \"\\ud800\"}",
        b"{\"id\": [1]}",
        b"{\"id\": 1, \"content\": {\"text\": \"x\"}}",
        b"{\"id\": 1e400}",
        b"{\"id\": 1.5, \"chat_id\": 10}",
        b"{\"id\": -1}",
        b"{\"id\": 340282366920938463463374607431768211456}",
        b"{} trailing",
        deep.as_bytes(),
        b"{\"id\":2,\"chat_id\":10,\"sender_id\":1,\"content\":\"a\",\"timestamp\":1704300000,\"id\":3}",
    ] {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    std::fs::write(&path, text).unwrap();
    options.messages = Some(input(path, Format::Jsonl));
    let (summary, said) = run(&memory().store, &options).await.unwrap();
    let tally = summary.tallies[3];
    assert_eq!((tally.read, tally.imported, tally.refused), (14, 1, 13), "{said}");
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = Service::small().write(folder.path());
    let mut text = MESSAGES.as_bytes().to_vec();
    text.extend_from_slice(b"1,10,1,caf\xe9,2024-01-03T00:00:00Z,,,,\n2,10,1,caf\xc3\xa9,2024-01-03T00:00:00Z,,,,\n");
    std::fs::write(&options.messages.as_ref().unwrap().path, text).unwrap();
    let (summary, said) = run(&memory().store, &options).await.unwrap();
    assert_eq!((summary.tallies[3].imported, summary.tallies[3].refused), (1, 1));
    assert!(said.contains("messages row 1 (id 1): content: not UTF-8"), "{said}");
}

#[tokio::test]
async fn a_report_holds_no_formula_and_no_line_of_its_own() {
    let users = "1,\"=cmd|' /C calc'!A0\",,\"x\ny\",t,,\n2,\"a\"\"b,c\",,,t,,\n".to_owned();
    let done = import(&Service { users, ..Service::default() }).await;
    assert_eq!(done.report.lines().count(), 4, "{}", done.report);
    for line in done.report.lines().skip(1) {
        assert!(line.starts_with("changed,users,") && line.ends_with('"'), "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands in the files, the import ends, and every row is counted once.
    #[test]
    fn any_bytes_end_somehow(bytes in prop::collection::vec(any::<u8>(), 0..400), rows in "([0-9]{1,2}[,\"]?[a-z,\"\n]{0,9}){0,60}", json in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut options = Service::small().write(folder.path());
            let path = folder.path().join("any");
            for (header, body) in [(USERS, rows.as_bytes()), (USERS, &bytes), ("", &bytes)] {
                std::fs::write(&path, [header.as_bytes(), body].concat()).unwrap();
                let format = if json { Format::Jsonl } else { Format::Csv };
                options.users = input(path.clone(), format);
                if let Ok((summary, said)) = run(&memory().store, &options).await {
                    for tally in summary.tallies {
                        prop_assert_eq!(tally.read, tally.imported + tally.refused, "{}", said);
                    }
                }
            }
            Ok(())
        })?;
    }
}
