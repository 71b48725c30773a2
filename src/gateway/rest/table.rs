//! The matcher: a path and a method to a route and its parameters.

use percent_encoding::percent_decode_str;

use super::route::{Route, Verb, parameter};
use crate::gateway::errors::Failure;
use parlance_schema::Fault;

/// Path parameters by name.
pub type Params = Vec<(&'static str, String)>;

/// What a request's path and method came to.
pub enum Found {
    /// A route.
    Route(&'static Route),
    /// A path that has other methods only; they are named.
    Method(&'static Route, String),
    /// Nothing.
    Nothing,
}

struct Pattern {
    segments: Vec<&'static str>,
    literals: usize,
    /// All routes of this path.
    routes: Vec<&'static Route>,
}

/// All routes, ready to be matched.
pub struct Table {
    patterns: Vec<Pattern>,
}

impl Table {
    /// Takes in routes. Where two patterns fit a path, the one with more literal segments wins.
    pub fn new(routes: impl Iterator<Item = &'static Route>) -> Self {
        let mut patterns: Vec<Pattern> = Vec::new();
        for route in routes {
            let segments: Vec<_> = segments(route.path).collect();
            if let Some(pattern) = patterns.iter_mut().find(|p| p.segments == segments) {
                pattern.routes.push(route);
                continue;
            }
            let literals = segments.iter().filter(|s| parameter(s).is_none()).count();
            patterns.push(Pattern { segments, literals, routes: vec![route] });
        }
        patterns.sort_by_key(|p| std::cmp::Reverse(p.literals));
        Self { patterns }
    }

    /// The pattern of a path. Where it is another service's, a slash at the end makes no difference.
    fn pattern(&self, path: &str) -> Option<&Pattern> {
        self.patterns.iter().find(|p| p.fits(path)).or_else(|| {
            let other = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
            self.patterns.iter().find(|p| p.routes[0].dialect.is_some() && p.fits(&other))
        })
    }

    /// Finds the route of a path and a method.
    #[must_use]
    pub fn find(&self, method: &str, path: &str) -> Found {
        let Some(pattern) = self.pattern(path) else { return Found::Nothing };
        match pattern.routes.iter().find(|r| r.verb.takes(method)) {
            Some(route) => Found::Route(route),
            None => Found::Method(pattern.routes[0], pattern.allow()),
        }
    }
}

impl Pattern {
    fn fits(&self, path: &str) -> bool {
        let mut given = segments(path);
        let fit = self.segments.iter().all(|s| given.next().is_some_and(|g| g == *s || is_value(s, g)));
        fit && given.next().is_none()
    }

    fn allow(&self) -> String {
        let mut words: Vec<_> = self.routes.iter().map(|r| r.verb.word()).collect();
        if self.routes.iter().any(|r| r.verb == Verb::Get) {
            words.push("HEAD");
        }
        words.sort_unstable();
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
pub fn params(route: &'static Route, path: &str) -> Result<Params, Failure> {
    let mut found = Params::new();
    for (pattern, given) in segments(route.path).zip(segments(path)) {
        let Some(name) = parameter(pattern) else { continue };
        let text = percent_decode_str(given).decode_utf8();
        let text =
            text.map_err(|_| Fault::malformed(format!("`{name}` in the path must be UTF-8 in percent-encoding")))?;
        found.push((name, text.into_owned()));
    }
    Ok(found)
}
