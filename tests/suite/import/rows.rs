//! What becomes of rows: names that are changed, rows that are refused, and the report that says so.

use parlance_actors::ports::store::Who;
use parlance_schema::UserId;
use parlance_schema::entry::Fact;
use parlance_schema::id::TENANT_DEFAULT;

use super::{CHATS, Format, NOW, Options, PARTICIPANTS, Service, USERS, import, input, log, picture, run};
use crate::store::memory;

/// The columns of messages that say when they were edited.
const MESSAGES: &str = "id,chat_id,sender_id,content,timestamp,message_type,is_edited,reply_to,edited_at\n";

#[tokio::test]
async fn names_that_cannot_be_kept_are_changed_and_told() {
    let long = "n".repeat(70);
    let users = format!(
        "1,ada,ada@example.org,Ada,true,2024-01-01T00:00:00Z,\n\
         2,ADA,ADA@example.org,Other Ada,true,2024-01-01T00:00:00Z,\n\
         3,12345,nobody,X,true,2024-01-01T00:00:00Z,\n\
         4,a b@c,x@y.org,\"two\nlines\",perhaps,soon,later\n\
         5,{long},,{long}{long},true,,\n\
         6,ab,,,t,,\n\
         7,,,,t,,\n\
         7,seven,,,t,,\n\
         7,seven,,,t,,\n\
         ٣,eight,,,t,,\n"
    );
    let done = import(&Service { users, ..Service::default() }).await;
    let account = async |id| done.store.account(Who::Id(UserId::new(id))).await.unwrap().unwrap();
    let names = [(1, "ada"), (2, "ADA-2"), (3, "user-12345"), (4, "a_b_c"), (6, "ab-6"), (7, "user-7")];
    for (id, name) in names {
        assert_eq!(account(id).await.username, name);
    }
    assert_eq!(account(5).await.username, "n".repeat(50));
    assert_eq!(account(5).await.full_name, "n".repeat(100));
    assert_eq!(account(5).await.created_at, NOW);
    assert_eq!((account(2).await.email, account(3).await.email), (None, None));
    let four = account(4).await;
    assert_eq!((four.full_name.as_str(), four.active, four.last_seen), ("two lines", false, None));
    assert_eq!(account(6).await.full_name, "ab-6", "whoever has no name is called by the username");
    assert!(account(1).await.password.is_none());
    let tally = done.summary.tallies[0];
    assert_eq!((tally.read, tally.imported, tally.refused, tally.changed), (10, 7, 3, 6), "{}", done.report);
    for told in [
        "changed,users,2,2,\"the username ADA is taken; it is ADA-2 now\"",
        "changed,users,2,2,\"somebody has the e-mail address",
        "changed,users,3,3,\"the e-mail address was left out",
        "changed,users,4,4,\"is_active is neither true nor false: the account is disabled\"",
        "changed,users,4,4,\"created_at is not a time in RFC 3339",
        "changed,users,7,7,\"a username must have 3 to 50 characters; this one has 0 characters; it is user-7 now\"",
        "refused,users,8,7,\"another user before it has this id\"",
        "refused,users,9,7,\"another user before it has this id\"",
        "refused,users,10,,\"id: not an integer",
    ] {
        assert!(done.report.contains(told), "{told}: {}", done.report);
    }
    assert!(done.said.contains("refused: users row 8 (id 7): another user"), "{}", done.said);
}

#[tokio::test]
async fn names_that_show_nothing_are_no_names() {
    let blank = "\u{200b}".repeat(100);
    let users = format!("1,ada,,{blank}Ada,true,,\n2,bob,,\u{3164},true,,\n");
    let chats = format!(
        "10,\u{200b},group,,,true\n11,{blank}Sales,group,,,true\n12,\u{3164}\u{2800}\u{ad}\u{7},group,,,true\n"
    );
    let participants = "1,10,,true\n1,11,,true\n1,12,,true\n".to_owned();
    let done = import(&Service { users, chats, participants, messages: String::new() }).await;
    for (id, name) in [(1, "ada"), (2, "bob")] {
        let account = done.store.account(Who::Id(UserId::new(id))).await.unwrap().unwrap();
        assert_eq!(account.full_name, name);
    }
    for chat in [10, 11, 12] {
        let Fact::Created { name, .. } = &done.log(chat).await[0].fact else { panic!("room {chat} was not opened") };
        assert_eq!(*name, format!("Chat {chat}"));
    }
}

