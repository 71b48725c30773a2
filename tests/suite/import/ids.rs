//! Ids are kept; one that somebody has becomes another one, in a file that says which; and an import is done once.

use std::sync::Arc;

use parlance_actors::ports::Store;
use parlance_actors::ports::store::{ClaimKind, IdKind};
use parlance_schema::entry::Fact;
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::limits::{ID_MAX, IMPORTED_ID_MAX};
use parlance_schema::{MessageId, RoomId, UserId};

use parlance::import;

use super::{Service, import_into, log, picture, run};
use crate::store::{memory, quick_sqlite, sample};

/// A store in which somebody has users 1 and 3, room 10, a claim on room 11, and messages 1 to 4.
async fn lived_in(store: &Arc<dyn Store>) {
    for (id, name) in [(1, "root"), (3, "BOB")] {
        store.create_account(&sample::account(UserId::new(id), TENANT_DEFAULT, name, None)).await.unwrap();
    }
    store.take_ids(IdKind::User, 3).await.unwrap();
    store.take_ids(IdKind::Room, 11).await.unwrap();
    sample::fill(store, RoomId::new(10), UserId::new(1), 4).await;
    store.claim(TENANT_DEFAULT, ClaimKind::Create, "1:mine", 11).await.unwrap();
}

#[tokio::test]
async fn taken_ids_get_new_ones_and_are_told() {
    for bed in [memory(), quick_sqlite()] {
        lived_in(&bed.store).await;
        let mut service = Service::with_messages(
            "2,10,1,two,2024-01-03T00:00:02Z,,,,\n3,11,2,three,2024-01-03T00:00:03Z,,,,\n\
             7,10,2,seven,2024-01-03T00:00:07Z,,,,2\n7,10,2,seven again,2024-01-03T00:00:08Z,,,,\n\
             2,10,2,two again,2024-01-03T00:00:09Z,,,,\n",
        );
        service.chats += "11,Two,group,2024-01-02T00:00:00Z,,\n12,Three,group,2024-01-02T00:00:00Z,,\n";
        service.participants += "2,11,,\n3,12,,\n";
        let done = import_into(bed.store.clone(), &service).await;
        assert_eq!(done.summary.refused(), 2, "{}", done.report);
        // The largest id of the files is 4 of users, 12 of rooms, 7 of messages.
        assert_eq!(done.file("users.csv"), "old,new\n1,5\n3,6\n");
        assert_eq!(done.file("chats.csv"), "old,new\n10,13\n11,14\n");
        assert_eq!(done.file("messages.csv"), "old,new\n2,8\n3,9\n");
        let bob = bed.store.accounts(&[UserId::new(2)]).await.unwrap().remove(0);
        assert_eq!(bob.username, "bob-2", "the name of somebody who was here before");
        let entries = done.log(13).await;
        let posts: Vec<_> = entries.iter().filter(|e| matches!(e.fact, Fact::Posted { .. })).collect();
        assert_eq!(posts.len(), 2);
        let Fact::Posted { id, reply_to, .. } = &posts[1].fact else { panic!() };
        assert_eq!((id.get(), *reply_to, posts[0].by.get()), (7, Some(posts[0].seq), 5));
        assert_eq!(log(&*bed.store, 10).await.len(), 4, "the room that was there is as it was");
        assert!(log(&*bed.store, 11).await.is_empty());
        assert_eq!(bed.store.locate(MessageId::new(8)).await.unwrap().unwrap().0, RoomId::new(13));
        for (kind, next) in [(IdKind::User, 7), (IdKind::Room, 15), (IdKind::Message, 10)] {
            assert!(bed.store.take_ids(kind, 1).await.unwrap() >= next, "{kind:?}");
        }
        for told in ["messages,4,7,\"another message before it", "messages,5,2,\"another message before it"] {
            assert!(done.report.contains(told), "{told}: {}", done.report);
        }
    }
}

#[tokio::test]
async fn doubles_are_found_across_pieces() {
    let mut service = Service::small();
    for id in 1..=40 {
        let answers = if id == 1 { String::new() } else { (id - 1).to_string() };
        service.messages += &format!("{id},10,1,m{id},{},,,,{answers}\n", 1_704_300_000 + id);
    }
    for id in [3, 17, 40, 40] {
        service.messages += &format!("{id},10,2,double,1704400000,,,,\n");
    }
    for bed in [memory(), quick_sqlite()] {
        let folder = tempfile::tempdir().unwrap();
        let mut options = service.write(folder.path());
        options.batch_entries = 5;
        let (summary, said) = run(&bed.store, &options).await.unwrap();
        let tally = summary.tallies[3];
        assert_eq!((tally.imported, tally.refused), (40, 4), "{said}");
        let log = log(&*bed.store, 10).await;
        let posts: Vec<_> = log.iter().filter(|e| matches!(e.fact, Fact::Posted { .. })).collect();
        for pair in posts.windows(2) {
            let Fact::Posted { reply_to, .. } = pair[1].fact else { panic!() };
            assert_eq!(reply_to, Some(pair[0].seq), "whether it is remembered or looked up");
        }
        assert_eq!(posts.len(), 40);
    }
}

