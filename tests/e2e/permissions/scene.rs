//! Who is there and what they are asked about: accounts in two tenants, and rooms in which a caller stands in every way.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parlance::auth::{Accounts, KeyRing, Ports};
use parlance::clock::System;
use parlance_actors::ids::Ids;
use parlance_actors::ports::store::Account;
use parlance_actors::ports::{Clock, Random};
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::limits::ID_MAX;
use parlance_schema::user::Role;
use parlance_schema::{Millis, UserId};
use serde_json::{Value, json};

use super::grid::ROLES;
use crate::raw::Raw;
use crate::server::{Doors, Setup, User};

pub const PASSWORD: &str = "correct horse";

/// What `$name` and `{name}` stand for.
pub type Scene = BTreeMap<&'static str, Value>;

/// The people of one room, all of one tenant.
#[derive(Clone)]
pub struct Cast {
    host: User,
    deputy: User,
    victim: User,
    hushed: User,
    outcast: User,
    newcomer: User,
    /// Of another tenant.
    foreigner: User,
}

/// A caller, and those with whom they are tried.
#[derive(Clone)]
pub struct Troupe {
    pub caller: User,
    pub role: Role,
    home: Cast,
    abroad: Cast,
    stranger: User,
    /// Of another tenant, with a name that nobody has at home.
    emigrant: User,
    anothers_token: String,
    expired_token: String,
}

/// All people, made before the server starts.
pub struct People {
    /// One for each of [`ROLES`].
    pub troupes: Vec<Troupe>,
    /// Nobody's token, by what is wrong with it, and the code that it is refused with.
    pub nobodies: Vec<(&'static str, Option<String>, &'static str)>,
    /// A super_admin who is in no room.
    pub root: User,
}

impl People {
    /// Makes the accounts.
    pub fn new(setup: &Setup) -> Self {
        let tenants = ["1", "2"];
        let add = |name: &str, role: &str, tenant: &str| {
            let words = ["user", "add", name, "--role", role, "--tenant", tenant, "--password-stdin"];
            let id = setup.run(&words, PASSWORD).parse().unwrap();
            let token = setup.run(&["user", "token", name, "--tenant", tenant], "");
            User { id, name: name.to_owned(), token }
        };
        let callers: Vec<User> = ROLES.iter().map(|role| add(role.word(), role.word(), tenants[0])).collect();
        let root = add("root", "super_admin", tenants[0]);
        add("guest", "user", tenants[0]);
        let emigrant = add("abroad", "user", tenants[1]);
        let disabled = add("disabled", "user", tenants[0]);
        setup.run(&["user", "disable", "disabled"], "");
        let (home, abroad) = (setup.users_of(1, 6 * ROLES.len() + 1), setup.users_of(2, 6 * ROLES.len()));
        let stranger = home.last().unwrap().clone();
        let cast = |own: &[User], other: &[User], at: usize| {
            let mut own = own[6 * at..].iter().cloned();
            let mut next = || own.next().unwrap();
            let (host, deputy, victim, hushed, outcast, newcomer) = (next(), next(), next(), next(), next(), next());
            Cast { host, deputy, victim, hushed, outcast, newcomer, foreigner: other[6 * at + 5].clone() }
        };
        let troupe = |(at, caller): (usize, &User)| Troupe {
            caller: caller.clone(),
            role: ROLES[at],
            home: cast(&home, &abroad, at),
            abroad: cast(&abroad, &home, at),
            stranger: stranger.clone(),
            emigrant: emigrant.clone(),
            anothers_token: root.token.clone(),
            expired_token: expired(&setup.data, caller, ROLES[at]),
        };
        let troupes: Vec<_> = callers.iter().enumerate().map(troupe).collect();
        let nobodies = vec![
            ("anonymous", None, "unauthenticated"),
            ("rubbish", Some("rubbish".to_owned()), "unauthenticated"),
            ("disabled", Some(disabled.token), "revoked"),
            ("expired", Some(troupes[0].expired_token.clone()), "token_expired"),
        ];
        Self { troupes, nobodies, root }
    }
}

/// A clock that was right two hours ago.
struct Slow;

impl Clock for Slow {
    fn now(&self) -> Millis {
        System.now() - 2 * 3_600_000
    }
}

/// A token of an account that was good for a second, two hours ago.
fn expired(data: &Path, user: &User, role: Role) -> String {
    let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(Slow), Arc::new(System));
    let keys = KeyRing::open(data, &*random, clock.now()).unwrap();
    let store = Arc::new(parlance::store::memory::Memory::new());
    let ids = Arc::new(Ids::new(store.clone()));
    let ports = Ports { store, clock, random, bus: Arc::new(parlance::bus::Local::default()) };
    let accounts = Accounts::new(ports, ids, keys, &parlance::config::Config::default().auth).unwrap();
    let account = Account {
        id: UserId::new(user.id),
        tenant: TENANT_DEFAULT,
        username: user.name.clone(),
        email: None,
        full_name: user.name.clone(),
        password: None,
        role,
        active: true,
        created_at: 0,
        last_seen: None,
        valid_after: 0,
    };
    accounts.token_for(&account, 1).unwrap().reveal().to_owned()
}

/// One socket for each user who needs one.
pub struct Sockets {
    pub doors: Doors,
    open: HashMap<u64, Raw>,
}

impl Sockets {
    pub fn new(doors: Doors) -> Self {
        Self { doors, open: HashMap::new() }
    }