#[tokio::test]
async fn an_import_goes_on_with_all_of_its_files_alone() {
    let (folder, bed) = (tempfile::tempdir().unwrap(), memory());
    let store = &bed.store;
    let whole = Service::small().write(folder.path());
    run(store, &Options { chats: None, participants: None, messages: None, ..whole.clone() }).await.unwrap();
    let refused = run(store, &whole).await.unwrap_err().to_string();
    assert!(refused.contains("--again"), "more files than it had: {refused}");
    run(store, &Options { again: true, ..whole.clone() }).await.unwrap();
    let (summary, _) = run(store, &whole).await.unwrap();
    assert!(summary.before);
}

#[tokio::test]
async fn passwords_that_can_be_checked_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.csv");
    let bcrypt = "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW";
    let argon = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM$iUr0/y4tJvPOFfd6fhwl20W04gQ56ZYXcroZnK3bAB4";
    let rows = format!("id,username,hashed_password\n1,ada,{bcrypt}\n2,bob,\"{argon}\"\n3,cyd,hunter22\n4,dan,\n");
    std::fs::write(&path, rows).unwrap();
    let bed = memory();
    let options = Options::new(input(path, Format::Csv), folder.path());
    let (summary, _) = run(&bed.store, &options).await.unwrap();
    assert_eq!((summary.tallies[0].imported, summary.tallies[0].changed), (4, 1));
    for (name, kept) in [("ada", Some(bcrypt)), ("bob", Some(argon)), ("cyd", None), ("dan", None)] {
        let account = bed.store.account(Who::Username(TENANT_DEFAULT, name)).await.unwrap().unwrap();
        assert_eq!(account.password.as_deref(), kept, "{name}");
    }
    let report = std::fs::read_to_string(&summary.report).unwrap();
    assert!(report.contains("set a password") && !report.contains("hunter22"), "{report}");
}

#[tokio::test]
async fn rows_that_lead_nowhere_are_refused_and_the_rest_is_not() {
    let long = "x".repeat(10_001);
    let mut service = Service::with_messages(&format!(
        "1,10,1,fine,2024-01-03T00:00:00Z,,,,\n\
         2,99,1,no chat,2024-01-03T00:00:00Z,,,,\n\
         3,10,99,no user,2024-01-03T00:00:00Z,,,,\n\
         4,10,1,{long},2024-01-03T00:00:00Z,,,,\n\
         5,10,1,{long},2024-01-03T00:00:00Z,,,true,\n\
         6,10,1,,2024-01-03T00:00:00Z,,,,\n\
         7,10,1,no time,,,,,\n\
         8,10,1,bad time,yesterday,,,,\n\
         9,10,1,bad truth,2024-01-03T00:00:00Z,,maybe,,\n\
         -10,10,1,bad id,2024-01-03T00:00:00Z,,,,\n\
         9007199254740992,10,1,too large,2024-01-03T00:00:00Z,,,,\n\
         1,10,1,twice,2024-01-03T00:00:00Z,,,,\n\
         12,10,1,short row\n\
         13,10,1,a \0 byte,2024-01-03T00:00:00Z,,,,\n\
         14,10,1,fine too,2024-01-03T00:00:00Z,,,,\n"
    ));
    service.participants += "9,10,,\n1,10,,\n1,98,,\nx,10,,\n1,10,soon,\n";
    service.chats += "10,again,group,,,\n11,odd,channel,,,\n,none,group,,,\n";
    let done = import(&service).await;
    let [_, chats, participants, messages] = done.summary.tallies;
    assert_eq!((chats.imported, chats.refused), (1, 3), "{}", done.report);
    assert_eq!((participants.imported, participants.refused), (4, 5), "{}", done.report);
    assert_eq!((messages.read, messages.imported, messages.refused), (15, 4, 11), "{}", done.report);
    for told in [
        "messages,2,2,\"there is no chat 99",
        "messages,3,3,\"there is no user 99",
        "messages,4,4,\"content: the message is too long: it must have at most 10000 characters",
        "messages,6,6,\"content: the message is empty",
        "messages,7,7,\"timestamp: missing",
        "messages,8,8,\"timestamp: not a time",
        "changed,messages,9,9,\"is_edited is neither",
        "messages,10,,\"id: not an integer",
        "messages,11,,\"id: not an integer",
        "messages,12,1,\"another message before it has this id",
        "messages,13,,\"the row has 4 fields, the header 9",
        "messages,14,13,\"content: `text` must not contain the character NUL",
        "participants,7,1,\"there is no chat 98",
        "chats,2,10,\"another chat before it",
        "chats,3,11,\"chat_type: neither direct nor group",
    ] {
        assert!(done.report.contains(told), "{told}: {}", done.report);
    }
    let log = done.log(10).await;
    assert_eq!(log.iter().filter(|e| e.message() == Some(e.seq)).count(), 4);
}

