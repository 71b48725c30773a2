//! Health, metrics, the documentation's source and the front door: what is not under `/v1`.

use std::collections::BTreeMap;

use parlance_actors::service::{ClusterHealth, Health};
use parlance_schema::limits::{ID_BLOCK, IDS_LEFT_MIN};
use parlance_schema::node::NodeState;
use serde::Serialize;
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::http::header::{CONTENT_TYPE, VARY};
use warp::reply::Response;

use crate::api::call::Call;
use crate::api::error_response::{json, set};
use crate::api::route::{Access, Answered, Content, Route, Shape, get, ok};
use crate::gateway::pages;

const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A good answer of 503: the report itself, not a fault.
const fn unhealthy<T: ToSchema>(about: &'static str) -> Answered {
    Answered { status: 503, about, content: Content::Json(Shape::of::<T>()) }
}

/// A good answer of 304: the client has it.
const UNCHANGED: Answered =
    Answered { status: 304, about: "It is what `If-None-Match` names.", content: Content::Empty };

/// The routes outside `/v1`.
pub const ROUTES: &[Route] = &[
    get("/", "showServer", "Shows the server's name; browsers get the page.")
        .tag("server")
        .access(Access::Public)
        .run(|call| Box::pin(async move { Ok(front(&call).await) }))
        .answers(&[
            ok::<Server>("The server works."),
            Answered { status: 200, about: "The page.", content: Content::Other("text/html") },
            UNCHANGED,
        ]),
    get("/openapi.json", "showOpenApi", "Shows this document.")
        .tag("server")
        .access(Access::Public)
        .run(|call| Box::pin(async move { Ok(call.deps.document.answer(&call.headers).await) }))
        .answers(&[
            Answered { status: 200, about: "The document.", content: Content::Other("application/json") },
            UNCHANGED,
        ]),
    get("/health", "health", "Tells what works and what does not.")
        .tag("server")
        .access(Access::Public)
        .run(|call| Box::pin(async move { Ok(health(&call).await) }))
        .answers(&[ok::<HealthView>("All that is needed works."), unhealthy::<HealthView>("A needed part is down.")]),
    get("/health/live", "live", "Answers while the process runs.")
        .tag("server")
        .access(Access::Public)
        .run(|_| Box::pin(async { Ok(json(StatusCode::OK, &State { status: Verdict::Healthy })) }))
        .answers(&[ok::<State>("It runs.")]),
    get("/health/ready", "ready", "Tells whether the node takes new work.")
        .tag("server")
        .access(Access::Public)
        .run(|call| Box::pin(async move { Ok(ready(&call).await) }))
        .answers(&[ok::<State>("It does."), unhealthy::<State>("It does not: starting, draining, or a part is down.")]),
    get("/metrics", "metrics", "Shows the node's metrics, in the text format of Prometheus.")
        .tag("server")
        .access(Access::Public)
        .run(|call| Box::pin(async move { Ok(metrics(&call)) }))
        .answers(&[Answered { status: 200, about: "The metrics.", content: Content::Other("text/plain") }]),
];

/// The server, to those who ask for no page.
#[derive(Serialize, ToSchema)]
pub struct Server {
    /// `Working`.
    status: &'static str,
    /// `parlance`.
    name: &'static str,
    /// The version of the build.
    version: &'static str,
    /// Where the documentation is.
    docs: &'static str,
}

async fn front(call: &Call) -> Response {
    let page = if pages::wants_page(&call.headers) { pages::index(&call.headers).await } else { None };
    if let Some(mut page) = page {
        set(&mut page, VARY, "Accept, Accept-Encoding");
        return page;
    }
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let mut response = json(StatusCode::OK, &Server { status: "Working", name, version, docs: "/docs" });
    set(&mut response, VARY, "Accept");
    response
}

/// Whether a part works.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum Verdict {
    /// It works.
    Healthy,
    /// It is down.
    Unhealthy,
}

impl From<bool> for Verdict {
    fn from(works: bool) -> Self {
        if works { Verdict::Healthy } else { Verdict::Unhealthy }
    }
}

/// A verdict alone.
#[derive(Serialize, ToSchema)]
pub struct State {
    /// The verdict.
    status: Verdict,
}

