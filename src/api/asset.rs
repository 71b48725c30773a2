//! A file that is served as it is: its entity tag, its compressed forms, and the answer to a request for it.
//!
//! Compressed is only what is the same for everybody. An answer that held a secret beside text of an attacker's choice would
//! tell the secret by its length (BREACH), so answers of the API never come here.

mod encoding;

use std::fmt;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use warp::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use warp::http::{HeaderMap, StatusCode};
use warp::reply::Response;

use super::error_response::set;
use encoding::Encoding;

/// Below this the headers of a compressed answer cost what it saves.
const COMPRESSED_BYTES_MIN: usize = 256;
/// Of 11. The last two levels take ten times as long for some percent.
const BROTLI_QUALITY: i32 = 9;
const BROTLI_WINDOW_BITS: i32 = 22;

/// A file with its compressed forms, each made when it is first asked for and kept.
pub struct Asset {
    plain: Bytes,
    mime: String,
    policy: Option<&'static str>,
    /// What the entity tags of all forms begin with.
    hash: String,
    gzip: OnceLock<Option<Bytes>>,
    brotli: OnceLock<Option<Bytes>>,
}

impl fmt::Debug for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asset").field("mime", &self.mime).field("bytes", &self.plain.len()).finish_non_exhaustive()
    }
}

impl Asset {
    /// Takes a file's content, its media type, and what a page of it may load.
    #[must_use]
    pub fn new(plain: Bytes, mime: &str, policy: Option<&'static str>) -> Self {
        let hash = hex(&Sha256::digest(&plain));
        Self { plain, mime: mime.to_owned(), policy, hash, gzip: OnceLock::new(), brotli: OnceLock::new() }
    }

    /// The content as it is, uncompressed.
    #[must_use]
    pub fn plain(&self) -> &Bytes {
        &self.plain
    }

    /// Answers a request in the form that it prefers: 304 where the client has that form.
    pub async fn answer(self: &Arc<Self>, headers: &HeaderMap) -> Response {
        let (bytes, encoding) = self.form(encoding::preferred(headers)).await;
        let tag = self.tag(encoding);
        let mut response = if is_known(headers, &tag) {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            let mut response = Response::new(bytes.into());
            set(&mut response, CONTENT_TYPE, &self.mime);
            if let Some(name) = encoding.name() {
                set(&mut response, CONTENT_ENCODING, name);
            }
            response
        };
        set(&mut response, ETAG, &tag);
        set(&mut response, VARY, "Accept-Encoding");
        // Kept, but asked about each time: a new build shows at once.
        set(&mut response, CACHE_CONTROL, "no-cache");
        if let Some(policy) = self.policy {
            set(&mut response, CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    /// The content in an encoding, or plain where compressing it saves nothing.
    async fn form(self: &Arc<Self>, encoding: Encoding) -> (Bytes, Encoding) {
        let cell = match encoding {
            Encoding::Identity => return (self.plain.clone(), Encoding::Identity),
            Encoding::Gzip => &self.gzip,
            Encoding::Brotli => &self.brotli,
        };
        if cell.get().is_none() {
            // Of several first requests one compresses, on a thread where that holds nobody else up.
            let this = Arc::clone(self);
            let made = tokio::task::spawn_blocking(move || this.compress(encoding)).await;
            if let Err(error) = made {
                tracing::error!(%error, "a page could not be compressed");
            }
        }
        match cell.get() {
            Some(Some(bytes)) => (bytes.clone(), encoding),
            _ => (self.plain.clone(), Encoding::Identity),
        }
    }

    fn compress(&self, encoding: Encoding) {
        let worth = self.plain.len() >= COMPRESSED_BYTES_MIN && is_text(&self.mime);
        let smaller =
            |bytes: Option<Vec<u8>>| bytes.filter(|bytes| worth && bytes.len() < self.plain.len()).map(Bytes::from);
        match encoding {
            Encoding::Identity => {}
            Encoding::Gzip => drop(self.gzip.get_or_init(|| smaller(gzip(&self.plain)))),
            Encoding::Brotli => drop(self.brotli.get_or_init(|| smaller(brotli(&self.plain)))),
        }
    }

    /// The entity tag of a form: forms differ in their bytes, so their tags differ (RFC 9110, 8.8.3.3).
    fn tag(&self, encoding: Encoding) -> String {
        match encoding.name() {
            None => format!("\"{}\"", self.hash),
            Some(name) => format!("\"{}-{name}\"", self.hash),
        }
    }
}

fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    known.flat_map(|v| v.split(',')).map(str::trim).any(|v| v == "*" || v.trim_start_matches("W/") == tag)
}

fn is_text(mime: &str) -> bool {
    let kind = mime.split(';').next().unwrap_or_default().trim();
    kind.starts_with("text/")
        || matches!(kind, "application/json" | "application/javascript" | "application/manifest+json" | "image/svg+xml")
}

fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(plain).ok()?;
    writer.finish().ok()
}

fn brotli(plain: &[u8]) -> Option<Vec<u8>> {
    let params = brotli::enc::BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        lgwin: BROTLI_WINDOW_BITS,
        size_hint: plain.len(),
        ..Default::default()
    };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut &plain[..], &mut out, &params).ok()?;
    Some(out)
}

fn hex(hash: &[u8]) -> String {
    use std::fmt::Write as _;
    hash.iter().take(16).fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
