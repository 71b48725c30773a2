//! Any sequence of operations gets the same answers from every store.

use std::fmt::Debug;
use std::sync::Arc;

use parlance_actors::ports::Store;
use parlance_actors::ports::store::{Account, Append, ClaimKind, Family, IdKind, MessageState, Range, ReadMark, Who};
use parlance_schema::entry::Entry;
use parlance_schema::{MessageId, RoomId, Seq, TenantId, UserId};
use proptest::prelude::*;

use crate::store::{memory, quick_sqlite, sample};

/// One call of the port. Small numbers, so that calls meet.
#[derive(Clone, Debug)]
enum Step {
    Append {
        room: u64,
        /// Added to the true last number.
        off: i64,
        entries: Vec<Line>,
        snapshot: bool,
        member: Option<(u64, bool)>,
        erase: Option<Seq>,
        state: Option<(Seq, u32)>,
    },
    Snapshot(u64, Seq),
    Read(u64, Range),
    Count(u64, Seq, u64),
    Mark(u64, u64, Seq),
    Find(u64, u64, u8),
    Locate(u64),
    Claim(u64, bool, u8, u64),
    Ids(u64),
    Account(u64, u64, u8, Option<u8>, bool),
    Search(u64, String, usize),
    Seen(u64, u64),
    Family(u8, u64, u64),
    Rotate(u8, u8, u8, u64),
    Revoke(u8, Option<u64>),
    Sweep(u64),
}

/// An entry of an append: who, client id, and a message's id where it is one.
#[derive(Clone, Debug)]
struct Line {
    by: u64,
    name: u8,
    message: Option<u64>,
}

fn range() -> impl Strategy<Value = Range> {
    let number = || prop_oneof![8 => 0..40_u64, 1 => Just(Seq::MAX)];
    let limit = prop_oneof![0..10_usize, Just(usize::MAX)];
    (number(), number(), limit, any::<bool>()).prop_map(|(from, to, limit, backwards)| Range {
        from,
        to,
        limit,
        backwards,
    })
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (1..4_u64, 0..60_u8, prop::option::weighted(0.7, 1..400_u64));
    prop::collection::vec(line.prop_map(|(by, name, message)| Line { by, name, message }), 0..6)
}

fn step() -> impl Strategy<Value = Step> {
    let room = || 1..4_u64;
    let user = || 1..4_u64;
    let some = prop::option::weighted::<std::ops::Range<Seq>>;
    let off = prop_oneof![9 => Just(0_i64), 1 => -3..4_i64];
    let append = (room(), off, lines(), any::<bool>(), prop::option::of((user(), any::<bool>())), some(0.3, 0..30))
        .prop_flat_map(|fixed| (Just(fixed), prop::option::of((1..20_u64, 0..5_u32))))
        .prop_map(|((room, off, entries, snapshot, member, erase), state)| Step::Append {
            room,
            off,
            entries,
            snapshot,
            member,
            erase,
            state,
        });
    prop_oneof![
        12 => append,
        1 => (room(), 0..30_u64).prop_map(|(r, s)| Step::Snapshot(r, s)),
        3 => (room(), range()).prop_map(|(r, g)| Step::Read(r, g)),
        1 => (room(), 0..40_u64, user()).prop_map(|(r, s, u)| Step::Count(r, s, u)),
        1 => (room(), user(), 0..40_u64).prop_map(|(r, u, s)| Step::Mark(r, u, s)),
        1 => (room(), user(), 0..60_u8).prop_map(|(r, u, n)| Step::Find(r, u, n)),
        1 => (1..400_u64).prop_map(Step::Locate),
        1 => (1..3_u64, any::<bool>(), 0..4_u8, 1..90_u64).prop_map(|(t, k, n, x)| Step::Claim(t, k, n, x)),
        1 => prop_oneof![0..9_u64, Just(1 << 53)].prop_map(Step::Ids),
        3 => (1..9_u64, 1..3_u64, 0..6_u8, prop::option::of(0..6_u8), any::<bool>())
            .prop_map(|(u, t, n, e, a)| Step::Account(u, t, n, e, a)),
        1 => (1..3_u64, "[aAnN]{0,2}", 0..5_usize).prop_map(|(t, x, l)| Step::Search(t, x, l)),
        1 => (1..9_u64, 0..50_u64).prop_map(|(u, at)| Step::Seen(u, at)),
        1 => (0..4_u8, user(), 0..50_u64).prop_map(|(f, u, at)| Step::Family(f, u, at)),
        2 => (0..4_u8, 0..3_u8, 0..3_u8, 0..50_u64).prop_map(|(f, a, b, at)| Step::Rotate(f, a, b, at)),
        1 => (0..4_u8, prop::option::of(user())).prop_map(|(f, u)| Step::Revoke(f, u)),
        1 => (0..50_u64).prop_map(Step::Sweep),
    ]
}

/// An answer in a form that can be compared; of errors the kind, since their words differ.
fn told<T: Debug, E: Debug>(answer: Result<T, E>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(error) => {
            let words = format!("{error:?}");
            // Conflicts and duplicates must agree in their numbers too.
            if words.starts_with("Store") || words.contains('"') {
                format!("error {}", words.split('"').next().unwrap_or_default())
            } else {
                words
            }
        }
    }
}

