//! Ids and the other plain numbers of the vocabulary.
//!
//! Users, rooms and messages are integers from 1 to 2^53 - 1, so that a JavaScript number holds them, unique per kind.

use std::collections::BTreeMap;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::limits::{CLIENT_ID_BYTES_MAX, ID_MAX};

/// The number of an entry in its room's log: 1, 2, 3… without a gap; 0 is "before the first".
pub type Seq = u64;

/// Milliseconds since the Unix epoch, UTC.
pub type Millis = u64;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "u64", into = "u64")]
        #[schema(value_type = u64, minimum = 1, maximum = 9007199254740991u64)]
        pub struct $name(u64);

        impl $name {
            /// Makes an id from a number that is known to be in range (the store's, or a literal in a test).
            ///
            /// # Panics
            /// In debug builds, when `raw` is 0 or over 2^53 - 1.
            #[must_use]
            pub const fn new(raw: u64) -> Self {
                debug_assert!(raw >= 1 && raw <= ID_MAX);
                Self(raw)
            }

            /// The plain number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = OutOfRange;

            fn try_from(raw: u64) -> Result<Self, OutOfRange> {
                if (1..=ID_MAX).contains(&raw) { Ok(Self(raw)) } else { Err(OutOfRange) }
            }
        }

        impl From<$name> for u64 {
            fn from(id: $name) -> u64 {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = OutOfRange;

            fn from_str(text: &str) -> Result<Self, OutOfRange> {
                text.parse::<u64>().map_err(|_| OutOfRange).and_then(Self::try_from)
            }
        }
    };
}

/// An id outside 1 ..= 2^53 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is an integer from 1 to 9007199254740991")]
pub struct OutOfRange;

id!(
    /// A tenant: users and rooms of one tenant never meet another's.
    TenantId
);
id!(
    /// A user, human or assistant.
    UserId
);
id!(
    /// A room: a group, a direct chat or a conversation with assistants.
    RoomId
);
id!(
    /// A message; it also has a number in its room.
    MessageId
);

/// Reads a map whose keys are rooms, written as numbers or, as JSON has it, as text.
///
/// Serde's own reading of such keys fails inside a tagged enum, where JSON's keys stay text.
///
/// # Errors
/// When a key is no room's id, or a value is wrong.
pub fn room_keys<'de, V, D>(deserializer: D) -> Result<BTreeMap<RoomId, V>, D::Error>
where
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let map = BTreeMap::<RoomKey, V>::deserialize(deserializer)?;
    Ok(map.into_iter().map(|(key, value)| (key.0, value)).collect())
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct RoomKey(RoomId);

impl<'de> Deserialize<'de> for RoomKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RoomKeyVisitor).map(RoomKey)
    }
}

struct RoomKeyVisitor;

impl Visitor<'_> for RoomKeyVisitor {
    type Value = RoomId;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a room's id")
    }

    fn visit_u64<E: Error>(self, raw: u64) -> Result<RoomId, E> {
        RoomId::try_from(raw).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RoomId, E> {
        text.parse().map_err(E::custom)
    }
}

/// The tenant that everybody is in who named none.
pub const TENANT_DEFAULT: TenantId = TenantId::new(1);

/// The name that a sender gave a command, so that sending it again is harmless.
///
/// 1 to 64 bytes of printable ASCII, unique per sender and room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[ -~]{1,64}$")]
pub struct ClientId(std::sync::Arc<str>);

/// A client id that is empty, too long or not printable ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client id is 1 to 64 printable ASCII characters")]
pub struct BadClientId;

impl ClientId {
    /// Checks and wraps a client's text.
    ///
    /// # Errors
    /// When it is empty, over 64 bytes, or not printable ASCII.
    pub fn new(text: impl AsRef<str>) -> Result<Self, BadClientId> {
        let text = text.as_ref();
        let fits = (1..=CLIENT_ID_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(|b| (b' '..=b'~').contains(&b)) { Ok(Self(text.into())) } else { Err(BadClientId) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClientId {
    type Error = BadClientId;

    fn try_from(text: String) -> Result<Self, BadClientId> {
        Self::new(text)
    }
}

impl Serialize for ClientId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A place in a room's log, as a client keeps it between connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The log's epoch when the position was taken; another epoch means that the log was restored from a backup.
    pub epoch: u64,
    /// The last number that the client has seen.
    pub seq: Seq,
    /// The `append` of the entry at `seq`, if the client kept it: then a log that was cut and regrown is noticed too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append: Option<u64>,
}
