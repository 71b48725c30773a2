//! What a chat's log looks like: the facts, in their order, that commands would have made.

use parlance_domain::room::State;
use parlance_schema::command::{Kind, MemberRole};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::{Seq, UserId};
use serde_json::{Value, json};

use super::{Service, import};

/// A log as short lines: who, and what.
fn lines(log: &[std::sync::Arc<Entry>]) -> Vec<String> {
    let line = |entry: &std::sync::Arc<Entry>| {
        let mut fact: Value = serde_json::to_value(&entry.fact).unwrap();
        let word = fact["fact"].take();
        let rest: Vec<_> = fact
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, value)| !matches!(name.as_str(), "fact" | "tenant" | "history") && !value.is_null())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{} {} {}", entry.by, word.as_str().unwrap(), rest.join(" ")).trim().to_owned()
    };
    log.iter().map(line).collect()
}

#[tokio::test]
async fn a_chat_becomes_what_commands_would_have_made() {
    let done = import(&Service::with_messages(
        "101,10,2,\"Hello, \"\"world\"\"\nand 今日は 🌸\",2024-01-02T00:00:01Z,text,false,false,\n\
         102,10,1,see,2024-01-02T00:00:02Z,image,true,false,101\n\
         103,10,3,secret,2024-01-02T00:00:03Z,image,true,true,\n\
         100,10,3,same time lower id,2024-01-04 00:00:00+00,,f,f,104\n\
         104,10,3,same time,2024-01-04T00:00:00Z,text,,,999\n",
    ))
    .await;
    assert_eq!(done.summary.refused(), 0, "{}", done.report);
    let log = done.log(10).await;
    let expected = [
        r#"1 created kind="group" members=[1,2] name="Tea""#,
        "1 added users=[3]",
        r#"2 posted content={"text":"Hello, \"world\"\nand 今日は 🌸"} id=101"#,
        r#"1 posted content={"text":"see"} id=102 meta={"message_type":"image"} reply_to=3"#,
        r#"1 edited content={"text":"see"} revision=1 target=4"#,
        "3 posted id=103",
        "3 edited revision=1 target=6",
        "3 deleted target=6",
        "1 added users=[4]",
        r#"3 posted content={"text":"same time lower id"} id=100"#,
        r#"3 posted content={"text":"same time"} id=104"#,
    ];
    assert_eq!(lines(&log), expected);
    assert!(log.iter().zip(1..).all(|(entry, seq): (_, Seq)| entry.seq == seq));
    assert_eq!(log[1].at, 1_704_153_600_500, "times are kept");
    let state = State::folded(log.iter().map(|e| &**e)).unwrap();
    assert_eq!((state.kind, state.name.as_str(), state.posts), (Kind::Group, "Tea", 5));
    let roles: Vec<_> = state.members.iter().map(|(user, m)| (user.get(), m.role, m.joined_at)).collect();
    let at = 1_704_153_600_000;
    let expected = [
        (1, MemberRole::Owner, at),
        (2, MemberRole::Member, at),
        (3, MemberRole::Member, at + 500),
        (4, MemberRole::Member, at + 86_400_000),
    ];
    assert_eq!(roles, expected);
    for why in ["message 104, which it answers", "message 999, which it answers"] {
        assert!(done.report.contains(why), "{}", done.report);
    }
    let marks = done.store.read_marks(parlance_schema::RoomId::new(10)).await.unwrap();
    assert!(marks.len() == 4 && marks.iter().all(|(_, mark)| mark.seq == 11 && mark.posts == 5), "{marks:?}");
}

#[tokio::test]
async fn admins_joins_and_ends_keep_their_places() {
    let mut service = Service::small();
    service.chats = "10,Tea,group,2024-01-02T00:00:00Z,2024-02-02T00:00:00Z,false\n".into();
    service.participants = "2,10,2024-01-02T00:00:00Z,false\n3,10,2024-01-02T00:00:00Z,true\n\
                            1,10,2024-01-05T00:00:00Z,true\n4,10,2024-01-05T00:00:00Z,false\n"
        .into();
    service.messages = "5,10,1,before I joined,2024-01-03T00:00:00Z,,,,\n".into();
    let done = import(&service).await;
    let expected = [
        // The admin who was there first owns it; the clock of one's own message may be before one's joining.
        r#"3 created kind="group" members=[3,2] name="Tea""#,
        "3 added users=[1]",
        r#"3 promoted role="admin" user=1"#,
        r#"1 posted content={"text":"before I joined"} id=5"#,
        "3 added users=[4]",
        "3 archived",
    ];
    assert_eq!(lines(&done.log(10).await), expected);
}

#[tokio::test]
async fn who_came_when_nobody_knows_does_not_own_a_chat_before_others() {
    let mut service = Service::small();
    service.chats = "10,Tea,group,2024-01-02T00:00:00Z,2024-02-02T00:00:00Z,true\n".into();
    service.participants = "2,10,0000-00-00,false\n3,10,2024-01-02T00:00:01Z,false\n".into();
    service.messages = String::new();
    let log = lines(&import(&service).await.log(10).await);
    assert!(log[0].starts_with("3 created"), "{log:?}");
}

