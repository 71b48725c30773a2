//! Pages as other services have them: a number from 1, and a size.

use parlance_schema::limits::{DIALECT_PAGE_DEFAULT, DIALECT_PAGE_MAX, ID_MAX};

use super::call::{Call, number};
use super::error_response::Failure;

/// Which page a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its number, from 1.
    pub page: u64,
    /// Its items.
    pub size: u64,
}

impl Page {
    /// Reads `page`, and `page_size` or `limit`; `None` where neither is there.
    ///
    /// # Errors
    /// When one of them is out of its bounds.
    pub fn asked(call: &Call) -> Result<Option<Self>, Failure> {
        let page = asked(call, "page", ID_MAX)?;
        let size = asked(call, "page_size", DIALECT_PAGE_MAX)?.or(asked(call, "limit", DIALECT_PAGE_MAX)?);
        if page.is_none() && size.is_none() {
            return Ok(None);
        }
        Ok(Some(Self { page: page.unwrap_or(1), size: size.unwrap_or(DIALECT_PAGE_DEFAULT) }))
    }

    /// How many items stand before it.
    #[must_use]
    pub fn skip(self) -> u64 {
        (self.page - 1).saturating_mul(self.size)
    }

    /// Cuts all there is to the page.
    #[must_use]
    pub fn of<T>(self, all: Vec<T>) -> Vec<T> {
        let skip = usize::try_from(self.skip()).unwrap_or(usize::MAX);
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        all.into_iter().skip(skip).take(size).collect()
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { page: 1, size: DIALECT_PAGE_DEFAULT }
    }
}

/// A number of the query, from 1.
fn asked(call: &Call, name: &str, max: u64) -> Result<Option<u64>, Failure> {
    let read = |text| number(name, text, 1, max).map_err(|f| Failure::from(f).at(&["query", name], "value_error"));
    call.asked(name).map(read).transpose()
}
