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

const AT: &str = "2024-01-03T00:00:00Z,,,,";

/// Brings messages in, and checks that each row is accounted for; how many are imported, and the report.
async fn messages(text: &str) -> (u64, u64, String) {
    let done = import(&Service::with_messages(text)).await;
    let tally = done.summary.tallies[3];
    assert_eq!(tally.read, tally.imported + tally.refused, "{}", done.said);
    let posts = done.log(10).await.iter().filter(|entry| entry.message() == Some(entry.seq)).count();
    assert_eq!(posts as u64, tally.imported, "{}", done.said);
    (tally.imported, tally.refused, done.report)
}

#[tokio::test]
async fn a_quote_that_is_not_closed_swallows_nothing_in_silence() {
    let row = |id: u32, text: &str| format!("{id},10,1,{text},{AT}\n");
    // To the end of the file; up to a quoted field; up to one that ends its row; with each kind of line end.
    let open = row(1, "\"the size is 5");
    for (text, imported, refused) in [
        (open.clone() + &row(2, "two") + &row(3, "three"), 0, 3),
        (row(1, "one") + &row(2, "\"the size is 5") + &row(3, "three"), 1, 2),
        (open.clone() + &row(2, "two") + &row(3, "\"three\"") + &row(4, "four"), 1, 3),
        (open.clone() + &row(2, "two") + &row(3, "say \"\"") + &row(4, "four"), 0, 4),
        (open.clone() + &row(2, "x\"") + &row(3, "three"), 1, 2),
        (open.clone(), 0, 1),
        (open.trim_end().to_owned(), 0, 1),
        (row(1, "\"") + &row(2, "two"), 0, 2),
        (row(1, "\"a\" b") + &row(2, "two"), 1, 1),
        (row(1, "\"a\"\"") + &row(2, "two"), 0, 2),
        // What it would swallow has no sender, or an id that is none.
        (open.clone() + &format!("2,10,,the disk is 5\",{AT}\n") + &row(3, "three"), 1, 2),
        (open.clone() + &format!("x,10,1,the disk is 5\",{AT}\n") + &row(3, "three"), 1, 2),
    ] {
        for end in ["\n", "\r\n"] {
            let (done, no, report) = messages(&text.replace('\n', end)).await;
            assert_eq!((done, no), (imported, refused), "{text:?}: {report}");
            let first = if text.starts_with("1,10,1,one") { 2 } else { 1 };
            assert!(report.contains(&format!("refused,messages,{first},")), "{text:?}: {report}");
        }
    }
}

#[tokio::test]
async fn texts_of_several_lines_are_texts() {
    let text = "1,10,1,\"Dear all,\nhere are 3, 4, 5, 6, 7, 8, 9 and 10\n\n\"\"quoted\"\", 2024\r\n\",2024-01-03T00:00:00Z,,,,\n\
                2,10,1,\"5\"\" disk\",2024-01-03T00:00:00Z,,,,\r\n3,10,1,5\" disk,2024-01-03T00:00:00Z,,,,\r\
                4,10,1,\"\"\"\",2024-01-03T00:00:00Z,,,,";
    let (imported, refused, report) = messages(text).await;
    assert_eq!((imported, refused), (4, 0), "{report}");
}

#[tokio::test]
async fn what_may_mean_two_things_is_refused() {
    for (text, told) in [
        ("id,username,id\n1,ada,2\n", "column id twice"),
        ("id,username,USERNAME\n1,ada,bob\n", "column username twice"),
        ("\"id,username\n1,ada\n", "quote in its header"),
        ("id,username\n", "no user in it"),
        ("\u{feff}", "no header"),
        ("\n\n\n", "no header"),
    ] {
        let said = refused("users.csv", text.as_bytes(), Format::Csv).await;
        assert!(said.contains(told) && said.contains("users.csv"), "{text:?}: {said}");
    }
    for text in ["", "\n \n", "\u{feff}"] {
        let said = refused("users.jsonl", text.as_bytes(), Format::Jsonl).await;
        assert!(said.contains("no user in it"), "{text:?}: {said}");
    }
    // A mark of the byte order is none of the text.
    assert_eq!(refused("users.csv", "\u{feff}id,username\r\n1,ada\r\n".as_bytes(), Format::Csv).await, "");
    assert_eq!(refused("users.csv", "\u{feff}\"id\",\"username\"\r1,ada\r".as_bytes(), Format::Csv).await, "");
}

#[tokio::test]
async fn a_line_that_is_cut_off_is_refused_alone() {
    let folder = tempfile::tempdir().unwrap();
    let line = |id: u32| {
        format!("{{\"id\":{id},\"chat_id\":10,\"sender_id\":1,\"content\":\"text {id}\",\"timestamp\":1704300000}}")
    };
    let whole = format!("{}\r\n\n{}\n{}", line(1), line(2), line(3));
    for cut in whole.len() - line(3).len() + 1..whole.len() {
        let mut options = Service::small().write(folder.path());
        let path = folder.path().join("m.jsonl");
        std::fs::write(&path, &whole[..cut]).unwrap();
        options.messages = Some(input(path, Format::Jsonl));
        let (summary, said) = run(&memory().store, &options).await.unwrap();
        let tally = summary.tallies[3];
        assert_eq!((tally.read, tally.imported, tally.refused), (3, 2, 1), "{said}");
        assert!(said.contains("messages row 4"), "{said}");
    }
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
        b"{\"id\":4,\"chat_id\":10,\"sender_id\":1,\"content\":\"a\",\"timestamp\":1704300000,\"created_at\":1}",
    ] {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    std::fs::write(&path, text).unwrap();
    options.messages = Some(input(path, Format::Jsonl));
    let (summary, said) = run(&memory().store, &options).await.unwrap();
    let tally = summary.tallies[3];
    assert_eq!((tally.read, tally.imported, tally.refused), (15, 1, 14), "{said}");
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
