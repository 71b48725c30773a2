//! The rows by name: what each is called, what it needs, and in which direction it is better.

use clap::ValueEnum;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Row {
    /// CPU per delivery, stored before delivery, at saturation.
    Fanout,
    /// The same in rooms with 8 messages under way each, beside one process that commits and fans out.
    #[value(name = "fanout-8")]
    Fanout8,
    /// The same with 1 message under way.
    #[value(name = "fanout-1")]
    Fanout1,
    /// Time from send to last member.
    Latency,
    /// The same beside a member whose commands are refused.
    Refusals,
    /// Memory per idle connection.
    Memory,
    /// Acknowledged sends a second.
    Acks,
    /// The same beside a consumer that follows all logs.
    Feed,
    /// Time from send to last member beside a consumer whose destination fails.
    FeedFailing,
    /// Sessions that come back.
    Resume,
    /// A room that wakes.
    Wake,
    /// Another service's messages brought in.
    Import,
    /// Another service's sockets beside native ones.
    Dialect,
    /// CPU per delivery of three nodes beside that of one.
    Spread,
    /// Messages between nodes for each message sent.
    Nats,
    /// Time to an acknowledgement from another node.
    RemoteAck,
    /// Acknowledged sends a second in one room, on a CQL server.
    CqlAcks,
    /// Time from send to last member beside a member whose commands are refused, on a CQL server.
    RefusalsCql,
    /// A node that is killed.
    Takeover,
    /// A node that drains.
    Drain,
}

impl Row {
    /// All rows, in the table's order.
    pub const ALL: [Self; 20] = [
        Self::Fanout,
        Self::Fanout8,
        Self::Fanout1,
        Self::Latency,
        Self::Refusals,
        Self::Memory,
        Self::Acks,
        Self::Feed,
        Self::FeedFailing,
        Self::Resume,
        Self::Wake,
        Self::Import,
        Self::Dialect,
        Self::Spread,
        Self::Nats,
        Self::RemoteAck,
        Self::CqlAcks,
        Self::RefusalsCql,
        Self::Takeover,
        Self::Drain,
    ];

    /// Whether it is one of the cluster's, which needs servers besides.
    pub fn needs_servers(self) -> bool {
        matches!(
            self,
            Self::Spread
                | Self::Nats
                | Self::RemoteAck
                | Self::CqlAcks
                | Self::RefusalsCql
                | Self::Takeover
                | Self::Drain
        )
    }

    /// Whether it compares a server with itself alone, with a part that earlier versions don't have.
    pub fn is_new(self) -> bool {
        matches!(self, Self::Feed | Self::FeedFailing)
    }

    /// Whether more is better: of rates it is, of times, CPU, memory and counts it isn't.
    pub fn more_is_better(self) -> bool {
        matches!(self, Self::Acks | Self::Feed | Self::Import | Self::CqlAcks)
    }

    /// What is measured, and its unit.
    pub fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Fanout => ("fan-out, 10 rooms × 100, stored first: CPU per delivery", "µs"),
            Self::Fanout8 => ("fan-out, 5 rooms × 100, 8 messages under way in each: CPU per delivery", "µs"),
            Self::Fanout1 => ("fan-out, 5 rooms × 100, 1 message under way in each: CPU per delivery", "µs"),
            Self::Latency => ("p99 send to last member, 20,000 deliveries/s", "ms"),
            Self::Refusals => ("p99 send to last other member beside 200 refused commands/s; ceiling: without", "ms"),
            Self::Memory => ("memory per idle connection, 100 rooms × 100", "KiB"),
            Self::Acks => ("acknowledged sends, 64 senders in 64 rooms", "1/s"),
            Self::Feed => ("acknowledged sends beside a consumer of all logs, 64 senders; ceiling: without", "1/s"),
            Self::FeedFailing => {
                ("p99 send to last member beside a consumer whose destination fails; ceiling: without", "ms")
            }
            Self::Resume => ("1,000 sessions resume 50 messages: CPU per session", "µs"),
            Self::Wake => ("a room wakes, log of 1,000,000 entries", "ms"),
            Self::Import => ("import of 500,000 messages in 1,000 groups of 20, from CSV", "1/s"),
            Self::Dialect => {
                ("10,000 chat-service sockets beside 10,000 native ones, the worse of memory and CPU", "×")
            }
            Self::Spread => ("CPU per delivery, 10 rooms × 99, on three nodes; ceiling: on one", "µs"),
            Self::Nats => ("messages on NATS per message sent, three nodes", "messages"),
            Self::RemoteAck => ("p50 of an acknowledgement from another node, on CQL", "ms"),
            Self::CqlAcks => ("acknowledged sends, 64 senders in one room, on CQL", "1/s"),
            Self::RefusalsCql => {
                ("p99 send to last other member beside 200 refused commands/s, on CQL; ceiling: without", "ms")
            }
            Self::Takeover => ("a node killed: first acknowledgement in the last of its rooms", "s"),
            Self::Drain => ("a node with 1,000 sessions and 100 rooms drains: most reconnects in a second", "1/s"),
        }
    }
}
