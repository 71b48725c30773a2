//! Every error that a client can see: one table of codes, each with what to do about it.

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Whether, and how, trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The same request will be refused again.
    Never,
    /// Send the same request (with the same client id) again after `retry_after_ms`.
    Later,
    /// Get a new token, then connect or send again.
    Authenticate,
    /// Look at the present state first (another edit won, the log was restored), then decide anew.
    Refresh,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $http:literal, $close:literal, $retry:ident;)*) => {
        /// A stable word for an error; the numbers beside it are the HTTP status and the WebSocket close code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Code {
            /// All codes, in the table's order.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The stable word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Code::$name => $word),* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn http(self) -> u16 {
                match self { $(Code::$name => $http),* }
            }

            /// The close code of a connection that ends for this reason. 4400 to 4499: don't come back with the same
            /// request or token; 4500 to 4599 and 1012, 1013: come back.
            #[must_use]
            pub const fn close(self) -> u16 {
                match self { $(Code::$name => $close),* }
            }

            /// Whether trying again can help.
            #[must_use]
            pub const fn retry(self) -> Retry {
                match self { $(Code::$name => Retry::$retry),* }
            }
        }
    };
}

codes! {
    /// The frame or body is not what the documentation at /docs says: bad JSON or MessagePack, a wrong type, a missing field.
    Malformed = "malformed", 400, 4400, Never;
    /// A value is outside its bounds.
    Invalid = "invalid", 422, 4422, Never;
    /// The frame, body or message is too large.
    TooLarge = "too_large", 413, 4413, Never;
    /// No such operation, path or method.
    Unknown = "unknown_op", 404, 4404, Never;
    /// No token, or one that is not valid.
    Unauthenticated = "unauthenticated", 401, 4401, Authenticate;
    /// The token has expired.
    TokenExpired = "token_expired", 401, 4401, Authenticate;
    /// Wrong username or password, or the account is disabled.
    BadCredentials = "bad_credentials", 401, 4401, Never;
    /// The account was disabled or the token's family revoked.
    Revoked = "revoked", 401, 4401, Authenticate;
    /// Not allowed to do this.
    Forbidden = "forbidden", 403, 4403, Never;
    /// Banned from the room.
    Banned = "banned", 403, 4403, Never;
    /// Muted in the room.
    Muted = "muted", 403, 4403, Never;
    /// Not there, or not visible to the caller.
    NotFound = "not_found", 404, 4404, Never;
    /// The name, address or thing is taken.
    Exists = "exists", 409, 4409, Never;
    /// It is so already; nothing was done.
    Already = "already", 409, 4409, Never;
    /// The room has its full number of members.
    RoomFull = "room_full", 409, 4409, Never;
    /// The room is archived.
    Archived = "archived", 409, 4409, Never;
    /// The message has been changed since the revision that was named.
    Stale = "stale", 409, 4409, Refresh;
    /// The message was deleted.
    Deleted = "deleted", 409, 4409, Never;
    /// The invite has expired, was revoked or used up.
    InviteGone = "invite_gone", 410, 4410, Never;
    /// The position is ahead of the log, or of another epoch: forget it and load the room anew.
    Reset = "reset", 409, 4409, Refresh;
    /// Too many requests.
    RateLimited = "rate_limited", 429, 4529, Later;
    /// More commands in flight than there are credits.
    NoCredit = "no_credit", 429, 4529, Later;
    /// The connection read too slowly for too long.
    SlowConsumer = "slow_consumer", 503, 4508, Later;
    /// The connection was silent for too long.
    Silent = "silent", 408, 4509, Later;
    /// The server is restarting or draining.
    Restarting = "restarting", 503, 1012, Later;
    /// A queue is full; the server is doing more than it can.
    Busy = "busy", 503, 1013, Later;
    /// The store can't be reached, or can't take writes.
    StoreUnavailable = "store_unavailable", 503, 4503, Later;
    /// Nobody can tell whether it was done. The same client id again gives the answer.
    OutcomeUnknown = "outcome_unknown", 503, 4503, Later;
    /// A mistake of the server's.
    Internal = "internal", 500, 1011, Later;
}

/// By hand, as the derived one doesn't see the words that a macro puts in.
impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let words = Code::ALL.iter().map(|code| code.word());
        let schema = ObjectBuilder::new().schema_type(Type::String).description(Some("A stable word for an error."));
        schema.enum_values(Some(words)).into()
    }
}

impl ToSchema for Code {}

/// Which limit a `rate_limited` fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Requests and upgrades of one address.
    AddressRate,
    /// Requests and upgrades of one user.
    UserRate,
    /// Logins and registrations of one address.
    AttemptRate,
    /// Requests on one WebSocket.
    CommandRate,
    /// Connections of one address.
    AddressConnections,
    /// Connections of one user.
    UserConnections,
}

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{}: {detail}", code.word())]
pub struct Fault {
    /// The stable word.
    pub code: Code,
    /// A sentence for a developer; never holds message text, tokens or keys.
    pub detail: String,
    /// Whether trying again can help.
    pub retry: Retry,
    /// Milliseconds to wait before trying again, where that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Which limit was reached, where the code is `rate_limited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

impl Fault {
    /// Makes a fault with the code's own advice on trying again.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after_ms = matches!(code.retry(), Retry::Later).then_some(1_000);
        Self { code, detail: detail.into(), retry: code.retry(), retry_after_ms, limit: None }
    }

    /// The same, with the time after which trying again can help.
    #[must_use]
    pub fn after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// A fault of code `OutcomeUnknown`: nobody answered in time.
    #[must_use]
    pub fn no_answer() -> Self {
        Self::new(
            Code::OutcomeUnknown,
            "no answer came in time, so this may or may not have been done: send it again with the same `client_id` (over REST, the same `Idempotency-Key`) to find out",
        )
    }

    /// A fault of code `RateLimited`: which limit was reached, and the milliseconds after which trying again can help.
    #[must_use]
    pub fn rate_limited(limit: Limit, detail: impl Into<String>, wait_ms: u64) -> Self {
        Self { limit: Some(limit), ..Self::new(Code::RateLimited, detail).after(wait_ms) }
    }
}

macro_rules! shorthands {
    ($($name:ident => $code:ident),* $(,)?) => {
        impl Fault {
            $(
                #[doc = concat!("A fault of code `", stringify!($code), "`.")]
                #[must_use]
                pub fn $name(detail: impl Into<String>) -> Self {
                    Self::new(Code::$code, detail)
                }
            )*
        }
    };
}

shorthands! {
    malformed => Malformed, invalid => Invalid, too_large => TooLarge, forbidden => Forbidden, not_found => NotFound,
    already => Already, internal => Internal, busy => Busy, unauthenticated => Unauthenticated,
    store_unavailable => StoreUnavailable,
}
