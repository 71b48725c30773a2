//! Why connections and requests are refused: one list, whose words are the labels of a metric.

use metrics::counter;
use parlance_schema::{Code, Fault};

/// Why a connection or a request was refused, as the metric `parlance_refused_total` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An address asked for too much.
    AddressRate,
    /// A user asked for too much.
    UserRate,
    /// An address tried too many passwords, or made too many accounts.
    AttemptRate,
    /// An address has too many connections.
    AddressConnections,
    /// A user has too many connections.
    UserConnections,
    /// A host name that is not the server's.
    Host,
    /// A page that may not call.
    Origin,
    /// A named proxy sent no PROXY header that can be read.
    ProxyHeader,
    /// The TLS handshake failed or took too long.
    Tls,
    /// A request's header took too long.
    HeaderTime,
    /// A request's header is too large.
    HeaderSize,
    /// A request can't be read as HTTP.
    Header,
    /// A body took too long.
    BodyTime,
    /// A body is too large.
    BodySize,
    /// A request took too long altogether.
    RequestTime,
    /// The client didn't read the answer.
    ReplyTime,
    /// A WebSocket was asked for with a token that is not valid, or while the server takes none.
    Connect,
    /// A WebSocket's message is too large.
    FrameSize,
    /// What came over a WebSocket is against its protocol.
    Frame,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 19] = [
        Refusal::AddressRate,
        Refusal::UserRate,
        Refusal::AttemptRate,
        Refusal::AddressConnections,
        Refusal::UserConnections,
        Refusal::Host,
        Refusal::Origin,
        Refusal::ProxyHeader,
        Refusal::Tls,
        Refusal::HeaderTime,
        Refusal::HeaderSize,
        Refusal::Header,
        Refusal::BodyTime,
        Refusal::BodySize,
        Refusal::RequestTime,
        Refusal::ReplyTime,
        Refusal::Connect,
        Refusal::FrameSize,
        Refusal::Frame,
    ];

    /// The metric's label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Refusal::AddressRate => "address_rate",
            Refusal::UserRate => "user_rate",
            Refusal::AttemptRate => "attempt_rate",
            Refusal::AddressConnections => "address_connections",
            Refusal::UserConnections => "user_connections",
            Refusal::Host => "host",
            Refusal::Origin => "origin",
            Refusal::ProxyHeader => "proxy_header",
            Refusal::Tls => "tls",
            Refusal::HeaderTime => "header_time",
            Refusal::HeaderSize => "header_size",
            Refusal::Header => "header",
            Refusal::BodyTime => "body_time",
            Refusal::BodySize => "body_size",
            Refusal::RequestTime => "request_time",
            Refusal::ReplyTime => "reply_time",
            Refusal::Connect => "connect",
            Refusal::FrameSize => "frame_size",
            Refusal::Frame => "frame",
        }
    }

    /// Counts a client that is given no connection, unless whoever found that it asks for too much has counted it.
    pub fn count_connect(fault: &Fault) {
        if fault.code != Code::RateLimited {
            Refusal::Connect.count();
        }
    }

    /// Counts a WebSocket that the node refused, where its user has too many.
    pub fn count_session(fault: &Fault) {
        if fault.code == Code::RateLimited {
            Refusal::UserConnections.count();
        }
    }

    /// Counts it.
    pub fn count(self) {
        counter!("parlance_refused_total", "why" => self.word()).increment(1);
    }
}
