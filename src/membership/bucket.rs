//! The bucket with the leases: a JetStream key-value bucket, a key for each node, written only over what was read.
//!
//! The client's own `create` and `update` forget the time after which a key expires in some cases; a lease is therefore written
//! as what it is: a message on the key's subject, with a header for that time and one for the revision that it replaces.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_TTL};
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::kv::{self, Operation, Store, Watch};
use parlance_schema::node::{NodeId, NodeInfo};

/// Seconds for which it is remembered that a node left or expired, for those who were not listening.
const MARKER_S: u64 = 3_600;
const OPERATION: &str = "KV-Operation";

/// What is kept under a node's name.
#[derive(Clone, Debug, PartialEq)]
pub enum Lease {
    /// Nothing that holds, to be replaced by its revision.
    Free(u64),
    /// A lease, and its revision.
    Held(NodeInfo, u64),
}

/// Why the bucket did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is there is not what was to be replaced.
    #[error("somebody else wrote")]
    Conflict,
    /// Anything else: perhaps it was done.
    #[error("{0}")]
    Other(String),
}

/// A node's way to the bucket.
#[derive(Clone)]
pub struct Bucket {
    context: Context,
    store: Store,
    lease: Duration,
}

/// Where and how the bucket is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the cluster.
    pub cluster: String,
    /// Seconds after which a lease expires that is not renewed; whole ones.
    pub lease: Duration,
    /// Servers that keep it, if it isn't there yet.
    pub replicas: usize,
}

impl Bucket {
    /// Opens the bucket, and makes it where there is none.
    pub async fn open(context: Context, options: &Options) -> Result<Self, Error> {
        let name = format!("parlance_{}_nodes", options.cluster);
        let store = match context.get_key_value(&name).await {
            Ok(store) => store,
            Err(_) => {
                let config = kv::Config {
                    bucket: name,
                    description: "the live nodes of parlance".into(),
                    history: 1,
                    num_replicas: options.replicas,
                    limit_markers: Some(Duration::from_secs(MARKER_S)),
                    ..kv::Config::default()
                };
                context.create_key_value(config).await.map_err(|error| Error::Other(chain(&error)))?
            }
        };
        Ok(Self { context, store, lease: options.lease })
    }

    /// What is kept under a name now.
    pub async fn look(&self, node: &NodeId) -> Result<Lease, Error> {
        let entry = self.store.entry(node.as_str()).await.map_err(|error| Error::Other(chain(&error)))?;
        Ok(match entry {
            None => Lease::Free(0),
            Some(entry) if entry.operation != Operation::Put => Lease::Free(entry.revision),
            Some(entry) => match read(&entry) {
                Some(info) => Lease::Held(info, entry.revision),
                None => Lease::Free(entry.revision),
            },
        })
    }

    /// Takes or renews a lease in place of what has this revision; its new revision.
    pub async fn put(&self, info: &NodeInfo, replaces: u64) -> Result<u64, Error> {
        let value = serde_json::to_vec(info).map_err(|error| Error::Other(error.to_string()))?;
        self.write(&info.id, HeaderMap::new(), self.lease.as_secs(), replaces, value).await
    }

    /// Gives a lease back that has this revision.
    pub async fn give_back(&self, node: &NodeId, replaces: u64) -> Result<(), Error> {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, "DEL");
        self.write(node, headers, MARKER_S, replaces, Vec::new()).await.map(drop)
    }

    async fn write(
        &self,
        node: &NodeId,
        mut headers: HeaderMap,
        ttl_s: u64,
        replaces: u64,
        value: Vec<u8>,
    ) -> Result<u64, Error> {
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, replaces.to_string());
        headers.insert(NATS_MESSAGE_TTL, ttl_s.to_string());
        let subject = format!("$KV.{}.{node}", self.store.name);
        let sent = self.context.publish_with_headers(subject, headers, value.into()).await;
        let acked = match sent {
            Ok(sending) => sending.await,
            Err(error) => Err(error),
        };
        acked.map(|ack| ack.sequence).map_err(|error| match error.kind() {
            PublishErrorKind::WrongLastSequence => Error::Conflict,
            _ => Error::Other(chain(&error)),
        })
    }

    /// All leases as they are, then whatever happens to them.
    pub async fn watch(&self) -> Result<Watch, Error> {
        self.store.watch_with_history(">").await.map_err(|error| Error::Other(chain(&error)))
    }
}

/// The lease in an entry; none where somebody else wrote there.
pub fn read(entry: &kv::Entry) -> Option<NodeInfo> {
    let info: NodeInfo = serde_json::from_slice(&entry.value).ok()?;
    (info.id.as_str() == entry.key).then_some(info)
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
