//! Who may do what: each role of the installation, and nobody, at each route and each operation, in every relation to what is
//! asked about. `rows.rs` is the table; a route or an operation without a row fails, and a row without one does.
//!
//! First all that must be refused, and all that only reads: after none of it the database may have changed. Then what must
//! be done, each time in a room of its own. Both doors are tried, REST and the WebSocket.

mod alike;
mod database;
mod grid;
mod judge;
mod rows;
mod scene;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parlance::api::dialect::{Dialects, Mounted};
use parlance::api::error_response::ErrorStyle;
use parlance::api::route::{Access, Route};
use parlance::dialect;
use parlance::gateway::rest;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use utoipa::PartialSchema;

use crate::raw::{Got, How, Raw};
use crate::server::{Doors, User};
use crate::stage::folder;
use alike::Alike;
use database::Database;
use grid::{Columns, ROLES};
use judge::{judge_rest, judge_socket};
use rows::{Case, Row, rows};
use scene::{PASSWORD, People, Scene, Sockets, Troupe};

/// Our own routes, and those of all dialects.
fn all_routes() -> Vec<Mounted> {
    let dialects = Dialects::open(dialect::ALL, &Default::default()).unwrap();
    rest::mounted().chain(dialects.routes()).collect()
}

/// A route's name in the table.
fn name(route: &Route) -> String {
    format!("{} {}", route.verb.word(), route.path)
}

#[test]
fn each_route_and_each_operation_has_its_row_and_each_row_its_route() {
    let routes: Vec<String> = all_routes().iter().map(|mounted| name(mounted.route)).collect();
    let named: Vec<&str> = rows().map(|row| row.route).filter(|route| !route.is_empty()).collect();
    let (table, listed): (BTreeSet<&str>, BTreeSet<&str>) =
        (routes.iter().map(String::as_str).collect(), named.iter().copied().collect());
    let odd: Vec<_> = table.symmetric_difference(&listed).collect();
    assert!(odd.is_empty(), "routes without a row, and rows without a route: {odd:?}");
    assert_eq!(named.len(), listed.len(), "a route has one row");

    let schema = serde_json::to_value(parlance_schema::op::Op::schema()).unwrap();
    let word = |op: &Value| op["properties"]["op"]["enum"][0].as_str().unwrap().to_owned();
    let known: BTreeSet<String> = schema["oneOf"].as_array().unwrap().iter().map(word).collect();
    let ops = rows().flat_map(|row| row.cases).filter_map(|case| case.op);
    let tried: BTreeSet<String> =
        ops.map(|op| serde_json::from_str::<Value>(op).unwrap()["op"].as_str().unwrap().to_owned()).collect();
    assert!(known.len() > 30, "{known:?}");
    assert_eq!(known, tried, "the operations, and those that rows try");
}

#[test]
fn each_grid_has_a_mark_for_each_relation() {
    for row in rows() {
        assert!(!row.cases.is_empty(), "{}: nothing is tried", row.route);
        for case in row.cases {
            for line in case.grid.lines {
                let marks: Vec<char> = line.chars().filter(|mark| *mark != ' ').collect();
                assert_eq!(marks.len(), case.grid.columns.names().len(), "{} {}: {line}", row.route, case.about);
                // Which panics where there is no such mark.
                let refusals = marks.into_iter().filter_map(grid::code).count();
                assert!(refusals <= case.grid.columns.names().len());
            }
        }
    }
}

