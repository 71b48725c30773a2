//! Static pages, from the binary itself: the web app, Swagger UI at `/docs`, and ReDoc at `/redoc`.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use dashmap::DashMap;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use utoipa_swagger_ui::Config;
use warp::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION};
use warp::http::{HeaderMap, StatusCode};
use warp::reply::Response;

use super::errors::{Failure, set};

/// What the web app may do: everything comes from this server, WebSockets included.
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                           form-action 'self'; frame-ancestors 'none'";
/// Where ReDoc shows the API's document.
const REDOC: &str = "redoc";
/// Where clients of other services look for what concerns them, in Swagger UI.
const CHAT_DOCS: &str = "chat/docs";
/// Swagger UI and ReDoc set styles on elements; the first draws its icons from data URLs.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "web/"]
#[allow_missing = true]
struct Web;

static SWAGGER: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    // Without a validator's address Swagger UI would send the document's to an outside host.
    let config = Config::new(["/openapi.json"]).validator_url("none").deep_linking(true).try_it_out_enabled(true);
    Arc::new(config)
});

/// Entity tags of Swagger UI's files.
static DOCS_TAGS: LazyLock<DashMap<String, String>> = LazyLock::new(DashMap::new);

/// The web app's page, where the build has one.
#[must_use]
pub fn index(headers: &HeaderMap) -> Option<Response> {
    web("index.html", headers)
}

/// A static file, or the documentation.
///
/// # Errors
/// When there is none at this path, or the method doesn't read.
pub fn serve(method: &str, path: &str, headers: &HeaderMap) -> Result<Response, Failure> {
    let name = path.strip_prefix('/').unwrap_or(path);
    let found = match name.strip_prefix("docs") {
        Some("") => Some(redirect("/docs/")),
        Some(rest) if rest.starts_with('/') => docs(&rest[1..], headers),
        _ if name == CHAT_DOCS => Some(redirect("/docs/#/bizosaas")),
        _ if name == REDOC => web("redoc/index.html", headers),
        _ => web(name, headers),
    };
    let response = found.ok_or_else(Failure::no_route)?;
    if method == "GET" || method == "HEAD" { Ok(response) } else { Err(Failure::wrong_method("GET, HEAD".to_owned())) }
}

/// The name under which metrics and logs know a static path; `None` where there is nothing.
#[must_use]
pub fn label(path: &str) -> &'static str {
    if path == "/docs" || path.starts_with("/docs/") { "/docs" } else { "static" }
}

fn redirect(to: &str) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    set(&mut response, LOCATION, to);
    response
}

fn web(name: &str, headers: &HeaderMap) -> Option<Response> {
    let file = Web::get(name)?;
    let tag = tag(&file.metadata.sha256_hash());
    let mut response = cached(shared(file.data), mime(name), &tag, headers);
    let policy = if name.starts_with("redoc/") { DOCS_POLICY } else { PAGE_POLICY };
    set(&mut response, CONTENT_SECURITY_POLICY, policy);
    Some(response)
}

fn docs(name: &str, headers: &HeaderMap) -> Option<Response> {
    let file = match utoipa_swagger_ui::serve(name, Arc::clone(&SWAGGER)) {
        Ok(file) => file?,
        Err(error) => {
            tracing::error!(%error, "swagger ui could not be configured");
            return None;
        }
    };
    // The files are part of the binary, the largest has more than a megabyte: each is hashed once.
    let tag = DOCS_TAGS.entry(name.to_owned()).or_insert_with(|| tag(&Sha256::digest(&file.bytes))).clone();
    let mut response = cached(shared(file.bytes), &file.content_type, &tag, headers);
    set(&mut response, CONTENT_SECURITY_POLICY, DOCS_POLICY);
    Some(response)
}

/// Bytes of the binary are served where they are.
fn shared(bytes: Cow<'static, [u8]>) -> Bytes {
    match bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    }
}

/// A response with an entity tag, or 304 where the client has the same one.
pub(super) fn cached(bytes: Bytes, mime: &str, tag: &str, headers: &HeaderMap) -> Response {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    let known = known.flat_map(|v| v.split(',')).map(str::trim).any(|v| v == "*" || v.trim_start_matches("W/") == tag);
    let mut response = if known {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = Response::new(bytes.into());
        set(&mut response, CONTENT_TYPE, mime);
        response
    };
    set(&mut response, ETAG, tag);
    // Kept, but asked about each time: a new build shows at once.
    set(&mut response, CACHE_CONTROL, "no-cache");
    response
}

/// The entity tag of what has this hash.
pub(super) fn tag(hash: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut tag = String::from("\"");
    for byte in hash.iter().take(16) {
        // Writing to a string can't fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

fn mime(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
