//! Other services whose clients are served as well. A dialect is decode and encode, nothing else: it has no state, no store
//! and no rule of its own.
//!
//! Each is a value in [`ALL`], in a folder of its own, and knows `crate::api` and the vocabulary alone. Its calls are rows of the
//! table of routes that the native API is made of, so that the matcher, the documentation and the permission tests know them;
//! each is one or a few operations of the node or the accounts, and a formatting of their answers. Its sockets are Sessions like
//! any other, with a `Wire` of their own.

pub mod chat_service;

use crate::api::dialect::Dialect;
use crate::api::settings::Spec;

/// All dialects. Where two have the same path, the form of the ids in it tells whose it is, or the first one has it.
pub static ALL: &[&Dialect] = &[&chat_service::DIALECT];

/// What the settings may say of them.
#[must_use]
pub fn specs() -> Vec<Spec> {
    ALL.iter().map(|dialect| dialect.settings.spec).collect()
}