/// Puts a scene's values in the place of `$name`.
fn filled(template: &str, scene: &Scene) -> Value {
    fn fill(value: &mut Value, scene: &Scene) {
        match value {
            Value::String(text) => {
                if let Some(name) = text.strip_prefix('$') {
                    *value = scene.get(name).unwrap_or_else(|| panic!("the scene has no {name}")).clone();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| fill(item, scene)),
            Value::Object(fields) => {
                for (name, mut field) in std::mem::take(fields) {
                    fill(&mut field, scene);
                    let key = name.strip_prefix('$').map_or(name.clone(), |name| scene[name].to_string());
                    fields.insert(key, field);
                }
            }
            _ => {}
        }
    }
    let mut value = serde_json::from_str(template).unwrap();
    fill(&mut value, scene);
    value
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The REST door.
#[derive(Clone)]
struct Rest {
    doors: Doors,
    client: reqwest::Client,
}

impl Rest {
    /// Asks as whoever has the token; status and body.
    async fn ask(&self, route: &Route, case: &Case, scene: &Scene, token: Option<&str>) -> (u16, Value) {
        let segments = route.path.split('/').map(|segment| match parlance::api::route::parameter(segment) {
            Some(name) => {
                let other = case.with.iter().find(|(parameter, _)| *parameter == name).map_or(name, |(_, other)| other);
                let value = scene.get(other).unwrap_or_else(|| panic!("{}: no {other}", route.path));
                percent_encoding::utf8_percent_encode(&text(value), percent_encoding::NON_ALPHANUMERIC).to_string()
            }
            None => segment.to_owned(),
        });
        let mut url = format!("http://{}{}", self.doors.next(), segments.collect::<Vec<_>>().join("/"));
        if let Some((name, value)) = case.query.split_once("=$") {
            url = format!("{url}?{name}={}", text(&scene[value]));
        }
        let mut request = self.client.request(route.verb.word().parse().unwrap(), url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = case.body {
            let mut scene = scene.clone();
            if body.contains("$refresh") {
                scene.insert("refresh", self.refresh_token().await);
            }
            request = request.json(&filled(body, &scene));
        }
        let reply = request.send().await.unwrap();
        let status = reply.status().as_u16();
        let bytes = reply.bytes().await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn refresh_token(&self) -> Value {
        let body = json!({"username": "guest", "password": PASSWORD});
        let reply =
            self.client.post(format!("http://{}/v1/auth/login", self.doors.next())).json(&body).send().await.unwrap();
        reply.json::<Value>().await.unwrap()["refresh_token"].clone()
    }
}

/// One cell of the table.
struct Cell {
    row: &'static Row,
    case: &'static Case,
    route: Option<&'static Route>,
    role: usize,
    column: usize,
    mark: char,
}

impl Cell {
    fn relation(&self) -> &'static str {
        self.case.grid.columns.names()[self.column]
    }

    /// Whether it must leave everything as it was.
    fn leaves_all(&self) -> bool {
        !self.case.changes || grid::code(self.mark).is_some()
    }

    fn told(&self, door: &str, problem: &str) -> String {
        let (role, relation, about) = (ROLES[self.role].word(), self.relation(), self.case.about);
        format!("{} ({about}) over {door} by {role}, {relation}: {problem}", self.row.route)
    }
}

fn cells() -> Vec<Cell> {
    let routes: HashMap<String, Mounted> = all_routes().into_iter().map(|m| (name(m.route), m)).collect();
    let mut cells = Vec::new();
    for row in rows() {
        for case in row.cases {
            for role in 0..ROLES.len() {
                for column in 0..case.grid.columns.names().len() {
                    let mounted = routes.get(row.route);
                    let tells = mounted.is_some_and(|mounted| mounted.errors() == ErrorStyle::Detail);
                    let route = mounted.map(|mounted| mounted.route);
                    let mark = if tells { case.grid.mark_told(role, column) } else { case.grid.mark(role, column) };
                    cells.push(Cell { row, case, route, role, column, mark });
                }
            }
        }
    }
    cells
}

/// Scenes that nothing may change, made once.
type Still = HashMap<(usize, &'static str, bool), Scene>;

async fn still_scenes(people: &People, sockets: &mut Sockets) -> Still {
    let mut still = Still::new();
    for (role, troupe) in people.troupes.iter().enumerate() {
        for relation in grid::ROOMS {
            for archived in [false, true] {
                let root = archived.then_some(&people.root);
                still.insert((role, relation, archived), troupe.scene_of_room(sockets, relation, root).await);
            }
        }
    }
    still
}

fn still_scene(still: &Still, troupe: &Troupe, cell: &Cell) -> Scene {
    match cell.case.grid.columns {
        Columns::Rooms => still[&(cell.role, cell.relation(), cell.case.archived)].clone(),
        Columns::People => troupe.scene_of_user(cell.relation()),
        Columns::Sole => troupe.scene(),
    }
}

/// Asks over a socket; a resume over one of its own, as it changes what the socket is sent.
async fn ask_socket(sockets: &mut Sockets, caller: &User, request: Value) -> Result<Value, Value> {
    if request["op"] == "resume" {
        return Raw::ready(sockets.doors.next(), &caller.token).await.request(request).await;
    }
    sockets.of(caller).await.request(request).await
}

/// Tries all that must leave everything as it was.
async fn try_refusals(
    people: &People,
    still: &Still,
    rest: &Rest,
    sockets: &mut Sockets,
    database: &mut Database,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut alike = Alike::default();
    let cells: Vec<_> = cells().into_iter().filter(Cell::leaves_all).collect();
    for (at, cell) in cells.iter().enumerate() {
        let troupe = &people.troupes[cell.role];
        let scene = still_scene(still, troupe, cell);
        let mut verdicts = Vec::new();
        if let Some(route) = cell.route {
            let got = rest.ask(route, cell.case, &scene, Some(&troupe.caller.token)).await;
            verdicts.push(("REST", judge_rest(route, cell.case, cell.mark, &scene, &got)));
            verdicts.push(("REST", alike.add(cell, "REST", &format!("{got:?}"), &scene)));
        }
        if let Some(op) = cell.case.op {
            let outcome = ask_socket(sockets, &troupe.caller, filled(op, &scene)).await;
            verdicts.push(("a socket", judge_socket(cell.case, cell.mark, &scene, &outcome)));
            verdicts.push(("a socket", alike.add(cell, "a socket", &format!("{outcome:?}"), &scene)));
        }
        // Where looking takes long it is done once for each row of the table.
        let row_ends = cells.get(at + 1).is_none_or(|next| !std::ptr::eq(next.row, cell.row));
        if let Some(tables) = database.changed(row_ends).await {
            verdicts.push(("either door", Err(format!("the database has changed: {tables}"))));
        }
        wrong.extend(verdicts.into_iter().filter_map(|(door, verdict)| Some(cell.told(door, &verdict.err()?))));
    }
    wrong
}

/// Tries every route, whatever is asked about, with no token, and with tokens that are not good.
async fn try_nobodies(people: &People, still: &Still, rest: &Rest) -> Vec<String> {
    let mut wrong = Vec::new();
    for cell in cells().iter().filter(|cell| cell.role == 0) {
        let Some(route) = cell.route else { continue };
        // Those who need no token are not asked for one: there, a bad one is as good as a good one.
        let public = route.access == Access::Public;
        let scene = still_scene(still, &people.troupes[0], cell);
        for (who, token, word) in &people.nobodies {
            let mut scene = scene.clone();
            let fresh = format!("fresh-{who}-{}", route.id);
            scene.extend([("fresh_mail", format!("{fresh}@example.org").into()), ("fresh", fresh.into())]);
            let got = rest.ask(route, cell.case, &scene, token.as_deref()).await;
            let verdict = match public {
                true => judge_rest(route, cell.case, cell.mark, &scene, &got),
                false if got.0 == 401 && got.1.get("code").is_none_or(|code| code == word) => Ok(()),
                false => Err(format!("expected {word}, got {got:?}")),
            };
            wrong.extend(verdict.err().map(|problem| format!("{} by {who}: {problem}", cell.row.route)));
        }
    }
    for (who, token, _) in &people.nobodies {
        let end = Raw::connect(rest.doors.next(), token.as_deref().unwrap_or("-"), How::default()).await;
        if end.as_ref().err() != Some(&Got::Close(4401)) {
            wrong.push(format!("a socket of {who} is not closed with 4401"));
        }
    }
    wrong
}

/// Deeds of one role in rooms that are done at once: rooms know nothing of each other.
const LANES: usize = 3;

/// Tries all that must be done, by one role: each time in a room of its own, over each door. What is not about a room may end
/// the caller's connections: that is a lane of its own, without a number.
async fn try_deeds(people: Arc<People>, role: usize, lane: Option<usize>, rest: Rest) -> Vec<String> {
    let mut wrong = Vec::new();
    let (troupe, mut sockets) = (&people.troupes[role], Sockets::new(rest.doors.clone()));
    // There must be a connection for its status to be set.
    sockets.of(&troupe.caller).await;
    let in_lane = |at: usize, cell: &Cell| match cell.case.grid.columns {
        Columns::Rooms => lane == Some(at % LANES),
        Columns::People | Columns::Sole => lane.is_none(),
    };
    let cells = cells().into_iter().filter(|cell| cell.role == role && !cell.leaves_all()).enumerate();
    for (_, cell) in cells.filter(|(at, cell)| in_lane(*at, cell)) {
        for over_rest in [false, true] {
            let scene = match cell.case.grid.columns {
                Columns::Rooms => {
                    let root = cell.case.archived.then_some(&people.root);
                    troupe.scene_of_room(&mut sockets, cell.relation(), root).await
                }
                Columns::People => troupe.scene_of_user(cell.relation()),
                Columns::Sole => troupe.scene(),
            };
            let verdict = match (over_rest, cell.route, cell.case.op) {
                (true, Some(route), _) => {
                    let got = rest.ask(route, cell.case, &scene, Some(&troupe.caller.token)).await;
                    judge_rest(route, cell.case, cell.mark, &scene, &got)
                }
                (false, _, Some(op)) => {
                    let outcome = ask_socket(&mut sockets, &troupe.caller, filled(op, &scene)).await;
                    judge_socket(cell.case, cell.mark, &scene, &outcome)
                }
                _ => continue,
            };
            let door = if over_rest { "REST" } else { "a socket" };
            wrong.extend(verdict.err().map(|problem| cell.told(door, &problem)));
        }
    }
    wrong
}

fn none_wrong(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} of the table's cells are not so:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_may_do_what_the_table_says_and_nothing_else() {
    let (_folder, setup) = folder();
    let setup = setup.set("auth.argon2.memory_kib", "64").set("auth.argon2.iterations", "1");
    let setup = setup.set("limits.connections_per_user", "1000").set("rates.attempts_per_s", "0");
    // Sockets that have had their turn answer no pings until all the others have had theirs.
    let setup = setup.set("limits.silence_ms", "3600000");
    let people = Arc::new(People::new(&setup));
    let server = setup.start().await;
    let rest = Rest { doors: server.doors(), client: reqwest::Client::new() };

    let mut sockets = Sockets::new(server.doors());
    let still = still_scenes(&people, &mut sockets).await;
    for troupe in &people.troupes {
        for host in troupe.hosts() {
            sockets.of(host).await.resume(json!({})).await;
        }
        sockets.of(&troupe.caller).await;
    }
    let mut database = Database::open(&setup).await;
    none_wrong(&try_refusals(&people, &still, &rest, &mut sockets, &mut database).await);
    // Nor was anybody told of anything: what is not stored leaves no trace but this.
    for troupe in &people.troupes {
        for host in troupe.hosts() {
            let socket = sockets.of(host).await;
            socket.ok(json!({"op": "ping"})).await;
            let told: Vec<_> = socket.pushes.iter().filter(|push| push["push"] != "presence").collect();
            assert!(told.is_empty(), "{} was told {told:?}", host.name);
        }
    }
    none_wrong(&try_nobodies(&people, &still, &rest).await);

    for lanes in [(0..LANES).map(Some).collect(), vec![None]] {
        let mut tasks = JoinSet::new();
        for (role, lane) in (0..ROLES.len()).flat_map(|role| lanes.iter().map(move |lane| (role, *lane))) {
            tasks.spawn(try_deeds(people.clone(), role, lane, rest.clone()));
        }
        none_wrong(&tasks.join_all().await.concat());
    }
    println!("{} cells, {} routes", cells().len(), all_routes().len());
}
