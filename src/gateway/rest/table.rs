//! The matcher: a path and a method to a route or a socket, and its parameters.

use percent_encoding::percent_decode_str;

use crate::api::call::Params;
use crate::api::dialect::{Mounted, MountedSocket};
use crate::api::error_response::Failure;
use crate::api::route::{Verb, parameter};
use parlance_schema::Fault;

/// What a request's path and method came to.
pub enum Found<'a> {
    /// A route.
    Route(&'a Mounted),
    /// A path that has other methods only; they are named.
    Method(&'a Mounted, String),
    /// Nothing.
    Nothing,
}

struct Pattern {
    segments: Vec<&'static str>,
    literals: usize,
    /// All routes of this path.
    routes: Vec<Mounted>,
    socket: Option<MountedSocket>,
}

/// All routes and sockets, ready to be matched.
pub struct Table {
    patterns: Vec<Pattern>,
}

impl Table {
    /// Takes in routes and sockets. Where two patterns fit a path, the one with more literal segments wins.
    pub fn new(routes: impl Iterator<Item = Mounted>, sockets: impl Iterator<Item = MountedSocket>) -> Self {
        let mut table = Self { patterns: Vec::new() };
        for route in routes {
            table.at(route.route.path).routes.push(route);
        }
        for socket in sockets {
            table.at(socket.socket.path).socket.get_or_insert(socket);
        }
        table.patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.literals));
        table
    }

    /// The pattern of a path as it is declared. Parameters are alike, whatever each route calls them.
    fn at(&mut self, path: &'static str) -> &mut Pattern {
        let segments: Vec<_> = segments(path).collect();
        let alike =
            |(a, b): (&&'static str, &&'static str)| a == b || (parameter(a).is_some() && parameter(b).is_some());
        let same = |p: &Pattern| p.segments.len() == segments.len() && p.segments.iter().zip(&segments).all(alike);
        let at = self.patterns.iter().position(same).unwrap_or_else(|| {
            let literals = segments.iter().filter(|segment| parameter(segment).is_none()).count();
            self.patterns.push(Pattern { segments, literals, routes: Vec::new(), socket: None });
            self.patterns.len() - 1
        });
        &mut self.patterns[at]
    }

    /// The pattern of a request's path. Where it is a dialect's, a slash at the end makes no difference.
    fn pattern(&self, path: &str) -> Option<&Pattern> {
        self.patterns.iter().find(|pattern| pattern.fits(path)).or_else(|| {
            let other = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
            self.patterns.iter().find(|pattern| pattern.is_lenient() && pattern.fits(&other))
        })
    }

    /// Finds the route of a path and a method.
    #[must_use]
    pub fn find(&self, method: &str, path: &str) -> Found<'_> {
        let Some(pattern) = self.pattern(path) else { return Found::Nothing };
        match (pattern.route(method, path), pattern.routes.first()) {
            (Some(route), _) => Found::Route(route),
            (None, Some(other)) => Found::Method(other, pattern.allow()),
            (None, None) => Found::Nothing,
        }
    }

    /// Finds the socket of a path.
    #[must_use]
    pub fn socket(&self, path: &str) -> Option<&MountedSocket> {
        self.pattern(path)?.socket.as_ref()
    }
}

impl Pattern {
    fn fits(&self, path: &str) -> bool {
        let mut given = segments(path);
        let fit = self.segments.iter().all(|s| given.next().is_some_and(|g| g == *s || is_value(s, g)));
        fit && given.next().is_none()
    }

    fn is_lenient(&self) -> bool {
        let socket = self.socket.as_ref().is_some_and(|socket| socket.serving.is_some());
        self.routes.first().map_or(socket, |route| route.serving.is_some())
    }

    /// The route of a method. Where two dialects have one each, the form of the ids in the path tells whose it is; where that
    /// fits none, it is the first one's.
    fn route(&self, method: &str, path: &str) -> Option<&Mounted> {
        let routes = self.routes.iter().filter(|mounted| mounted.route.verb.takes(method));
        let claims = |mounted: &&Mounted| {
            let mut values = segments(mounted.route.path).zip(segments(path)).filter(|(s, _)| parameter(s).is_some());
            mounted.route.ids.is_some_and(|form| values.all(|(_, value)| form(value)))
        };
        let general = || routes.clone().find(|mounted| mounted.route.ids.is_none());
        routes.clone().find(claims).or_else(general).or_else(|| routes.clone().next())
    }

    fn allow(&self) -> String {
        let mut words: Vec<_> = self.routes.iter().map(|mounted| mounted.route.verb.word()).collect();
        if self.routes.iter().any(|mounted| mounted.route.verb == Verb::Get) {
            words.push("HEAD");
        }
        words.sort_unstable();
        words.dedup();
        words.join(", ")
    }
}

fn is_value(pattern: &'static str, given: &str) -> bool {
    !given.is_empty() && parameter(pattern).is_some()
}

fn segments(path: &str) -> std::str::Split<'_, char> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// Reads a path's parameters, percent-decoded.
///
/// # Errors
/// When one of them is not UTF-8.
pub fn params(pattern: &'static str, path: &str) -> Result<Params, Failure> {
    let mut found = Params::new();
    for (pattern, given) in segments(pattern).zip(segments(path)) {
        let Some(name) = parameter(pattern) else { continue };
        let text = percent_decode_str(given).decode_utf8();
        let text = text.map_err(|_| Fault::malformed(format!("`{name}` in the path must be percent-encoded UTF-8")))?;
        found.push((name, text.into_owned()));
    }
    Ok(found)
}