#[tokio::test]
async fn the_report_is_bounded_and_the_counts_are_not() {
    let mut service = Service::small();
    for id in 0..10_500 {
        service.messages += &format!("{},10,99,x,2024-01-03T00:00:00Z,,,,\n", id + 1);
    }
    let done = import(&service).await;
    assert_eq!(done.summary.refused(), 10_500);
    assert_eq!(done.report.lines().count(), 10_001);
    assert!(done.said.contains("… and 10480 more") && done.said.contains("first 10000 rows"), "{}", done.said);
    assert!(done.said.lines().count() < 40);
}

#[tokio::test]
async fn json_lines_and_csv_come_to_the_same() {
    let service = Service::with_messages(
        "101,10,2,\"Hello, \"\"world\"\"\nand 今日は 🌸\",2024-01-02T00:00:01Z,image,false,false,\n\
         102,10,1,see,2024-01-02T00:00:02Z,,true,false,101\n",
    );
    let csv = import(&service).await;
    let folder = tempfile::tempdir().unwrap();
    let mut options = service.write(folder.path());
    let jsonl = |name: &str, lines: &str| {
        let path = folder.path().join(format!("{name}.jsonl"));
        std::fs::write(&path, lines).unwrap();
        input(path, Format::Jsonl)
    };
    options.users = jsonl(
        "users",
        r#"{"id": 1, "username": "ada", "email": "ada@example.org", "full_name": "Ada L.", "is_active": true, "created_at": "2024-01-01T00:00:00Z", "last_seen": "2024-05-01T00:00:00Z", "extra": {"a": [1, 2]}}
{"username": "bob", "id": "2", "email": "bob@example.org", "full_name": "Bob", "is_active": 1, "created_at": 1704067200, "last_seen": null}

{"id": 3, "username": "cyd", "full_name": "Cyd", "created_at": 1704067200000}
{"id": 4, "username": "dan", "email": "", "full_name": "Dan", "is_active": false, "created_at": 1704067200.0}
"#,
    );
    options.messages = Some(jsonl(
        "messages",
        "\u{feff}{\"id\":101,\"chat_id\":10,\"sender_id\":2,\"content\":\"Hello, \\\"world\\\"\\nand \\u4eca日は \\ud83c\\udf38\",\
         \"timestamp\":\"2024-01-02T00:00:01Z\",\"message_type\":\"image\"}\r\n\
         {\"id\":102,\"chat_id\":10,\"sender_id\":1,\"content\":\"see\",\"timestamp\":\"2024-01-02T00:00:02Z\",\
         \"is_edited\":true,\"reply_to\":101}",
    ));
    let bed = memory();
    let (summary, said) = run(&bed.store, &options).await.unwrap();
    assert_eq!(summary.refused(), 0, "{said}");
    assert_eq!(summary.tallies, csv.summary.tallies);
    assert_eq!(picture(&*bed.store, 200).await, picture(&*csv.store, 200).await);
}

