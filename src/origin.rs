//! Which pages and host names requests may name: CORS, the `Origin` of WebSocket upgrades, and the `Host`.
//!
//! Who is no browser names no origin, and is let in: these checks protect people whose browser runs somebody else's page.

use warp::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

/// What scripts of another origin may use.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What they may read of an answer's headers, besides what they always may.
const EXPOSED: &str =
    "ETag, Location, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, X-Request-Id";
/// Seconds for which a browser may remember a preflight.
const PREFLIGHT_S: &str = "600";
const PREFLIGHT_VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/// The origins whose scripts may call.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    any: bool,
    listed: Vec<String>,
    /// The server's own, where a proxy stands before it.
    own: Option<String>,
}

impl Origins {
    /// Takes origins such as `https://chat.example.org`, or `*` for all, and the address that clients use.
    ///
    /// # Errors
    /// The first that is no origin.
    pub fn parse(texts: &[String], public_url: &str) -> Result<Self, String> {
        let listed = texts.iter().filter(|text| *text != "*").map(|text| normal(text).ok_or_else(|| text.clone()));
        let own = url_origin(public_url);
        Ok(Self { any: texts.iter().any(|text| text == "*"), listed: listed.collect::<Result<_, _>>()?, own })
    }

    /// Whether pages of an origin may call a server that is named `host`.
    #[must_use]
    pub fn allows(&self, origin: &str, host: Option<&str>) -> bool {
        let Some(origin) = normal(origin) else { return self.any };
        self.any || self.listed.contains(&origin) || self.own.as_ref() == Some(&origin) || same_host(&origin, host)
    }

    /// What to answer to a page of another origin that may read the answer.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        let named = origin.to_str().ok().and_then(normal)?;
        let may = self.listed.contains(&named) || self.own.as_ref() == Some(&named);
        may.then(|| origin.clone())
    }

    /// Adds what browsers must know of an answer to a request with this `Origin`.
    pub fn mark(&self, origin: Option<&HeaderValue>, response: &mut Response) {
        if !self.any && !self.listed.is_empty() {
            response.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
        }
        let Some(allowed) = origin.and_then(|origin| self.allowed(origin)) else { return };
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }

    /// Answers a preflight; `None` where the request is none, `Err` where its origin may not call.
    #[must_use]
    pub fn preflight(&self, method: &Method, headers: &HeaderMap, host: Option<&str>) -> Option<Result<Response, ()>> {
        let origin = headers.get(ORIGIN).filter(|_| *method == Method::OPTIONS)?;
        headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        if !origin.to_str().is_ok_and(|origin| self.allows(origin, host)) {
            return Some(Err(()));
        }
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            // Which headers mean something is for the routes to say: none of them works without a token.
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_S));
        answer.insert(VARY, HeaderValue::from_static(PREFLIGHT_VARY));
        Some(Ok(response))
    }
}

/// An origin in the form in which browsers write it; `None` for what is none, such as `null`.
fn normal(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/').to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if scheme.is_empty() || authority.is_empty() || !authority.chars().all(plain) {
        return None;
    }
    Some(format!("{scheme}://{}", without_default_port(scheme, authority)))
}

/// The origin of an address that may have a path.
fn url_origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    normal(&format!("{scheme}://{}", rest.split('/').next()?))
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return authority,
    };
    authority.strip_suffix(port).unwrap_or(authority)
}

/// Whether an origin in its normal form is the page of the host itself. A proxy may have ended TLS, so the schemes needn't
/// be the same.
fn same_host(origin: &str, host: Option<&str>) -> bool {
    let (Some((scheme, authority)), Some(host)) = (origin.split_once("://"), host) else { return false };
    matches!(scheme, "http" | "https") && without_default_port(scheme, &host.to_ascii_lowercase()) == authority
}

/// The host names that the server answers to.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Takes names such as `chat.example.org` or `*.example.org`, and the address that clients use; none is all.
    ///
    /// # Errors
    /// The first that is no name.
    pub fn parse(texts: &[String], public_url: &str) -> Result<Self, String> {
        let good = |text: &str| {
            let name = text.strip_prefix("*.").unwrap_or(text);
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c))
        };
        if let Some(bad) = texts.iter().find(|text| !good(text)) {
            return Err(bad.clone());
        }
        let mut names: Vec<_> = texts.iter().map(|text| text.to_ascii_lowercase()).collect();
        if let Some(origin) = url_origin(public_url).filter(|_| !names.is_empty()) {
            names.extend(origin.split_once("://").map(|(_, authority)| without_port(authority).to_owned()));
        }
        Ok(Self(names))
    }

    /// Whether the server answers to a `Host`.
    #[must_use]
    pub fn allows(&self, host: Option<&str>) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let Some(host) = host else { return false };
        let host = host.to_ascii_lowercase();
        let name = without_port(&host);
        is_loopback(name) || self.0.iter().any(|known| known == name || *known == host || is_below(name, known))
    }
}