/// What works and what does not.
#[derive(Serialize, ToSchema)]
pub struct HealthView {
    /// `Unhealthy` where a needed part is down.
    status: Verdict,
    /// The parts.
    checks: Checks,
}

/// The parts of a node.
#[derive(Serialize, ToSchema)]
pub struct Checks {
    /// The node itself: whether it takes new work.
    node: State,
    /// The store.
    store: StoreCheck,
    /// The ids that users, rooms and messages get.
    ids: IdsCheck,
    /// What connects nodes.
    bus: BusCheck,
    /// The other nodes.
    cluster: ClusterCheck,
    /// AI assistants.
    assistants: AssistantsCheck,
}

/// The store's state.
#[derive(Serialize, ToSchema)]
pub struct StoreCheck {
    /// Whether it takes writes.
    status: Verdict,
    /// `sqlite`, `memory`, `scylla`.
    backend: &'static str,
    /// `disk`, or `memory` where an acknowledgement outlives the process only by luck.
    durability: &'static str,
}

/// The ids that users, rooms and messages get.
#[derive(Serialize, ToSchema)]
pub struct IdsCheck {
    /// `Unhealthy` where fewer than 2^32 are left of a kind: nothing new can be made once they are spent.
    status: Verdict,
    /// How many are left of the kind that has fewest.
    left: u64,
}

/// What connects nodes.
#[derive(Serialize, ToSchema)]
pub struct BusCheck {
    /// `local` where the node is alone, `nats` in a cluster, `nats: away` while the other nodes can't be reached.
    state: String,
}

/// What the node sees of its cluster.
#[derive(Serialize, ToSchema)]
pub struct ClusterCheck {
    /// `Unhealthy` where the node is cut off from the others, or its lease ran out: rooms that are at home here work, others
    /// are refused.
    status: Verdict,
    /// This node's name.
    node: String,
    /// `starting`, `ready`, `degraded` (it can't reach the store, and leaves its rooms to nodes that can) or `draining`.
    #[schema(value_type = String)]
    state: NodeState,
    /// Whether the bus reaches the other nodes.
    connected: bool,
    /// Whether this node's lease was renewed in time.
    renewed: bool,
    /// The nodes in view by name, with their states.
    #[schema(value_type = BTreeMap<String, String>)]
    nodes: BTreeMap<String, NodeState>,
}

impl From<ClusterHealth> for ClusterCheck {
    fn from(health: ClusterHealth) -> Self {
        Self {
            status: (health.connected && health.renewed).into(),
            node: health.node.to_string(),
            state: health.state,
            connected: health.connected,
            renewed: health.renewed,
            nodes: health.nodes.into_iter().map(|(id, state)| (id.to_string(), state)).collect(),
        }
    }
}

/// AI assistants' state.
#[derive(Serialize, ToSchema)]
pub struct AssistantsCheck {
    /// `none` where the node has no assistants.
    state: &'static str,
}

/// Whether new work can be done: without ids, nothing can be made.
fn works(health: &Health) -> bool {
    health.ready && health.store.writable && health.ids_left >= ID_BLOCK
}

fn status(works: bool) -> StatusCode {
    if works { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn health(call: &Call) -> Response {
    let health = call.deps.service.health().await;
    let ids = health.ids_left >= IDS_LEFT_MIN;
    let works = works(&health) && ids;
    let checks = Checks {
        node: State { status: health.ready.into() },
        store: StoreCheck {
            status: health.store.writable.into(),
            backend: health.store.backend,
            durability: health.store.durability,
        },
        ids: IdsCheck { status: ids.into(), left: health.ids_left },
        bus: BusCheck { state: health.bus },
        cluster: health.cluster.into(),
        assistants: AssistantsCheck { state: "none" },
    };
    json(status(works), &HealthView { status: works.into(), checks })
}

async fn ready(call: &Call) -> Response {
    let works = works(&call.deps.service.health().await);
    json(status(works), &State { status: works.into() })
}

fn metrics(call: &Call) -> Response {
    let mut response = Response::new((call.deps.metrics)().into());
    set(&mut response, CONTENT_TYPE, METRICS_TYPE);
    response
}
