//! What is known of the server's native API, and known nowhere else: its frames, its REST calls, its command line.
//!
//! The bare fan-out server speaks the same shape of frames, so that one generator drives both.

pub mod refused;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use crate::Failure;
use crate::http;
use crate::world::{Room, User};

/// Requests of one session that may wait for their reply.
pub const CREDITS: usize = parlance_schema::limits::CREDITS;

/// The upgrade of a connection to a WebSocket.
pub fn upgrade(addr: SocketAddr, token: &str) -> String {
    format!(
        "GET /v1/connect HTTP/1.1\r\nHost: {addr}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
        parlance_schema::frame::SUBPROTOCOL_JSON
    )
}

/// A request that starts the pushes of one room after `seq`.
pub fn resume(n: u64, room: u64, epoch: u64, seq: u64) -> String {
    format!(r#"{{"n":{n},"op":"resume","positions":{{"{room}":{{"epoch":{epoch},"seq":{seq}}}}}}}"#)
}

/// Writes a request that sends a message; `literal` is its text as a JSON string.
pub fn send(out: &mut String, n: u64, room: u64, client_id: u64, literal: &str) {
    out.clear();
    // Another run against the same data sends other messages, not these again.
    let run = std::process::id();
    // Writing to a string can't fail.
    let _ = write!(
        out,
        r#"{{"n":{n},"op":"send","room":{room},"client_id":"b{client_id}-{run}","content":{{"text":{literal}}}}}"#
    );
}

/// What a frame from the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// An entry of a room's log.
    Entry {
        /// The room.
        room: u64,
        /// Its number.
        seq: u64,
    },
    /// A good reply.
    Done {
        /// The request's number.
        re: u64,
    },
    /// A reply that refuses a request, or a fault of the connection.
    Fault,
    /// The server will close the connection.
    Reconnect {
        /// When to come back, in milliseconds.
        after_ms: u64,
    },
    /// Anything else.
    Other,
}

/// Reads the digits that a text begins with, and gives what follows them.
pub fn number(text: &[u8]) -> (u64, &[u8]) {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let value = text[..digits].iter().fold(0u64, |n, b| n.wrapping_mul(10).wrapping_add(u64::from(b - b'0')));
    (value, &text[digits..])
}

/// Finds `needle`, and gives what follows it.
pub fn after<'a>(text: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    let first = needle[0];
    let mut at = 0;
    loop {
        at += text.get(at..)?.iter().position(|b| *b == first)?;
        if text[at..].starts_with(needle) {
            return Some(&text[at + needle.len()..]);
        }
        at += 1;
    }
}

