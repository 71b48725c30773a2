//! What travels over NATS: MessagePack, an array of the version, the sender's name, its incarnation, and what it says.
//!
//! The version comes first, so that a node can tell what it doesn't know from what is broken. Structures are maps with their
//! fields' names: a field that a node doesn't know is passed over.

use parlance_schema::node::NodeId;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version that this node writes, and the only one that it reads.
const VERSION: u8 = 1;

/// The first byte: MessagePack's mark of an array of four.
const ARRAY: u8 = 0x94;

/// A message of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope<T> {
    /// Who sent it.
    pub from: NodeId,
    /// The random number of the sender's start.
    pub incarnation: u64,
    /// What it says.
    pub body: T,
}

/// Why a payload is no message of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A node of another version wrote it.
    #[error("another version")]
    Version,
    /// No node wrote it, or it was damaged.
    #[error("malformed")]
    Malformed,
}

/// The bytes of a message.
///
/// # Errors
/// When what it says can't be written as MessagePack.
pub fn encode<T: Serialize>(from: &NodeId, incarnation: u64, body: &T) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    rmp_serde::to_vec_named(&(VERSION, from, incarnation, body))
}

/// The message in these bytes.
///
/// # Errors
/// When there is none.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<Envelope<T>, Unreadable> {
    match bytes {
        [ARRAY, VERSION, ..] => {}
        // Whatever a later version is, it is an array that begins with its number, which is small.
        [0x91..=0x9f, 0x00..=0x7f, ..] => return Err(Unreadable::Version),
        _ => return Err(Unreadable::Malformed),
    }
    let (_, from, incarnation, body): (u8, NodeId, u64, T) =
        rmp_serde::from_slice(bytes).map_err(|_| Unreadable::Malformed)?;
    Ok(Envelope { from, incarnation, body })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parlance_actors::ports::bus::{Asked, NodeEvent, PresenceNews, Question, Reply, RoomEvent};
    use parlance_schema::command::Command;
    use parlance_schema::entry::{Entry, Fact};
    use parlance_schema::id::TENANT_DEFAULT;
    use parlance_schema::notice::Notice;
    use parlance_schema::push::Ephemeral;
    use parlance_schema::user::Status;
    use parlance_schema::user::{Principal, Role};
    use parlance_schema::{ClientId, Fault, MessageId, RoomId, UserId};
    use proptest::prelude::*;

    use super::*;

    fn node() -> NodeId {
        "node-1".parse().unwrap()
    }

    fn returns<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(body: T) {
        let bytes = encode(&node(), u64::MAX, &body).unwrap();
        let back: Envelope<T> = decode(&bytes).unwrap();
        assert_eq!(back, Envelope { from: node(), incarnation: u64::MAX, body });
    }

    fn entry(text: &str) -> Entry {
        let content = serde_json::from_value(serde_json::json!({"text": text})).unwrap();
        Entry {
            seq: 7,
            at: 1_790_000_000_000,
            by: UserId::new(1),
            client_id: ClientId::new("c-1").unwrap(),
            posts: 3,
            append: 1 << 52,
            fact: Fact::Posted {
                id: MessageId::new(9),
                content: Some(content),
                reply_to: None,
                mentions: vec![UserId::new(2)],
                meta: serde_json::from_value(serde_json::json!({"a": "b"})).unwrap(),
            },
        }
    }

    #[test]
    fn everything_comes_back() {
        let room = RoomId::new(12);
        let created = Fact::Created {
            tenant: TENANT_DEFAULT,
            kind: parlance_schema::command::Kind::Group,
            name: "Tea".into(),
            members: vec![UserId::new(1)],
            history: parlance_schema::command::History::All,
        };
        let entries = [Arc::new(entry("hé")), Arc::new(Entry { seq: 8, fact: created, ..entry("") })];
        returns(RoomEvent::Appended(entries.into()));
        returns(RoomEvent::Last(8));
        let (user, status) = (UserId::new(3), Status::DoNotDisturb);
        returns(RoomEvent::Ephemeral(Ephemeral::Presence { room, user, status, last_seen: None }));
        returns(Notice::RoomAdded { room });
        returns(Notice::Revoked { before: 5 });
        let news = PresenceNews { incarnation: 1 << 63, number: 2, users: vec![(user, status, 4)] };
        returns(NodeEvent::Presence(news.clone()));
        let who = Principal { user, tenant: TENANT_DEFAULT, role: Role::User };
        let client_id = ClientId::new("x").unwrap();
        let content = serde_json::from_value(serde_json::json!({"text": "new"})).unwrap();
        let command = Command::Edit { seq: 1, revision: Some(2), content };
        returns(Question::Commands { room, commands: [Asked { who, client_id, command }].into() });
        returns(Question::Last { rooms: vec![room] });
        returns(Question::Stats { tenant: TENANT_DEFAULT });
        returns(Question::Presence);
        returns(Reply::Done(vec![Err(Fault::busy("full").after(50))]));
        returns(Reply::Last(vec![(room, 7)]));
        returns(Reply::NotMine(Some(node())));
        returns(Reply::Refused(Fault::internal("no")));
        returns(Reply::Presence(news));
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let mut bytes = encode(&node(), 1, &Question::Presence).unwrap();
        assert!(decode::<Question>(&bytes).is_ok());
        assert_eq!(decode::<Notice>(&bytes), Err(Unreadable::Malformed));
        bytes[1] = 2;
        assert_eq!(decode::<Question>(&bytes), Err(Unreadable::Version));
        assert_eq!(decode::<Question>(&[0x92, 3, 1]), Err(Unreadable::Version));
        for bytes in [&b""[..], b"hello", &[ARRAY], &[ARRAY, VERSION], &[0xc1, 1]] {
            assert_eq!(decode::<Question>(bytes), Err(Unreadable::Malformed), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(tail in proptest::collection::vec(any::<u8>(), 0..200), flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..4)) {
            let mut bytes = vec![ARRAY, VERSION];
            bytes.extend(tail);
            let _ = decode::<RoomEvent>(&bytes);
            let mut bytes = encode(&node(), 1, &RoomEvent::Appended([Arc::new(entry("hello"))].into())).unwrap();
            for (at, byte) in flips {
                let at = usize::from(at) % bytes.len();
                bytes[at] = byte;
            }
            let _ = decode::<RoomEvent>(&bytes);
        }
    }
}
