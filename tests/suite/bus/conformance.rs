//! What every bus must do, one function a behaviour. A bus joins by naming a function that makes a `Bed` of so many nodes.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parlance_actors::ports::Bus;
use parlance_actors::ports::bus::RoomEvent;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::node::NodeId;
use parlance_schema::notice::Notice;
use parlance_schema::push::Ephemeral;
use parlance_schema::{ClientId, RoomId, Seq, UserId};
use tokio::time::{Instant, sleep};

#[path = "conformance/cluster.rs"]
pub mod cluster;
#[path = "conformance/single_node.rs"]
pub mod single_node;

/// Time within which what must happen has happened.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node's name, and its bus.
pub struct Member {
    pub id: NodeId,
    pub bus: Arc<dyn Bus>,
}

/// The nodes of a cluster that reach each other, and what must live as long.
pub struct Bed {
    pub members: Vec<Member>,
    pub keep: Box<dyn Any + Send>,
}

impl Bed {
    pub fn bus(&self, at: usize) -> &dyn Bus {
        self.members[at].bus.as_ref()
    }
}

/// What was heard, in order.
pub struct Heard<E>(Arc<Mutex<Vec<E>>>);

impl<E> Clone for Heard<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Clone + Send + 'static> Heard<E> {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    pub fn sink(&self) -> Arc<dyn Fn(E) + Send + Sync> {
        let all = self.0.clone();
        Arc::new(move |event| all.lock().unwrap().push(event))
    }

    pub fn all(&self) -> Vec<E> {
        self.0.lock().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Waits until something holds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

pub fn entry(seq: Seq) -> Arc<Entry> {
    let (by, client_id) = (UserId::new(1), ClientId::new(format!("c-{seq}")).unwrap());
    Arc::new(Entry { seq, at: 5, by, client_id, posts: 0, append: 9, fact: Fact::Deleted { target: 1 } })
}

pub fn appended(seq: Seq) -> RoomEvent {
    RoomEvent::Appended([entry(seq)].into())
}

/// The numbers of the entries among events.
pub fn seqs(events: &[RoomEvent]) -> Vec<Seq> {
    let seqs = |event: &RoomEvent| match event {
        RoomEvent::Appended(entries) => entries.iter().map(|entry| entry.seq).collect(),
        _ => Vec::new(),
    };
    events.iter().flat_map(seqs).collect()
}

fn marker(room: RoomId, from: u64) -> RoomEvent {
    RoomEvent::Ephemeral(Ephemeral::Typing { room, user: UserId::new(from), on: true })
}

/// Publishes markers until what one node says of a room is heard by another: then the way is open.
pub async fn open(from: &dyn Bus, room: RoomId, name: u64, heard: &Heard<RoomEvent>) {
    let marker = marker(room, name);
    let deadline = Instant::now() + PATIENCE;
    while !heard.all().contains(&marker) {
        assert!(Instant::now() < deadline, "{room} is never heard");
        from.publish_room(room, marker.clone());
        sleep(Duration::from_millis(5)).await;
    }
}

/// The same for what a user's sessions are told.
pub async fn open_user(from: &dyn Bus, user: UserId, heard: &Heard<Notice>) {
    let marker = Notice::Revoked { before: 0 };
    let deadline = Instant::now() + PATIENCE;
    while !heard.all().contains(&marker) {
        assert!(Instant::now() < deadline, "{user} never hears");
        from.publish_user(user, marker.clone());
        sleep(Duration::from_millis(5)).await;
    }
}

/// Makes a test of each behaviour, on the buses that `$bed` makes: of a node that is alone, and of a cluster.
macro_rules! every_behaviour_alone {
    ($bed:path) => {
        crate::bus::conformance::behaviours! { $bed;
            single_node: own_events_come_at_once, subjects_are_apart, all_sinks_hear_until_dropped,
                a_sink_may_use_the_bus, a_node_is_not_told_what_it_tells_all, nobody_else_is_there;
        }
    };
}

macro_rules! every_behaviour_in_a_cluster {
    ($bed:path) => {
        crate::bus::conformance::behaviours! { $bed;
            cluster: all_hear_once_and_in_order, order_is_kept_per_publisher, what_one_says_does_not_come_back,
                sinks_of_one_node_hear_once_each, nobody_hears_after_unsubscribing, users_hear, nodes_hear_each_other,
                rooms_are_apart, large_appends_arrive_or_are_told_of, questions_are_answered,
                a_node_answers_itself, who_does_not_listen_is_unreachable, silence_is_told;
        }
    };
}

macro_rules! behaviours {
    ($bed:path; $($module:ident: $($name:ident),+;)+) => {
        $(mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let bed = $bed(crate::bus::conformance::$module::NODES).await;
                    crate::bus::conformance::$module::$name(&bed).await;
                    drop(bed.keep);
                }
            )+
        })+
    };
}

#[allow(unused_imports, reason = "a binary may have buses of one kind alone")]
pub(crate) use {behaviours, every_behaviour_alone, every_behaviour_in_a_cluster};