#[tokio::test]
async fn whoever_is_gone_was_there_while_they_wrote() {
    let mut service = Service::small();
    service.participants = "1,10,2024-01-02T00:00:00Z,true\n2,10,2024-01-02T00:00:00Z,false\n".into();
    service.messages = "1,10,3,one,2024-01-03T00:00:00Z,,,,\n2,10,4,two,2024-01-03T00:00:01Z,,,,\n\
                        3,10,3,three,2024-01-03T00:00:02Z,,,,\n4,10,2,four,2024-01-03T00:00:03Z,,,,\n"
        .into();
    let done = import(&service).await;
    let expected = [
        r#"1 created kind="group" members=[1,2] name="Tea""#,
        "1 added users=[3]",
        r#"3 posted content={"text":"one"} id=1"#,
        "1 added users=[4]",
        r#"4 posted content={"text":"two"} id=2"#,
        "4 left",
        r#"3 posted content={"text":"three"} id=3"#,
        "3 left",
        r#"2 posted content={"text":"four"} id=4"#,
    ];
    assert_eq!(lines(&done.log(10).await), expected);
    assert!(done.store.rooms_of(UserId::new(3)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_room_never_has_more_than_a_hundred() {
    let mut service = Service::default();
    for user in 1..=120 {
        service.users += &format!("{user},user{user}x,,U,t,2024-01-01,\n");
        if user <= 110 {
            // The last ones joined first, and one of those who joined last is an admin.
            let second = if user <= 50 { 1_704_303_000 } else { 1_704_200_000 } - user;
            service.participants += &format!("{user},7,{second},{}\n", user == 1);
        }
        // Everybody wrote, those who are not in it as well.
        service.messages += &format!("{user},7,{user},hi,{},,,,\n", 1_704_300_000 + user % 7 * 1_000 + user);
    }
    service.chats = "7,All,group,2024-01-01T00:00:00Z,,\n".into();
    let done = import(&service).await;
    assert_eq!(done.summary.tallies[2].refused, 10, "{}", done.report);
    assert_eq!(done.summary.tallies[3].imported, 120);
    let log = done.log(7).await;
    let mut state = State::opened(&log[0]).unwrap();
    for entry in &log[1..] {
        state.fold(entry);
        assert!(state.members.len() <= 100, "at {}", entry.seq);
    }
    let members: Vec<_> = state.members.keys().map(|user| user.get()).collect();
    let expected: Vec<_> = std::iter::once(1).chain(12..=110).collect();
    assert_eq!(members, expected);
    assert_eq!(state.members[&UserId::new(1)].role, MemberRole::Owner);
    assert_eq!(state.posts, 120);
    assert!(log.iter().any(|entry| matches!(entry.fact, Fact::Left { .. })));
}

#[tokio::test]
async fn the_two_of_a_pair_have_one_room() {
    let mut service = Service::small();
    service.chats = "20,,direct,2024-01-02T00:00:00Z,,t\n21,x,direct,2024-01-01T00:00:00Z,,f\n\
                     22,,direct,2024-01-02T00:00:00Z,,t\n23,,direct,2024-01-02T00:00:00Z,,t\n24,,group,2024-01-02,,\n"
        .into();
    service.participants = "2,20,2024-01-02T00:00:01Z,f\n1,20,2024-01-02T00:00:00Z,f\n1,21,,\n2,21,,\n\
                            3,22,,\n1,23,,\n2,23,,\n3,23,,\n"
        .into();
    service.messages = "1,20,1,third,2024-01-03T00:00:03Z,,,,2\n2,21,2,second,2024-01-03T00:00:02Z,,,,\n\
                        3,21,3,stranger,2024-01-03T00:00:02Z,,,,\n4,21,1,first,2024-01-03T00:00:01Z,,,,\n"
        .into();
    let done = import(&service).await;
    let expected = [
        r#"1 created kind="direct" members=[1,2] name="""#,
        r#"1 posted content={"text":"first"} id=4"#,
        r#"2 posted content={"text":"second"} id=2"#,
        r#"1 posted content={"text":"third"} id=1 reply_to=3"#,
    ];
    assert_eq!(lines(&done.log(20).await), expected);
    assert!(done.log(21).await.is_empty());
    assert_eq!(lines(&done.log(22).await), [r#"3 created kind="group" members=[3] name="Chat 22""#]);
    assert_eq!(lines(&done.log(23).await), [r#"1 created kind="group" members=[1,2,3] name="Chat 23""#]);
    assert_eq!(done.file("chats.csv"), "old,new\n21,20\n");
    for told in [
        "refused,messages,3,3,\"its sender is not one of the two",
        "changed,chats,2,21,\"the two have one direct chat",
        "changed,chats,3,22,\"a direct chat has two members, this one has 1",
        "refused,chats,5,24,\"nobody is in it",
    ] {
        assert!(done.report.contains(told), "{told}: {}", done.report);
    }
    let claimed = done.store.claim(
        parlance_schema::id::TENANT_DEFAULT,
        parlance_actors::ports::store::ClaimKind::Direct,
        "1:2",
        4_711,
    );
    assert_eq!(claimed.await.unwrap(), 20);
    assert_eq!(json!(done.summary.tallies[1]), json!({"read": 5, "imported": 4, "changed": 3, "refused": 1}));
}
