//! Static pages, from the binary itself: the web app, Swagger UI at `/docs`, ReDoc at `/redoc`, and the page for addresses at
//! which there is nothing.

mod bundle;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use dashmap::DashMap;
use rust_embed::RustEmbed;
use utoipa_swagger_ui::Config;
use warp::http::header::{ACCEPT, CACHE_CONTROL, ETAG, LOCATION, VARY};
use warp::http::{HeaderMap, HeaderValue, StatusCode};
use warp::reply::Response;

use crate::api::asset::Asset;
use crate::api::error_response::{Failure, set};

/// What the web app may do: everything comes from this server, WebSockets included.
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                           form-action 'self'; frame-ancestors 'none'";
/// The web app's page.
const INDEX: &str = "index.html";
/// The script that the web app's page starts; it is served with all that it imports in it.
const ENTRY: &str = "js/main.js";
/// What browsers are shown at an address where there is nothing.
const NOT_FOUND: &str = "not-found.html";
/// Where ReDoc shows the API's document.
const REDOC: &str = "redoc";
/// Where clients of other services look for what concerns them, in Swagger UI.
const CHAT_DOCS: &str = "chat/docs";
/// Swagger UI, opened at the tag of those paths.
const CHAT_TAG: &str = "/docs/#/chat-service";
/// What Swagger UI has for logging in with OAuth: there is none here, and the policy refuses the script in that page.
const OAUTH: &str = "oauth2-redirect";
/// Swagger UI and ReDoc set styles on elements, as browsers do to show a file that is no page; the first draws its icons from data
/// URLs.
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

/// The files that were asked for so far, by their path. All are part of the binary, so there are only so many.
static ASSETS: LazyLock<DashMap<String, Arc<Asset>>> = LazyLock::new(DashMap::new);

/// The web app's page, where the build has one.
pub async fn index(headers: &HeaderMap) -> Option<Response> {
    Some(web(INDEX)?.answer(headers).await)
}

/// A static file, or the documentation.
///
/// # Errors
/// When there is none at this path, or the method doesn't read.
pub async fn serve(method: &str, path: &str, headers: &HeaderMap) -> Result<Response, Failure> {
    let name = path.strip_prefix('/').unwrap_or(path);
    let asset = match name.strip_prefix("docs") {
        Some("") => return redirect(method, "/docs/"),
        Some(rest) if rest.starts_with('/') => docs(&rest[1..]),
        _ if name.strip_suffix('/').unwrap_or(name) == CHAT_DOCS => return redirect(method, CHAT_TAG),
        _ if name == REDOC => web("redoc/index.html"),
        _ if name.strip_suffix('/') == Some(REDOC) => return redirect(method, "/redoc"),
        _ => web(name),
    };
    match asset {
        Some(asset) => {
            reads(method)?;
            Ok(asset.answer(headers).await)
        }
        None if wants_page(headers) => nothing_here(headers).await.ok_or_else(Failure::no_route),
        None => Err(Failure::no_route()),
    }
}

/// Whether a request is a browser's, for something to show.
#[must_use]
pub fn wants_page(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(names_html)
}

fn names_html(accept: &HeaderValue) -> bool {
    let text = accept.to_str().unwrap_or_default();
    text.split(',').any(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/html"))
}

/// The name under which metrics and logs know a static path; `None` where there is nothing.
#[must_use]
pub fn label(path: &str) -> &'static str {
    if path == "/docs" || path.starts_with("/docs/") { "/docs" } else { "static" }
}

fn reads(method: &str) -> Result<(), Failure> {
    if method == "GET" || method == "HEAD" { Ok(()) } else { Err(Failure::wrong_method("GET, HEAD".to_owned())) }
}

fn redirect(method: &str, to: &str) -> Result<Response, Failure> {
    reads(method)?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    set(&mut response, LOCATION, to);
    Ok(response)
}

/// The page that says so, with ways on. It is never kept: something may be there tomorrow.
async fn nothing_here(headers: &HeaderMap) -> Option<Response> {
    let mut headers = headers.clone();
    headers.remove(warp::http::header::IF_NONE_MATCH);
    let mut response = web(NOT_FOUND)?.answer(&headers).await;
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().remove(ETAG);
    set(&mut response, CACHE_CONTROL, "no-store");
    set(&mut response, VARY, "Accept, Accept-Encoding");
    Some(response)
}

fn web(name: &str) -> Option<Arc<Asset>> {
    kept(name, || {
        let file = Web::get(name)?;
        let bytes = if name == ENTRY { bundled(file.data) } else { shared(file.data) };
        let mime = mime(name);
        let page = mime.starts_with("text/html") && !name.starts_with("redoc/");
        Some(Asset::new(bytes, mime, Some(if page { PAGE_POLICY } else { DOCS_POLICY })))
    })
}

fn docs(name: &str) -> Option<Arc<Asset>> {
    if name.starts_with(OAUTH) {
        return None;
    }
    kept(&format!("docs/{name}"), || match utoipa_swagger_ui::serve(name, Arc::clone(&SWAGGER)) {
        Ok(file) => file.map(|file| Asset::new(shared(file.bytes), &file.content_type, Some(DOCS_POLICY))),
        Err(error) => {
            tracing::error!(%error, "swagger ui could not be configured");
            None
        }
    })
}

/// What is kept under this path, or made and kept now.
fn kept(path: &str, make: impl FnOnce() -> Option<Asset>) -> Option<Arc<Asset>> {
    if let Some(asset) = ASSETS.get(path) {
        return Some(Arc::clone(&asset));
    }
    let made = Arc::new(make()?);
    Some(Arc::clone(&ASSETS.entry(path.to_owned()).or_insert(made)))
}

/// The script with all that it imports. A test keeps it possible; a page of many files would still be a page.
fn bundled(file: Cow<'static, [u8]>) -> Bytes {
    match bundle::bundle(ENTRY, module) {
        Ok(script) => script.into(),
        Err(error) => {
            tracing::error!(%error, "the page's modules could not be joined");
            shared(file)
        }
    }
}

fn module(path: &str) -> Option<String> {
    String::from_utf8(Web::get(path)?.data.into_owned()).ok()
}

/// Bytes of the binary are served where they are.
fn shared(bytes: Cow<'static, [u8]>) -> Bytes {
    match bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_one_script_with_all_its_modules() {
        let script = bundle::bundle(ENTRY, module).unwrap();
        let loose = script.lines().find(|line| line.starts_with("import ") || line.starts_with("export "));
        assert_eq!(loose, None);
        // Shapes for editors alone: nothing imports them.
        for path in Web::iter().filter(|path| path.starts_with("js/") && path != "js/types.js") {
            assert!(script.contains(&format!("// {path}\n")), "{path} is imported by nothing");
        }
    }
}