async fn append(store: &dyn Store, step: &Step) -> String {
    let Step::Append { room, off, entries, snapshot, member, erase, state } = step else { return String::new() };
    let room = RoomId::new(*room);
    let last = sample::numbers(store, room).await.len() as Seq;
    let expected = last.saturating_add_signed(*off);
    let entry = |(seq, line): (Seq, &Line)| {
        let by = UserId::new(line.by);
        let entry = match line.message {
            Some(id) => sample::post_as(seq, by, MessageId::new(id)),
            None => sample::renamed(seq, by),
        };
        Arc::new(Entry { client_id: sample::client_id(format!("n{}", line.name)), ..entry })
    };
    let append = Append {
        room,
        tenant: TenantId::new(1),
        expected,
        entries: (expected + 1..).zip(entries).map(entry).collect(),
        snapshot: snapshot.then(|| expected.to_be_bytes().to_vec()),
        messages: state
            .iter()
            .map(|(s, revision)| (*s, MessageState { revision: *revision, ..<_>::default() }))
            .collect(),
        members: member.iter().map(|(user, there)| (UserId::new(*user), *there)).collect(),
        erase: erase.iter().copied().collect(),
        fence: None,
        mark: None,
    };
    told(store.append(append).await)
}

async fn account(store: &dyn Store, step: &Step) -> String {
    let Step::Account(user, tenant, name, email, active) = step else { return String::new() };
    let names = ["anna", "Anna", "ANNA", "nan", "bob", "BOB"];
    let email = email.map(|at| format!("{}@example.org", names[at as usize]));
    let account = sample::account(UserId::new(*user), TenantId::new(*tenant), names[*name as usize], email.as_deref());
    let account = Account { active: *active, ..account };
    let mut all = told(store.create_account(&account).await);
    all += &told(store.update_account(&account).await);
    all += &told(store.account(Who::Username(account.tenant, "aNNa")).await);
    all + &told(store.account(Who::Email(account.tenant, "bOB@example.org")).await)
}

async fn run(store: &dyn Store, step: &Step) -> String {
    let name = |at: &u8| format!("name-{at}");
    match step {
        Step::Append { .. } => append(store, step).await,
        Step::Account(..) => account(store, step).await,
        Step::Snapshot(room, seq) => told(store.save_snapshot(RoomId::new(*room), *seq, vec![*seq as u8]).await),
        Step::Read(room, range) => {
            let room = RoomId::new(*room);
            let entries = told(store.entries(room, *range).await);
            entries + &told(store.messages(room, *range).await) + &told(store.wake(room).await)
        }
        Step::Count(room, after, by) => told(store.count_posts(RoomId::new(*room), *after, UserId::new(*by)).await),
        Step::Mark(room, user, seq) => {
            let (room, mark) = (RoomId::new(*room), ReadMark { seq: *seq, posts: *seq, own: 0 });
            told(store.mark_read(room, vec![(UserId::new(*user), mark)]).await) + &told(store.read_marks(room).await)
        }
        Step::Find(room, by, at) => {
            let client_id = sample::client_id(format!("n{at}"));
            let found = told(store.find(RoomId::new(*room), UserId::new(*by), &client_id, Seq::MAX).await);
            found + &told(store.rooms_of(UserId::new(*by)).await)
        }
        Step::Locate(message) => told(store.locate(MessageId::new(*message)).await),
        Step::Claim(tenant, direct, key, target) => {
            let kind = if *direct { ClaimKind::Direct } else { ClaimKind::Create };
            told(store.claim(TenantId::new(*tenant), kind, &name(key), *target).await)
        }
        Step::Ids(count) => told(store.take_ids(IdKind::User, *count).await),
        Step::Search(tenant, text, limit) => told(store.search_accounts(TenantId::new(*tenant), text, *limit).await),
        Step::Seen(user, at) => {
            let user = UserId::new(*user);
            told(store.seen(&[(user, *at)]).await) + &told(store.account(Who::Id(user)).await)
        }
        Step::Family(id, user, expires_at) => {
            let (id, user) = (name(id), UserId::new(*user));
            let family = Family { id, user, current: name(&0), expires_at: *expires_at, revoked: false };
            told(store.create_family(&family).await)
        }
        Step::Rotate(id, from, to, at) => {
            let rotated = told(store.rotate_family(&name(id), &name(from), &name(to), *at).await);
            rotated + &told(store.family(&name(id)).await)
        }
        Step::Revoke(id, None) => told(store.revoke_family(&name(id)).await),
        Step::Revoke(id, Some(user)) => told(store.revoke_families(UserId::new(*user), Some(&name(id))).await),
        Step::Sweep(now) => told(store.sweep_families(*now).await),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stores_agree(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (one, other) = (memory(), quick_sqlite());
            for step in &steps {
                let answers = [run(&*one.store, step).await, run(&*other.store, step).await];
                prop_assert_eq!(&answers[0], &answers[1], "{:?}", step);
            }
            Ok(())
        })?;
    }
}