#[tokio::test]
async fn a_user_is_taken_in_whatever_names_are_taken() {
    let users = "1,ada,,,t,,\n3,ada-2,,,t,,\n5,ada-2-2,,,t,,\n2,ADA,,,t,,\n4,ｱﾀﾞ,,,t,,\n6,アダ,,,t,,\n7,caf\u{e9},,,t,,\n\
                 8,cafe\u{301},,,t,,\n9,\u{3164}\u{3164}\u{3164},,,t,,\n10,ﬁona x,,,t,,\n";
    // The digits 0 to 9 can't stand beside Arabic-Indic ones.
    let sara = "\u{633}\u{627}\u{631}\u{629}\u{661}";
    let users = format!("{users}11,{sara},,,t,,\n12,user-18,,,t,,\n17,{sara},,,t,,\n18,{sara},,,t,,\n");
    let service = Service { users, ..Service::default() };
    for bed in [memory(), crate::store::quick_sqlite()] {
        let done = super::import_into(bed.store.clone(), &service).await;
        let tally = done.summary.tallies[0];
        assert_eq!((tally.read, tally.imported, tally.refused), (14, 14, 0), "{}", done.report);
        for (id, name) in [
            (2, "ADA-2-3"),
            (11, sara),
            (17, "user-17"),
            (18, "user-18-2"),
            (4, "アダ-4"),
            (6, "アダ-6"),
            (8, "caf\u{e9}-8"),
            (9, "user-9"),
            (10, "fiona_x"),
        ] {
            let account = done.store.account(Who::Id(UserId::new(id))).await.unwrap().unwrap();
            assert_eq!(account.username, name);
        }
        assert!(done.report.contains("changed,users,4,2,\"the username ADA is taken; it is ADA-2-3 now\""));
    }
}

