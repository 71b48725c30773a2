//! What holds on one node already.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use parlance_actors::ports::bus::{AskError, BusState, NodeEvent, PresenceNews, Question, RoomEvent, Subscription};
use parlance_schema::notice::Notice;
use parlance_schema::{RoomId, UserId};

use super::{Bed, Heard, appended, seqs};

pub const NODES: usize = 1;

pub async fn own_events_come_at_once(bed: &Bed) {
    let (room, heard) = (RoomId::new(1), Heard::new());
    let _listening = bed.bus(0).subscribe_room(room, heard.sink());
    for seq in 1..=100 {
        bed.bus(0).publish_room(room, appended(seq));
        assert_eq!(heard.len(), seq as usize);
    }
    assert_eq!(seqs(&heard.all()), (1..=100).collect::<Vec<_>>());
    assert!(matches!(*bed.bus(0).state().borrow(), BusState::Connected(1)));
    assert!(!bed.bus(0).backend().is_empty());
}

pub async fn subjects_are_apart(bed: &Bed) {
    let (one, other, user) = (Heard::new(), Heard::new(), Heard::new());
    let bus = bed.bus(0);
    let _one = bus.subscribe_room(RoomId::new(1), one.sink());
    let _other = bus.subscribe_room(RoomId::new(2), other.sink());
    let _user = bus.subscribe_user(UserId::new(1), user.sink());
    bus.publish_room(RoomId::new(1), appended(1));
    bus.publish_room(RoomId::new(3), appended(2));
    bus.publish_user(UserId::new(1), Notice::RoomAdded { room: RoomId::new(1) });
    bus.publish_user(UserId::new(2), Notice::RoomAdded { room: RoomId::new(1) });
    assert_eq!((seqs(&one.all()), other.len(), user.len()), (vec![1], 0, 1));
}

pub async fn all_sinks_hear_until_dropped(bed: &Bed) {
    let (room, first, second) = (RoomId::new(1), Heard::new(), Heard::new());
    let one = bed.bus(0).subscribe_room(room, first.sink());
    let two = bed.bus(0).subscribe_room(room, second.sink());
    bed.bus(0).publish_room(room, RoomEvent::Last(1));
    drop(one);
    bed.bus(0).publish_room(room, RoomEvent::Last(2));
    drop(two);
    bed.bus(0).publish_room(room, RoomEvent::Last(3));
    assert_eq!(first.all(), [RoomEvent::Last(1)]);
    assert_eq!(second.all(), [RoomEvent::Last(1), RoomEvent::Last(2)]);
}

pub async fn a_sink_may_use_the_bus(bed: &Bed) {
    let (bus, room, heard) = (bed.members[0].bus.clone(), RoomId::new(1), Heard::new());
    let mine: Arc<Mutex<Vec<Subscription>>> = Arc::default();
    let (kept, inner, sink) = (mine.clone(), bus.clone(), heard.sink());
    let subscription = bus.subscribe_room(
        room,
        Arc::new(move |event| {
            // Subscribes to another room and publishes there, and ends its own subscription.
            let other = inner.subscribe_room(RoomId::new(2), sink.clone());
            inner.publish_room(RoomId::new(2), event);
            *kept.lock().unwrap() = vec![other];
        }),
    );
    mine.lock().unwrap().push(subscription);
    bus.publish_room(room, RoomEvent::Last(1));
    bus.publish_room(room, RoomEvent::Last(2));
    assert_eq!(heard.all(), [RoomEvent::Last(1)]);
    bus.publish_room(RoomId::new(2), RoomEvent::Last(3));
    assert_eq!(heard.len(), 2);
    mine.lock().unwrap().clear();
}

pub async fn a_node_is_not_told_what_it_tells_all(bed: &Bed) {
    let heard = Heard::new();
    let _nodes = bed.bus(0).subscribe_nodes(heard.sink());
    bed.bus(0).publish_nodes(NodeEvent::Presence(PresenceNews::default()));
    assert_eq!(heard.len(), 0);
}

pub async fn nobody_else_is_there(bed: &Bed) {
    let nobody = "nobody".parse().unwrap();
    let answer = bed.bus(0).ask(&nobody, Question::Presence, Duration::from_secs(5)).await;
    assert_eq!(answer, Err(AskError::Unreachable));
}
