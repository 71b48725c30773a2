//! Request bodies: bounded in bytes, time and nesting, then read as JSON with errors that name the field.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use parlance_schema::limits::{BODY_BYTES_MAX, BODY_MS_MAX, DEPTH_MAX};
use parlance_schema::{Code, Fault};
use serde::de::DeserializeOwned;
use serde_json::Value;
use warp::http::HeaderMap;
use warp::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};

use super::error_response::Failure;
use super::explain::Located;
use super::number;
use super::refusal::Refusal;

/// Bytes of a body that is refused for its size which are still read: a client that is sending would not see the refusal,
/// as its kernel drops what it has not read when the server closes in the middle.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;

/// How long an answer waits for a body that nobody wants.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(1);

/// A body that was not read yet.
pub type Incoming = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>;

/// Makes a body of warp's.
pub fn stream<S, B>(body: S) -> Incoming
where
    S: Stream<Item = Result<B, warp::Error>> + Send + 'static,
    B: Buf,
{
    Box::pin(body.map(|chunk| chunk.map(|mut chunk| chunk.copy_to_bytes(chunk.remaining()))))
}

/// Reads a whole body of at most [`BODY_BYTES_MAX`] bytes within [`BODY_MS_MAX`] milliseconds.
///
/// # Errors
/// When it is too large, too slow, of another type than JSON (or a form, where that is taken), or breaks off.
pub async fn read(headers: &HeaderMap, body: &mut Incoming, form: bool) -> Result<Bytes, Failure> {
    if is_endless(headers) {
        return Err(too_large().into());
    }
    let whole = async {
        let (mut bytes, mut length) = (BytesMut::new(), 0);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|_| Fault::malformed("the body is incomplete: send all of it"))?;
            length += chunk.len();
            if length > DISCARDED_BYTES_MAX {
                return Err(too_large());
            }
            if length <= BODY_BYTES_MAX {
                bytes.extend_from_slice(&chunk);
            } else {
                bytes = BytesMut::new();
            }
        }
        if length > BODY_BYTES_MAX { Err(too_large()) } else { Ok(bytes.freeze()) }
    };
    let bytes = tokio::time::timeout(Duration::from_millis(BODY_MS_MAX), whole).await.map_err(|_| too_slow())??;
    if !(bytes.is_empty() || form && is_form(headers)) {
        check_type(headers)?;
    }
    Ok(bytes)
}

/// Reads what nobody wanted of a body, and says whether that was all: a request that is refused before its body was read
/// would otherwise end the connection, which clients that keep some learn only from their next request.
pub async fn discard(body: &mut Incoming) -> bool {
    let rest = async {
        let mut length = 0;
        while let Some(chunk) = body.next().await {
            let Ok(chunk) = chunk else { return false };
            length += chunk.len();
            if length > DISCARDED_BYTES_MAX {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(DISCARD_TIME_MAX, rest).await.unwrap_or(false)
}

/// Whether a body is said to be too long even to be discarded.
#[must_use]
pub fn is_endless(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    length.is_some_and(|bytes| bytes > DISCARDED_BYTES_MAX as u64)
}

fn too_slow() -> Fault {
    Refusal::BodyTime.count();
    Fault::new(Code::Silent, format!("the body must arrive within {BODY_MS_MAX} ms"))
}

fn too_large() -> Fault {
    Refusal::BodySize.count();
    Fault::too_large(format!("a body must have at most {BODY_BYTES_MAX} bytes"))
}

/// Whether a body is a form.
#[must_use]
pub fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|given| {
        let essence = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

/// A body without a type is taken for JSON.
fn check_type(headers: &HeaderMap) -> Result<(), Failure> {
    if headers.get(CONTENT_ENCODING).is_some_and(|v| v != "identity") {
        return Err(Failure::media_type(Fault::malformed(
            "the body must not be compressed: leave Content-Encoding out",
        )));
    }
    let Some(given) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let essence = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Failure::media_type(Fault::malformed("the body must be JSON: send `Content-Type: application/json`")))
}

/// Reads a body as JSON.
///
/// # Errors
/// `malformed` where it is not JSON, `invalid` where it is JSON of another shape; the field is named where that is known,
/// values never are.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    decode_at(bytes).map_err(|failure| failure.fault)
}

/// The same, with the place of the mistake where that is known.
///
/// # Errors
/// As for [`decode`].
pub fn decode_at<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    if nesting(bytes) > DEPTH_MAX {
        return Err(Fault::malformed(format!("the body must be nested at most {DEPTH_MAX} levels deep")).into());
    }
    decode_as_is(bytes).or_else(|failure| match number::rewritten(bytes) {
        Some(rewritten) => decode_as_is(&rewritten),
        None => Err(failure),
    })
}

fn decode_as_is<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value: Result<T, _> = serde_path_to_error::deserialize(&mut reader);
    let ended = reader.end();
    match value {
        // A struct can also be read from a list, but the documentation knows objects only.
        Ok(value) if ended.is_ok() && first == Some(&b'{') => Ok(value),
        Ok(_) if ended.is_ok() => Err(Fault::invalid("the body must be a JSON object").into()),
        Ok(_) => Err(Fault::malformed("there is extra data after the JSON in the body: send a single object").into()),
        Err(_) if bytes.is_empty() => Err(Fault::malformed("the body is missing: send a JSON object").into()),
        Err(error) => Err(explained::<T>(bytes, &error)),
    }
}

/// Why a body can't be read: it is no JSON, or JSON of another shape.
fn explained<T: DeserializeOwned>(bytes: &[u8], error: &serde_path_to_error::Error<serde_json::Error>) -> Failure {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        let (line, column) = (error.inner().line(), error.inner().column());
        return Fault::malformed(format!("the body is not JSON: it can't be read at line {line}, column {column}"))
            .into();
    };
    // Where a word is expected, a number is a mistake of syntax to the parser: the value tells more than the text.
    let located = match serde_path_to_error::deserialize::<_, T>(&value) {
        Err(error) => Located::new("", &error, Some(&value)),
        Ok(_) => Located::new("", error, Some(&value)),
    };
    let loc = std::iter::once("body").chain(located.path.iter().map(String::as_str)).chain(located.mistake.missing());
    let loc: Vec<&str> = loc.collect();
    let kind = if located.mistake.missing().is_some() { "missing" } else { "type_error" };
    Failure::from(Fault::invalid(located.tell("the body"))).at(&loc, kind)
}

/// How deep a JSON text is nested; brackets within strings don't count.
fn nesting(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