#[tokio::test]
async fn what_a_row_can_do_without_refuses_no_row() {
    let (folder, bed) = (tempfile::tempdir().unwrap(), memory());
    let options = Service::default().write(folder.path());
    let file = |input: &super::Input, header: &str, rows: &[u8]| {
        std::fs::write(&input.path, [header.as_bytes(), rows].concat()).unwrap();
    };
    let users = b"1,ada,,M\xfcller,true,,\n2,b\xf6b,b\xf6b@example.org,Bob,j\xe4,2024-01-01,\n";
    file(&options.users, USERS, users);
    let chats = b"10,Tea,group,2024-01-02T00:00:00Z,0000-00-00 00:00:00,true\n\
        11,Caf\xe9,group,1969-07-20T20:17:00Z,1969-07-20,maybe\n12,,direct,2024-01-02T00:00:00Z,never,maybe\n";
    file(options.chats.as_ref().unwrap(), CHATS, chats);
    let participants = b"1,10,0000-00-00,true\n2,10,soon,perhaps\n1,11,,true\n1,12,,\n2,12,,\n";
    file(options.participants.as_ref().unwrap(), PARTICIPANTS, participants);
    let messages = b"1,10,1,one,2024-01-03T00:00:00Z,im\xe4ge,perhaps,0,\n\
        2,10,2,two,2024-01-03T00:00:01Z,,true,x,0000-00-00 00:00:00\n3,11,1,three,2024-01-03T00:00:02Z,,,,\n";
    file(options.messages.as_ref().unwrap(), MESSAGES, messages);
    let (summary, said) = run(&bed.store, &options).await.unwrap();
    assert_eq!(summary.refused(), 0, "{said}");
    assert_eq!(
        summary.tallies.map(|tally| (tally.imported, tally.changed)),
        [(2, 2), (3, 3), (5, 2), (3, 2)],
        "{said}"
    );
    let report = std::fs::read_to_string(&summary.report).unwrap();
    for told in [
        "users,1,1,\"full_name is not UTF-8: it was left out\"",
        "users,2,2,\"username is not UTF-8; it is user-2 now\"",
        "users,2,2,\"email is not UTF-8: it was left out\"",
        "users,2,2,\"is_active is not UTF-8: the account is disabled\"",
        "chats,1,10,\"updated_at is not a time in RFC 3339: it was left out\"",
        "chats,2,11,\"name is not UTF-8: it was left out\"",
        "chats,2,11,\"created_at is a time before 1970: the time of the import is used instead\"",
        "chats,2,11,\"updated_at is a time before 1970: it was left out\"",
        "chats,2,11,\"is_active is neither true nor false: the chat counts as not active\"",
        "chats,3,12,\"a direct chat can't be closed: it is open\"",
        "participants,1,1,\"joined_at is not a time in RFC 3339: the chat's created_at is used instead\"",
        "participants,2,2,\"joined_at is not a time in RFC 3339: the chat's created_at is used instead\"",
        "participants,2,2,\"is_admin is neither true nor false: the user is no admin\"",
        "messages,1,1,\"message_type is not UTF-8: it is text now\"",
        "messages,1,1,\"is_edited is neither true nor false: the message counts as not edited\"",
        "messages,1,1,\"reply_to is not an integer from 1 to 4503599627370496: it was left out\"",
        "messages,2,2,\"reply_to is not an integer from 1 to 4503599627370496: it was left out\"",
        "messages,2,2,\"edited_at is not a time in RFC 3339: it was left out\"",
    ] {
        assert!(report.contains(&format!("changed,{told}")), "{told}: {report}");
    }
    let account = async |id| bed.store.account(Who::Id(UserId::new(id))).await.unwrap().unwrap();
    assert_eq!((account(1).await.full_name.as_str(), account(1).await.active), ("ada", true));
    let bob = account(2).await;
    assert_eq!((bob.username.as_str(), bob.email, bob.active), ("user-2", None, false));
    let tea = log(&*bed.store, 10).await;
    let Fact::Created { members, .. } = &tea[0].fact else { panic!("the room was not opened") };
    assert_eq!((members.as_slice(), tea[0].at), (&[UserId::new(1), UserId::new(2)][..], 1_704_153_600_000));
    assert_eq!(tea.len(), 4, "both are there from the beginning, no further admin, and one edit: {tea:?}");
    assert!(matches!(tea[3].fact, Fact::Edited { .. }) && tea[3].at == tea[2].at, "{tea:?}");
    let closed = log(&*bed.store, 11).await;
    let Fact::Created { name, .. } = &closed[0].fact else { panic!("the room was not opened") };
    assert_eq!((name.as_str(), closed[0].at), ("Chat 11", NOW));
    assert!(matches!(closed[closed.len() - 1].fact, Fact::Archived), "{closed:?}");
    assert_eq!(log(&*bed.store, 12).await.len(), 1, "a pair's room is open");
}

#[tokio::test]
async fn times_of_users_in_the_future_are_not_kept() {
    let users = format!(
        "1,ada,,Ada,t,2024-01-01,2300-01-01\n2,bob,,Bob,t,2300-01-01T00:00:00Z,\n\
         3,cyd,,Cyd,t,{NOW},{NOW}\n4,dan,,Dan,t,{0},{0}\n",
        NOW + 1
    );
    let done = import(&Service { users, ..Service::default() }).await;
    assert_eq!((done.summary.tallies[0].imported, done.summary.tallies[0].changed), (4, 3), "{}", done.report);
    let january = 1_704_067_200_000;
    for (id, times) in [(1, (january, None)), (2, (NOW, None)), (3, (NOW, Some(NOW))), (4, (NOW, None))] {
        let account = done.store.account(Who::Id(UserId::new(id))).await.unwrap().unwrap();
        assert_eq!((account.created_at, account.last_seen), times, "{id}");
    }
    for told in [
        "changed,users,1,1,\"last_seen is a time in the future: it was left out\"",
        "changed,users,2,2,\"created_at is a time in the future: the time of the import is used instead\"",
        "changed,users,4,4,\"last_seen is a time in the future",
    ] {
        assert!(done.report.contains(told), "{told}: {}", done.report);
    }
}