fn is_below(name: &str, pattern: &str) -> bool {
    let parent = pattern.strip_prefix('*').and_then(|rest| name.strip_suffix(rest));
    pattern.starts_with("*.") && parent.is_some_and(|label| !label.is_empty())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an address of IPv6 stand in brackets.
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_loopback(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(texts: &[&str], public_url: &str) -> Origins {
        Origins::parse(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>(), public_url).unwrap()
    }

    fn hosts(texts: &[&str], public_url: &str) -> Hosts {
        Hosts::parse(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>(), public_url).unwrap()
    }

    #[test]
    fn pages_of_the_same_host_and_of_listed_origins_may_call() {
        let listed = origins(&["https://app.example.org", "http://localhost:5173/"], "https://chat.example.org/x");
        for (origin, host, allowed) in [
            ("https://app.example.org", "api.example.org", true),
            ("https://APP.example.org:443", "api.example.org", true),
            ("http://app.example.org", "api.example.org", false),
            ("https://app.example.org.evil.example", "api.example.org", false),
            ("http://localhost:5173", "api.example.org", true),
            ("http://localhost:5174", "api.example.org", false),
            ("https://chat.example.org", "10.0.0.1:8080", true),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", true),
            ("http://127.0.0.1:8081", "127.0.0.1:8080", false),
            ("https://api.example.org", "API.example.org:443", true),
            ("http://api.example.org", "api.example.org", true),
            ("ftp://api.example.org", "api.example.org", false),
            ("null", "api.example.org", false),
            ("", "api.example.org", false),
        ] {
            assert_eq!(listed.allows(origin, Some(host)), allowed, "{origin} at {host}");
        }
        assert!(!listed.allows("https://nowhere.example", None));
        assert!(origins(&["*"], "").allows("null", None));
    }

    #[test]
    fn what_is_no_origin_is_named() {
        for bad in ["app.example.org", "https://", "https://a/b", "https://a b", "null", "*.example.org"] {
            assert_eq!(Origins::parse(&[bad.to_owned()], "").unwrap_err(), bad);
        }
    }

    #[test]
    fn answers_are_marked_for_the_origins_that_may_read_them() {
        let marked = |origins: &Origins, origin: Option<&str>| {
            let mut response = Response::default();
            origins.mark(origin.map(|o| HeaderValue::from_str(o).unwrap()).as_ref(), &mut response);
            let header = |name| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
            (header(ACCESS_CONTROL_ALLOW_ORIGIN), header(VARY))
        };
        let some = |text: &str| Some(text.to_owned());
        let listed = origins(&["https://a.example"], "");
        assert_eq!(marked(&listed, Some("https://a.example")), (some("https://a.example"), some("Origin")));
        assert_eq!(marked(&listed, Some("https://b.example")), (None, some("Origin")));
        assert_eq!(marked(&listed, None), (None, some("Origin")));
        assert_eq!(marked(&origins(&[], ""), Some("https://a.example")), (None, None));
        assert_eq!(marked(&origins(&["*"], ""), Some("null")), (some("*"), None));
    }

    #[test]
    fn the_server_answers_to_its_names() {
        let named =
            hosts(&["chat.example.org", "*.apps.example.org", "192.0.2.1:8080"], "https://public.example:8443/p");
        for (host, allowed) in [
            (Some("chat.example.org"), true),
            (Some("Chat.Example.Org:8080"), true),
            (Some("public.example"), true),
            (Some("a.apps.example.org"), true),
            (Some("a.b.apps.example.org:1"), true),
            (Some("apps.example.org"), false),
            (Some("evilapps.example.org"), false),
            (Some("192.0.2.1:8080"), true),
            (Some("192.0.2.1:8081"), false),
            (Some("localhost:3"), true),
            (Some("127.8.9.1"), true),
            (Some("[::1]:8080"), true),
            (Some("[2001:db8::1]:8080"), false),
            (Some("evil.example"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(named.allows(host), allowed, "{host:?}");
        }
        let any = hosts(&[], "https://public.example");
        assert!(any.allows(Some("evil.example")) && any.allows(None));
        assert_eq!(Hosts::parse(&["http://a".to_owned()], "").unwrap_err(), "http://a");
    }
}
