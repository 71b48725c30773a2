//! The operator's view.

use std::sync::Arc;

use parlance_actors::service::ActorView;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use warp::http::StatusCode;

use crate::api::error_response::json;
use crate::api::route::{Access, Route, get, ok};

/// The operator's routes.
pub const ROUTES: &[Route] = &[get("/v1/admin/actors", "showActors", "Shows this node's actor tree.")
    .tag("admin")
    .access(Access::SuperAdmin)
    .run(|call| {
        Box::pin(async move {
            let service = Arc::clone(&call.deps.service);
            Ok(json(StatusCode::OK, &Tree { actors: service.actors().await }))
        })
    })
    .answers(&[ok::<ActorTree>("The actors, each with its place in the tree.")])];

#[derive(Serialize)]
struct Tree {
    actors: Vec<ActorView>,
}

/// A node's actors.
#[derive(ToSchema)]
pub struct ActorTree {
    /// One for each, in the tree's order.
    pub actors: Vec<Actor>,
}

/// An actor.
#[derive(ToSchema)]
pub struct Actor {
    /// Its place in the tree, such as `rooms/17`.
    pub path: String,
    /// Whether it runs.
    pub status: String,
    /// A small picture of its state.
    #[schema(value_type = Value)]
    pub state: Value,
}
