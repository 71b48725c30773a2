//! Query parameters: reading a query string, refusing those that a route doesn't know, and what each one must be.

use parlance_schema::limits::{ID_MAX, PAGE_MAX};
use parlance_schema::{Fault, Seq, UserId};
use percent_encoding::percent_decode_str;

use super::call::{Call, number};
use super::dialect::Mounted;

/// Ids that one query parameter may list.
const IDS_MAX: usize = PAGE_MAX;

impl Call {
    /// A query parameter.
    #[must_use]
    pub fn asked(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| *n == name).map(|(_, text)| text.as_str())
    }

    /// A query parameter that is a number of a room's log.
    ///
    /// # Errors
    /// When it is not a number.
    pub fn asked_seq(&self, name: &str) -> Result<Option<Seq>, Fault> {
        self.asked(name).map(|text| number(name, text, 0, ID_MAX)).transpose()
    }

    /// The query parameter `limit`.
    ///
    /// # Errors
    /// When it is not a number from 1 to [`PAGE_MAX`].
    pub fn asked_limit(&self) -> Result<Option<usize>, Fault> {
        let limit = self.asked("limit").map(|text| number("limit", text, 1, PAGE_MAX as u64)).transpose()?;
        Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(PAGE_MAX)))
    }

    /// A query parameter that is `true` or `false`; false where it is absent.
    ///
    /// # Errors
    /// When it is something else.
    pub fn asked_flag(&self, name: &str) -> Result<bool, Fault> {
        match self.asked(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Fault::invalid(format!("`{name}` must be true or false"))),
        }
    }

    /// A query parameter that lists users with commas between them.
    ///
    /// # Errors
    /// When one of them is not an id, or there are too many.
    pub fn asked_users(&self, name: &str) -> Result<Option<Vec<UserId>>, Fault> {
        let Some(text) = self.asked(name) else { return Ok(None) };
        let bad = |_| Fault::invalid(format!("`{name}` must be a comma-separated list of integers from 1 to {ID_MAX}"));
        let users: Vec<UserId> =
            text.split(',').take(IDS_MAX + 1).map(|id| id.trim().parse().map_err(bad)).collect::<Result<_, _>>()?;
        if users.len() > IDS_MAX {
            return Err(Fault::invalid(format!("`{name}` must have at most {IDS_MAX} ids")));
        }
        Ok(Some(users))
    }
}

/// Reads a query string that holds only parameters which the route knows, each at most once; where the route's dialect lets
/// others pass, these are passed over, and the last of a name holds.
///
/// # Errors
/// When it holds others, one twice, or what is not UTF-8.
pub fn query(mounted: &Mounted, raw: &str) -> Result<Vec<(&'static str, String)>, Fault> {
    let (route, strict) = (mounted.route, mounted.refuses_unknown_query());
    let mut found: Vec<(&'static str, String)> = Vec::new();
    for pair in raw.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name)?;
        let Some(known) = route.query.iter().find(|q| q.name == name) else {
            if !strict {
                continue;
            }
            let names: Vec<_> = route.query.iter().map(|q| q.name).collect();
            if names.is_empty() {
                return Err(Fault::invalid("this path takes no query parameters: leave them out"));
            }
            let known = names.join(", ");
            return Err(Fault::invalid(format!("a query parameter is unknown: the path takes {known}")));
        };
        if !strict {
            found.retain(|(n, _)| *n != known.name);
        } else if found.iter().any(|(n, _)| *n == known.name) {
            return Err(Fault::invalid(format!("`{}` is given twice: give it once", known.name)));
        }
        found.push((known.name, decoded(value)?));
    }
    Ok(found)
}

/// A name or value of a query or a form.
///
/// # Errors
/// When it is not UTF-8.
pub fn decoded(text: &str) -> Result<String, Fault> {
    let spaced = text.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8();
    text.map(std::borrow::Cow::into_owned)
        .map_err(|_| Fault::malformed("the query string must be percent-encoded UTF-8"))
}