/// Tells what a frame is, reading no more of it than that takes.
pub fn frame(payload: &[u8]) -> Frame {
    if let Some(rest) = payload.strip_prefix(br#"{"push":"entry","room":"#) {
        let (room, rest) = number(rest);
        let rest = rest.strip_prefix(br#","entry":{"seq":"#).or_else(|| after(rest, br#""seq":"#));
        return rest.map_or(Frame::Other, |rest| Frame::Entry { room, seq: number(rest).0 });
    }
    if let Some(rest) = payload.strip_prefix(br#"{"re":"#) {
        let (re, rest) = number(rest);
        return if rest.starts_with(br#","ok":"#) { Frame::Done { re } } else { Frame::Fault };
    }
    if payload.starts_with(br#"{"push":"fault""#) || payload.starts_with(br#"{"push":"reset""#) {
        return Frame::Fault;
    }
    if let Some(rest) = payload.strip_prefix(br#"{"push":"reconnect","after_ms":"#) {
        return Frame::Reconnect { after_ms: number(rest).0 };
    }
    Frame::Other
}

/// Whether the reply to a resume says that everything after the position follows.
pub fn is_live(reply: &[u8]) -> bool {
    after(reply, br#""outcome":"live""#).is_some()
}

/// The number that [`send`] made the client id of, in an entry's frame.
pub fn client_id(payload: &[u8]) -> Option<u64> {
    after(payload, br#""client_id":"b"#).map(|rest| number(rest).0)
}

/// What the bare server reads of a client's frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// See [`resume`].
    Resume {
        /// The request's number.
        n: u64,
        /// The room.
        room: u64,
        /// The client's position.
        seq: u64,
    },
    /// See [`send`].
    Send {
        /// The request's number.
        n: u64,
        /// The room.
        room: u64,
        /// The client id, without quotes.
        client_id: &'a [u8],
        /// The content, as JSON.
        content: &'a [u8],
    },
}

/// Reads what [`resume`] and [`send`] write, field by field in their order.
pub fn asked(payload: &[u8]) -> Option<Asked<'_>> {
    let (n, rest) = number(payload.strip_prefix(br#"{"n":"#)?);
    if let Some(rest) = rest.strip_prefix(br#","op":"send","room":"#) {
        let (room, rest) = number(rest);
        let rest = rest.strip_prefix(br#","client_id":""#)?;
        let end = rest.iter().position(|b| *b == b'"')?;
        let content = rest[end..].strip_prefix(br#"","content":"#)?.strip_suffix(b"}")?;
        return Some(Asked::Send { n, room, client_id: &rest[..end], content });
    }
    let rest = rest.strip_prefix(br#","op":"resume","positions":{""#)?;
    let (room, rest) = number(rest);
    Some(Asked::Resume { n, room, seq: number(after(rest, br#""seq":"#)?).0 })
}

/// Writes the frame of an entry, as the server does for a message.
pub fn entry(room: u64, seq: u64, client_id: &[u8], content: &[u8]) -> Vec<u8> {
    let mut out =
        format!(r#"{{"push":"entry","room":{room},"entry":{{"seq":{seq},"at":1767225600000,"by":{room},"client_id":""#)
            .into_bytes();
    out.extend_from_slice(client_id);
    out.extend_from_slice(
        format!(r#"","posts":{seq},"append":4503599627370495,"fact":"posted","id":{seq},"content":"#).as_bytes(),
    );
    out.extend_from_slice(content);
    out.extend_from_slice(b"}}");
    out
}

/// Writes the reply to a message that was sent.
pub fn sent(n: u64, room: u64, seq: u64) -> String {
    format!(r#"{{"re":{n},"ok":{{"room":{room},"seq":{seq},"at":1767225600000,"id":{seq},"again":false}}}}"#)
}

/// Writes the reply to a resume.
pub fn resumed(n: u64, room: u64, from: u64, last: u64) -> String {
    format!(
        r#"{{"re":{n},"ok":{{"resumed":[{{"room":{room},"epoch":1,"from":{from},"last":{last},"outcome":"live"}}]}}}}"#
    )
}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

/// The arguments that start a server on a free port.
pub fn serve(data: &Path) -> Vec<String> {
    words(&["--listen", "127.0.0.1:0", "--data", &data.display().to_string()])
}

/// Settings of a server with a consumer that writes all entries of all rooms to a file.
pub fn follow(file: &Path) -> String {
    format!("[consumers.bench]\nkind = \"file\"\npath = \"{}\"\nbegins = \"start\"\n", file.display())
}

/// Settings of the server under test: the one address of the generator may ask for as much as it likes, and it says little.
pub const ENVIRONMENT: [(&str, &str); 5] = [
    ("PARLANCE_LIMITS__COMMANDS_PER_S", "0"),
    ("PARLANCE_LIMITS__CONNECTIONS_PER_ADDRESS", "0"),
    ("PARLANCE_RATES__ADDRESS_PER_S", "0"),
    ("PARLANCE_RATES__USER_PER_S", "0"),
    ("PARLANCE_LOG__FILTER", "warn"),
];

/// The arguments that make `count` users without passwords, in a data folder that no server has open; [`users`] reads
/// what is printed.
pub fn seed(data: &Path, count: usize) -> Vec<String> {
    let (data, count) = (data.display().to_string(), count.to_string());
    words(&["user", "seed", "--data", &data, "--count", &count, "--prefix", "bench"])
}

/// Reads the users, with access tokens, that [`seed`] had made.
///
/// # Errors
/// When a line is not a user.
pub fn users(lines: &[String]) -> Result<Vec<User>, Failure> {
    let users: Result<_, _> =
        lines.iter().filter(|line| line.starts_with('{')).map(|l| serde_json::from_str(l)).collect();
    Ok(users?)
}

/// The arguments that fill a room's log up to `entries` entries, in a data folder that no server has open.
pub fn fill(data: &Path, room: u64, entries: u64) -> Vec<String> {
    let (data, room, entries) = (data.display().to_string(), room.to_string(), entries.to_string());
    words(&["dev", "fill", "--data", &data, "--room", &room, "--entries", &entries])
}

/// The arguments that bring a folder of files in, into a data folder that no server has open.
pub fn import(data: &Path, files: &Path) -> Vec<String> {
    words(&["import", "chat-service", &files.display().to_string(), "--data", &data.display().to_string()])
}

#[derive(Deserialize)]
struct RoomView {
    id: u64,
    epoch: u64,
    last: u64,
}

/// Opens a group of `members` (places in `users`), the first one its owner.
///
/// # Errors
/// When the server refuses.
pub fn create(addr: SocketAddr, users: &[User], members: Vec<usize>, name: &str) -> Result<Room, Failure> {
    let ids: Vec<u64> = members.iter().skip(1).map(|m| users[*m].id).collect();
    let token = Some(users[members[0]].token.as_str());
    let body = json!({ "kind": "group", "name": name, "members": ids });
    let answer = http::ask(addr, "POST", "/v1/rooms", token, Some(&body))?;
    if answer.status != 201 {
        let why = String::from_utf8_lossy(&answer.body).into_owned();
        return Err(Failure::new(format!("POST /v1/rooms: {}: {why}", answer.status)));
    }
    let view: RoomView = serde_json::from_slice(&answer.body)?;
    Ok(Room { id: view.id, epoch: view.epoch, last: view.last, members })
}

/// Adds `members` (places in `users`) to a room of `owner`'s; the room's last number after that.
///
/// # Errors
/// When the server refuses.
pub fn add(addr: SocketAddr, owner: &User, room: u64, users: &[User], members: &[usize]) -> Result<u64, Failure> {
    let ids: Vec<u64> = members.iter().map(|m| users[*m].id).collect();
    let path = format!("/v1/rooms/{room}/members");
    let answer = http::ask(addr, "POST", &path, Some(&owner.token), Some(&json!({ "users": ids })))?;
    if answer.status >= 300 {
        let why = String::from_utf8_lossy(&answer.body).into_owned();
        return Err(Failure::new(format!("POST {path}: {}: {why}", answer.status)));
    }
    last(addr, owner, room)
}

/// The last number of a room's log.
///
/// # Errors
/// When the server refuses.
pub fn last(addr: SocketAddr, member: &User, room: u64) -> Result<u64, Failure> {
    let answer = http::ask(addr, "GET", &format!("/v1/rooms/{room}"), Some(&member.token), None)?;
    if answer.status != 200 {
        let why = String::from_utf8_lossy(&answer.body).into_owned();
        return Err(Failure::new(format!("GET /v1/rooms/{room}: {}: {why}", answer.status)));
    }
    Ok(serde_json::from_slice::<RoomView>(&answer.body)?.last)
}

/// Reads of the log by relays so far.
///
/// # Errors
/// When the server doesn't tell.
pub fn log_reads(addr: SocketAddr) -> Result<u64, Failure> {
    metric(addr, "parlance_log_reads_total")
}

/// A metric, over all of its labels.
///
/// # Errors
/// When the server doesn't tell.
pub fn metric(addr: SocketAddr, name: &str) -> Result<u64, Failure> {
    let answer = http::ask(addr, "GET", "/metrics", None, None)?;
    let text = String::from_utf8_lossy(&answer.body);
    let sample = |line: &str| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    };
    let samples: Vec<f64> = text.lines().filter_map(sample).collect();
    if samples.is_empty() {
        return Err(Failure::new(format!("/metrics has no {name}")));
    }
    Ok(samples.iter().sum::<f64>() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlance_schema::frame::Request;
    use parlance_schema::op::Op;
    use parlance_schema::push::Push;

    #[test]
    fn requests_are_the_vocabulary_s() {
        let mut text = String::new();
        send(&mut text, 7, 3, 99, r#""grüß \"dich\"""#);
        let request: Request = serde_json::from_str(&text).unwrap();
        let Op::Send { room, client_id, content, .. } = request.op else { panic!("{text}") };
        let named = format!("b99-{}", std::process::id());
        assert_eq!((request.n, room.get(), client_id.unwrap().as_str()), (7, 3, named.as_str()));
        assert_eq!(content.text, "grüß \"dich\"");
        let content = &br#"{"text":"gr\u{fc}"#[..9];
        let Some(Asked::Send { n: 7, room: 3, content: read, .. }) = asked(text.as_bytes()) else { panic!("{text}") };
        assert!(read.starts_with(content) && read.ends_with(b"}"));
        let text = resume(1, 5, 2, 40);
        assert!(matches!(serde_json::from_str::<Request>(&text).unwrap().op, Op::Resume { .. }));
        assert_eq!(asked(text.as_bytes()), Some(Asked::Resume { n: 1, room: 5, seq: 40 }));
    }

    #[test]
    fn entries_are_the_vocabulary_s() {
        let text = entry(3, 12, b"b77", br#"{"text":"\"seq\":9"}"#);
        let push: Push = serde_json::from_slice(&text).unwrap();
        assert!(matches!(&push, Push::Entry { room, entry } if room.get() == 3 && entry.seq() == 12));
        // What the vocabulary writes is read as well.
        for text in [text, serde_json::to_vec(&push).unwrap()] {
            assert_eq!(frame(&text), Frame::Entry { room: 3, seq: 12 });
            assert_eq!(client_id(&text), Some(77));
        }
    }

    #[test]
    fn replies_are_told_apart() {
        assert_eq!(frame(sent(5, 1, 2).as_bytes()), Frame::Done { re: 5 });
        assert_eq!(frame(resumed(1, 1, 0, 0).as_bytes()), Frame::Done { re: 1 });
        assert!(is_live(resumed(1, 1, 0, 0).as_bytes()) && !is_live(br#"{"re":1,"ok":{"resumed":[]}}"#));
        assert_eq!(frame(br#"{"re":5,"fault":{"code":"no_credit"}}"#), Frame::Fault);
        assert_eq!(frame(br#"{"push":"typing","room":1}"#), Frame::Other);
        let reconnect = serde_json::to_vec(&Push::Reconnect { after_ms: 1_250, reason: "so".into() }).unwrap();
        assert_eq!(frame(&reconnect), Frame::Reconnect { after_ms: 1_250 });
        serde_json::from_str::<parlance_schema::frame::Reply>(&sent(5, 1, 2)).unwrap();
        serde_json::from_str::<parlance_schema::frame::Reply>(&resumed(1, 1, 1, 2)).unwrap();
    }
}