    pub async fn of(&mut self, user: &User) -> &mut Raw {
        if !self.open.contains_key(&user.id) {
            let socket = Raw::ready(self.doors.next(), &user.token).await;
            self.open.insert(user.id, socket);
        }
        self.open.get_mut(&user.id).unwrap()
    }
}

impl Troupe {
    /// What there is without any relation.
    pub fn scene(&self) -> Scene {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let fresh = format!("fresh-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let fresh_mail = format!("{fresh}@example.org");
        Scene::from([
            ("me", self.caller.id.into()),
            ("name", self.caller.name.clone().into()),
            ("token", self.caller.token.clone().into()),
            ("anothers_token", self.anothers_token.clone().into()),
            ("expired_token", self.expired_token.clone().into()),
            ("fresh", fresh.into()),
            ("fresh_mail", fresh_mail.into()),
            ("heart", "❤".into()),
            ("thumb", "👍".into()),
        ])
    }

    /// The caller's relation to a user, by the column's name.
    pub fn scene_of_user(&self, relation: &str) -> Scene {
        let (id, name) = match relation {
            "oneself" => (self.caller.id, self.caller.name.clone()),
            "colleague" => (self.home.victim.id, self.home.victim.name.clone()),
            "stranger" => (self.stranger.id, self.stranger.name.clone()),
            "elsewhere" => (self.emigrant.id, self.emigrant.name.clone()),
            "missing" => (ID_MAX, "nobody-at-all".to_owned()),
            other => panic!("{other}"),
        };
        let mut scene = self.scene();
        scene.extend([("user", id.into()), ("username", name.into())]);
        scene
    }

    /// A room in which the caller stands as the column says; `root` archives it where that is asked for.
    pub async fn scene_of_room(&self, sockets: &mut Sockets, relation: &str, archived: Option<&User>) -> Scene {
        let cast = if relation == "elsewhere" { &self.abroad } else { &self.home };
        let mut scene = self.scene();
        for (name, user) in [
            ("host", &cast.host),
            ("deputy", &cast.deputy),
            ("victim", &cast.victim),
            ("hushed", &cast.hushed),
            ("outcast", &cast.outcast),
            ("newcomer", &cast.newcomer),
            ("foreigner", &cast.foreigner),
        ] {
            scene.insert(name, user.id.into());
        }
        if relation == "missing" {
            scene.extend([("room", ID_MAX.into()), ("theirs", 3.into()), ("mine", 3.into())]);
            scene.extend([("their_id", ID_MAX.into()), ("my_id", ID_MAX.into())]);
            scene.extend([("code", format!("{ID_MAX}-{:032}", 0).into()), ("hash", format!("{:064}", 0).into())]);
            return scene;
        }
        let was_in = !matches!(relation, "stranger" | "elsewhere");
        let mut members = vec![cast.deputy.id, cast.victim.id, cast.hushed.id, cast.outcast.id];
        members.extend(was_in.then_some(self.caller.id));
        let host = sockets.of(&cast.host).await;
        let room = host.create(relation, &members).await;
        all(
            host,
            [
                json!({"op": "promote", "room": room, "user": cast.deputy.id, "role": "admin"}),
                json!({"op": "mute", "room": room, "user": cast.hushed.id}),
                json!({"op": "ban", "room": room, "user": cast.outcast.id}),
            ],
        )
        .await;
        let invite = host.ok(json!({"op": "invite", "room": room})).await;
        let say = |text: &str| json!({"op": "send", "room": room, "content": {"text": text}});
        let theirs = sockets.of(&cast.victim).await.ok(say("theirs")).await;
        let mut mine = theirs.clone();
        // A readonly user has written nothing.
        if was_in && self.role != Role::Readonly {
            let caller = sockets.of(&self.caller).await;
            mine = caller.ok(say("mine")).await;
            caller.ok(json!({"op": "react", "room": room, "seq": theirs["seq"], "emoji": "👍"})).await;
        }
        let standing = match relation {
            "owner" | "admin" => json!({"op": "promote", "room": room, "user": self.caller.id, "role": relation}),
            "muted" => json!({"op": "mute", "room": room, "user": self.caller.id}),
            "banned" => json!({"op": "ban", "room": room, "user": self.caller.id}),
            "left" => json!({"op": "kick", "room": room, "user": self.caller.id}),
            _ => json!({"op": "ping"}),
        };
        sockets.of(&cast.host).await.ok(standing).await;
        if let Some(root) = archived {
            sockets.of(root).await.ok(json!({"op": "archive", "room": room})).await;
        }
        scene.extend([("room", room.into()), ("theirs", theirs["seq"].clone()), ("mine", mine["seq"].clone())]);
        scene.extend([("their_id", theirs["id"].clone()), ("my_id", mine["id"].clone())]);
        scene.extend([("code", invite["code"].clone()), ("hash", invite["hash"].clone())]);
        scene
    }

    /// The hosts, who see what happens in their rooms.
    pub fn hosts(&self) -> [&User; 2] {
        [&self.home.host, &self.abroad.host]
    }
}

/// Gives requests that must be granted, all at once.
async fn all<const N: usize>(socket: &mut Raw, requests: [Value; N]) {
    let mut asked = Vec::new();
    for request in requests {
        asked.push((socket.ask(request.clone()).await, request));
    }
    // Replies may come in any order, but those of one room's commands come in theirs.
    for (n, request) in asked {
        socket.reply(n).await.unwrap_or_else(|fault| panic!("{request}: {fault}"));
    }
}
