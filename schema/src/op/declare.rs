//! What the table of operations is made into.

use super::Op;
use crate::answer::{Answer, FromAnswer};

/// An operation whose answer has a type. Each operation of [`Op`] has a struct of its name that is one; `Op` itself is one whose
/// answer may be any.
pub trait Operation: Into<Op> + Send {
    /// What it is answered with.
    type Answer: FromAnswer;
}

impl Operation for Op {
    type Answer = Answer;
}

/// Declares the operations: each becomes a variant of [`Op`], a word of [`OpWord`], and a struct with a typed answer.
macro_rules! operations {
    ($(
        $(#[doc = $about:tt])*
        $name:ident -> $answer:ty { $(
            $(#[doc = $note:tt])*
            $(#[serde $serde:tt])*
            $field:ident: $kind:ty,
        )* },
    )*) => {
        /// An operation. Those that change a room may carry a `client_id`, which makes sending them again harmless.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
        pub enum Op {
            $(
                $(#[doc = $about])*
                $name { $(
                    $(#[doc = $note])*
                    $(#[serde $serde])*
                    $field: $kind,
                )* },
            )*
        }

        /// Which operation it is, without what it is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum OpWord {
            $($(#[doc = $about])* $name,)*
        }

        impl Op {
            /// Which operation it is.
            #[must_use]
            pub const fn word(&self) -> OpWord {
                match self {
                    $(Op::$name { .. } => OpWord::$name,)*
                }
            }
        }

        $(
            $(#[doc = $about])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $name {
                $(
                    $(#[doc = $note])*
                    pub $field: $kind,
                )*
            }

            impl From<$name> for Op {
                fn from(operation: $name) -> Self {
                    let $name { $($field,)* } = operation;
                    Op::$name { $($field,)* }
                }
            }

            impl Operation for $name {
                type Answer = $answer;
            }
        )*
    };
}

pub(super) use operations;
