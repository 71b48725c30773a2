//! Ids and the other plain numbers of the vocabulary.
//!
//! Users, rooms and messages are integers from 1 to 2^53 - 1, so that a JavaScript number holds them, unique per kind.

use std::collections::BTreeMap;

use serde::de::{Error, Unexpected, Visitor};
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
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
        #[serde(into = "u64")]
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

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_u64(NumberVisitor { least: 1 }).map(Self)
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

/// Reads an integer from 0 to [`ID_MAX`], the largest that a JavaScript number holds exactly.
///
/// # Errors
/// When it is something else.
pub fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_u64(NumberVisitor { least: 0 })
}

/// As [`whole_number`], where there may be none.
///
/// # Errors
/// When it is something else.
pub fn whole_number_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::<WholeNumber>::deserialize(deserializer).map(|number| number.map(|number| number.0))
}

struct WholeNumber(u64);

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        whole_number(deserializer).map(Self)
    }
}

/// Reads an integer within bounds; the upper one is [`ID_MAX`].
struct NumberVisitor {
    least: u64,
}

impl Visitor<'_> for NumberVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an integer from {} to {ID_MAX}", self.least)
    }

    fn visit_u64<E: Error>(self, raw: u64) -> Result<u64, E> {
        if (self.least..=ID_MAX).contains(&raw) {
            Ok(raw)
        } else {
            Err(E::invalid_value(Unexpected::Unsigned(raw), &self))
        }
    }

    fn visit_i64<E: Error>(self, raw: i64) -> Result<u64, E> {
        match u64::try_from(raw) {
            Ok(raw) => self.visit_u64(raw),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(raw), &self)),
        }
    }
}

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
        write!(f, "an object whose keys are room ids from 1 to {ID_MAX}")
    }

    fn visit_u64<E: Error>(self, raw: u64) -> Result<RoomId, E> {
        RoomId::try_from(raw).map_err(|_| E::invalid_value(Unexpected::Unsigned(raw), &self))
    }

    fn visit_i64<E: Error>(self, raw: i64) -> Result<RoomId, E> {
        let id = u64::try_from(raw).ok().and_then(|raw| RoomId::try_from(raw).ok());
        id.ok_or_else(|| E::invalid_value(Unexpected::Signed(raw), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RoomId, E> {
        text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// The tenant that everybody is in who named none.
pub const TENANT_DEFAULT: TenantId = TenantId::new(1);

/// The name that a sender gave a command, so that sending it again is harmless.
///
/// 1 to 64 bytes of printable ASCII, unique per sender and room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
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

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(ClientIdVisitor)
    }
}

struct ClientIdVisitor;

impl Visitor<'_> for ClientIdVisitor {
    type Value = ClientId;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a string of 1 to {CLIENT_ID_BYTES_MAX} printable ASCII characters")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ClientId, E> {
        ClientId::new(text).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
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
    #[serde(deserialize_with = "whole_number")]
    pub epoch: u64,
    /// The last number that the client has seen.
    #[serde(deserialize_with = "whole_number")]
    pub seq: Seq,
    /// The `append` of the entry at `seq`, if the client kept it: then a log that was cut and regrown is noticed too.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number_if_any")]
    pub append: Option<u64>,
}