#[tokio::test]
async fn the_largest_ids_that_there_are() {
    let most = IMPORTED_ID_MAX;
    let mut service = Service::small();
    service.users += &format!("{most},max,,Max,t,,\n");
    service.chats += &format!("{most},Max,group,,,\n");
    service.participants += &format!("{most},{most},,\n");
    service.messages = format!("{most},{most},{most},max,2024-01-03T00:00:00Z,,,,\n");
    for bed in [memory(), quick_sqlite()] {
        let done = import_into(bed.store.clone(), &service).await;
        assert_eq!(done.summary.refused(), 0, "{}", done.report);
        for kind in [IdKind::User, IdKind::Room, IdKind::Message] {
            assert_eq!(done.store.take_ids(kind, 1 << 51).await.unwrap(), most + 1, "there are enough left");
        }
    }
}

#[tokio::test]
async fn ids_that_leave_none_for_others_are_refused() {
    for id in [IMPORTED_ID_MAX + 1, ID_MAX - 1, ID_MAX] {
        let mut service = Service::small();
        service.users += &format!("{id},max,,Max,t,,\n");
        service.chats += &format!("{id},Max,group,,,\n");
        service.participants += &format!("{id},10,,\n1,{id},,\n");
        service.messages = format!("{id},10,1,max,2024-01-03T00:00:00Z,,,,\n");
        for bed in [memory(), quick_sqlite()] {
            let done = import_into(bed.store.clone(), &service).await;
            assert_eq!(done.summary.tallies.map(|tally| tally.refused), [1, 1, 2, 1], "{}", done.report);
            for kind in [IdKind::User, IdKind::Room, IdKind::Message] {
                assert!(done.store.take_ids(kind, 65_536).await.unwrap() < 100);
            }
        }
    }
}

#[tokio::test]
async fn an_import_is_done_once() {
    let bed = quick_sqlite();
    let service = Service::with_messages("1,10,1,one,2024-01-03T00:00:00Z,,,,\n2,99,1,x,2024-01-03T00:00:00Z,,,,\n");
    let first = import_into(bed.store.clone(), &service).await;
    let before = picture(&*bed.store, 60).await;
    let again = import_into(bed.store.clone(), &service).await;
    assert!(again.summary.before && again.said.contains("nothing was written"), "{}", again.said);
    assert_eq!((&again.report, again.summary.tallies), (&first.report, first.summary.tallies));
    let folder = tempfile::tempdir().unwrap();
    let mut other = service.clone();
    other.users += "5,eve,,Eve,t,,\n";
    let mut options = other.write(folder.path());
    let error = run(&bed.store, &options).await.unwrap_err().to_string();
    assert!(error.contains("--again"), "{error}");
    assert_eq!(picture(&*bed.store, 60).await, before);
    // As another import, all of them are other users.
    options.again = true;
    let (summary, said) = run(&bed.store, &options).await.unwrap();
    assert_eq!(summary.tallies[0].imported, 5, "{said}");
    assert_eq!(bed.store.search_accounts(TENANT_DEFAULT, "ada", 9).await.unwrap().len(), 2);
    assert_eq!(summary.tallies[3].imported, 1);
    let ids = std::fs::read_to_string(options.out.join("chats.csv")).unwrap();
    assert_eq!(ids, "old,new\n10,11\n");
    assert_eq!(log(&*bed.store, 11).await.len(), 4);
}

#[tokio::test]
async fn an_import_goes_on_with_its_own_files_only() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = Arc::new(crate::actors::faults::Faulty::default());
    *faulty.bulks_left.lock().unwrap() = Some(1);
    let store: Arc<dyn Store> = faulty.clone();
    let mut service = Service::small();
    let options = service.write(folder.path());
    run(&store, &options).await.unwrap_err();
    service.users = service.users.replace("bob@", "rob@");
    service.write(folder.path());
    let error = run(&store, &options).await.unwrap_err().to_string();
    assert!(error.contains("had other users"), "{error}");
    let options = super::Options { tenant: parlance_schema::TenantId::new(2), ..options };
    let error = run(&store, &options).await.unwrap_err().to_string();
    assert!(error.contains("--tenant 1"), "{error}");
    // It can be given up, and then it has ended.
    *faulty.bulks_left.lock().unwrap() = None;
    let options = super::Options { tenant: TENANT_DEFAULT, abandon: true, ..options };
    assert_eq!(import::unfinished(&*store).await.unwrap().as_deref(), Some("chat-service"));
    run(&store, &options).await.unwrap();
    assert_eq!(import::unfinished(&*store).await.unwrap(), None);
    let error = run(&store, &options).await.unwrap_err().to_string();
    assert!(error.contains("no import that was begun"), "{error}");
}
