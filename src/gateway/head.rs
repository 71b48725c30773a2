//! Heads of HTTP/1.1 messages, as far as a handshake needs them: the request's, where it came whole, and that of the answer 101.
//!
//! What is read here is what hyper would read, with hyper's own parser; what is in any way unusual is not, and hyper decides.

use bytes::{BufMut, Bytes, BytesMut};
use warp::http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE};
use warp::http::{HeaderName, HeaderValue, Method, Request, Uri};
use warp::reply::Response;

/// Header lines that are read; a handshake behind several proxies has some thirty.
const LINES_MAX: usize = 64;
/// Bytes of the answer's head, which has four lines.
const ANSWER_BYTES: usize = 256;

/// Reads a request for a WebSocket that `bytes` begin with, without its body, as it has none, and says how many bytes its head
/// has. `None` where the head isn't whole, has more than `bytes_max` bytes, asks for something else, or is hyper's to judge.
#[must_use]
pub fn read(bytes: &Bytes, bytes_max: usize) -> Option<(Request<String>, usize)> {
    let mut lines = [httparse::EMPTY_HEADER; LINES_MAX];
    let mut head = httparse::Request::new(&mut lines);
    let Ok(httparse::Status::Complete(length)) = head.parse(bytes) else { return None };
    if length > bytes_max || head.method != Some("GET") || head.version != Some(1) {
        return None;
    }
    let mut request = Request::new(String::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = Uri::from_maybe_shared(bytes.slice_ref(head.path?.as_bytes())).ok()?;
    let headers = request.headers_mut();
    headers.reserve(head.headers.len());
    for line in head.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).ok()?);
    }
    let has_body = [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT].iter().any(|name| headers.contains_key(name));
    (headers.contains_key(UPGRADE) && !has_body).then_some((request, length))
}

/// Writes the head of an answer 101.
#[must_use]
pub fn switching(answer: &Response) -> Bytes {
    let mut head = BytesMut::with_capacity(ANSWER_BYTES);
    head.put_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    for (name, value) in answer.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.put_slice(part);
        }
    }
    head.put_slice(b"\r\n");
    head.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "GET /v1/connect?token=a HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nX-A: 1\r\nx-a:  2 \r\n\r\n";

    fn read_text(text: &str) -> Option<(Request<String>, usize)> {
        read(&Bytes::copy_from_slice(text.as_bytes()), 1_000)
    }

    #[test]
    fn a_whole_request_for_a_websocket_is_read() {
        let (request, length) = read_text(&format!("{GOOD}early")).unwrap();
        assert_eq!((length, request.uri().path(), request.uri().query()), (GOOD.len(), "/v1/connect", Some("token=a")));
        let values: Vec<_> = request.headers().get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "2"]);
        let whole = GOOD.replace("/v1", "http://a.example/v1");
        assert_eq!(read_text(&whole).unwrap().0.uri().authority().unwrap(), "a.example");
    }

    #[test]
    fn anything_else_is_left_to_hyper() {
        for (from, to) in [
            ("GET", "POST"),
            ("GET", "get"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("Upgrade: websocket", "Accept: websocket"),
            ("X-A: 1", "Content-Length: 0"),
            ("X-A: 1", "Transfer-Encoding: chunked"),
            ("X-A: 1", "Expect: 100-continue"),
            ("X-A: 1", "X A: 1"),
            ("X-A: 1", "X-A: \0"),
            ("/v1/connect", "/v1/connect\u{7f}"),
            ("\r\n\r\n", "\r\n"),
            ("X-A: 1", &"X: y\r\n".repeat(LINES_MAX)),
            ("X-A: 1", &format!("X-A: {}", "y".repeat(1_000))),
        ] {
            assert!(GOOD.contains(from) && read_text(&GOOD.replace(from, to)).is_none(), "{from} -> {to}");
        }
    }
}
