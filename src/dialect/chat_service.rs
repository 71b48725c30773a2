//! `chat-service`: users, direct and group chats up to 100 members, and a WebSocket per chat.

mod ask;
mod chats;
mod live;
mod messages;
mod participants;
pub mod socket;
mod users;
pub mod view;
pub mod wire;

use crate::auth::Issuer;
use crate::config;
use crate::gateway::rest::route::Route;

/// The name of its issuer; foreign subjects are known by it.
const ISSUER: &str = "chat-service";
/// Its chapter of the documentation.
const TAG: &str = "chat-service";

/// What is set of it.
#[derive(Debug)]
pub struct Settings {
    /// Whose tokens are good, besides ours.
    pub issuer: Option<Issuer>,
    /// Seconds that an access token of a login is good for.
    pub token_life_s: u64,
}

impl Settings {
    /// Takes over the settings; `None` where it is off.
    #[must_use]
    pub fn new(config: &config::ChatService) -> Option<Self> {
        let secret = Some(&config.secret_key).filter(|secret| !secret.reveal().is_empty());
        let issuer = secret.map(|secret| Issuer::new(ISSUER, secret, config.algorithm));
        config.enabled.then_some(Self { issuer, token_life_s: config.access_token_expire_minutes * 60 })
    }
}

/// Its routes.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    let chapters: [&'static [Route]; 5] =
        [users::ROUTES, chats::ROUTES, participants::ROUTES, messages::ROUTES, live::ROUTES];
    chapters.into_iter().flatten()
}
