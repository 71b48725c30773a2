//! A route as data: what it takes, what it answers, who may call it. The matcher, the documentation and the permission
//! tests are all made from the same table.

use std::future::Future;
use std::pin::Pin;

use parlance_schema::op::Op;
use parlance_schema::{Code, Fault};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use warp::reply::Response;

use super::call::Call;
use super::error_response::Failure;

/// A method that a route can have. `HEAD` is answered wherever `GET` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Reads.
    Get,
    /// Does something, or makes something that the server names.
    Post,
    /// Puts something at this path.
    Put,
    /// Changes some fields.
    Patch,
    /// Takes away.
    Delete,
}

impl Verb {
    /// The method's name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Patch => "PATCH",
            Verb::Delete => "DELETE",
        }
    }

    /// Whether a request's method is this one.
    #[must_use]
    pub fn takes(self, method: &str) -> bool {
        method == self.word() || (self == Verb::Get && method == "HEAD")
    }
}

/// Who may call a route; rooms have rules of their own besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Who has an access token.
    Bearer,
    /// Who has one and is a super_admin.
    SuperAdmin,
}

/// A schema: its name, what it is, and how to collect those that it refers to.
#[derive(Clone, Copy)]
pub struct Shape {
    /// The component's name.
    pub name: fn() -> std::borrow::Cow<'static, str>,
    /// The schema itself.
    pub schema: fn() -> RefOr<Schema>,
    /// Adds the schemas that it refers to.
    pub others: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    /// The shape of a type.
    #[must_use]
    pub const fn of<T: ToSchema>() -> Self {
        Self { name: T::name, schema: <T as PartialSchema>::schema, others: T::schemas }
    }
}

/// A request body.
#[derive(Clone, Copy)]
pub struct Body {
    /// Its schema.
    pub shape: Shape,
    /// Whether it may be left out.
    pub optional: bool,
    /// An example, as JSON.
    pub example: Option<&'static str>,
}

/// A query parameter.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// What it holds.
    pub holds: Holds,
    /// Whether it must be there.
    pub required: bool,
}

impl Query {
    /// A parameter that may be left out.
    #[must_use]
    pub const fn new(name: &'static str, about: &'static str, holds: Holds) -> Self {
        Self { name, about, holds, required: false }
    }

    /// A parameter that must be there.
    #[must_use]
    pub const fn required(name: &'static str, about: &'static str, holds: Holds) -> Self {
        Self { name, about, holds, required: true }
    }
}

/// What a parameter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// An id.
    Id,
    /// A number in a room's log.
    Seq,
    /// How many items a page has at most.
    Limit,
    /// Ids with commas between them.
    Ids,
    /// The same, at most as many as a room has members.
    FewIds,
    /// Text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A page's number, from 1.
    Page,
    /// How many items a page of a dialect has, at most 100.
    PageSize,
}

/// The content of a good answer.
#[derive(Clone, Copy)]
pub enum Content {
    /// Nothing.
    Empty,
    /// JSON.
    Json(Shape),
    /// Something else, of this MIME type.
    Other(&'static str),
}

/// A good answer.
#[derive(Clone, Copy)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// When it is given.
    pub about: &'static str,
    /// What it holds.
    pub content: Content,
}

/// What a handler that is more than one operation gives back.
pub type Running = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

/// What a route does.
#[derive(Clone, Copy)]
pub enum Action {
    /// One operation of the node, whose answer is the body.
    Op(fn(&Call) -> Result<Op, Fault>),
    /// Something else.
    Run(fn(Call) -> Running),
}

/// A route. Made by [`get`], [`post`], [`put`], [`patch`] or [`delete`], each followed by what else there is to say.
#[derive(Clone, Copy)]
pub struct Route {
    /// The method.
    pub verb: Verb,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// The chapter of the documentation; that of its dialect, where it is a dialect's.
    pub tag: &'static str,
    /// The operation's unique name in the documentation.
    pub id: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Its query parameters.
    pub query: &'static [Query],
    /// Its body.
    pub body: Option<Body>,
    /// Whether it takes `Idempotency-Key`; one of the native API that changes something and takes none refuses it.
    pub keyed: bool,
    /// Whether "it is so already" is a success.
    pub settled: bool,
    /// Whether it tries a password or makes an account, which addresses may do less often than other things.
    pub attempt: bool,
    /// What the parameters of its path look like, where another dialect may have the same path.
    pub ids: Option<fn(&str) -> bool>,
    /// Whether its body may be a form instead of JSON.
    pub form: bool,
    /// Good answers.
    pub answers: &'static [Answered],
    /// Codes of faults, besides those that all routes of its kind can have.
    pub faults: &'static [Code],
    /// What it does.
    pub action: Action,
}

/// Refuses; the action of a route that was given none, which a test finds.
fn nothing(_: &Call) -> Result<Op, Fault> {
    Err(Fault::internal("server error: this path has no handler; tell the server's operator"))
}

const fn route(verb: Verb, path: &'static str, id: &'static str, about: &'static str) -> Route {
    Route {
        verb,
        path,
        tag: "",
        id,
        about,
        access: Access::Bearer,
        query: &[],
        body: None,
        keyed: false,
        settled: matches!(verb, Verb::Delete),
        attempt: false,
        ids: None,
        form: false,
        answers: &[],
        faults: &[],
        action: Action::Op(nothing),
    }
}

macro_rules! verbs {
    ($($name:ident => $verb:ident),*) => {
        $(
            #[doc = concat!("A route of method ", stringify!($name), ".")]
            #[must_use]
            pub const fn $name(path: &'static str, id: &'static str, about: &'static str) -> Route {
                route(Verb::$verb, path, id, about)
            }
        )*
    };
}

verbs! { get => Get, post => Post, put => Put, patch => Patch, delete => Delete }

impl Route {
    /// Puts it into a chapter of the documentation.
    #[must_use]
    pub const fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// Says who may call it.
    #[must_use]
    pub const fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Names its query parameters.
    #[must_use]
    pub const fn query(mut self, query: &'static [Query]) -> Self {
        self.query = query;
        self
    }

    /// Says what body it takes, with an example.
    #[must_use]
    pub const fn body<T: ToSchema>(mut self, example: &'static str) -> Self {
        self.body = Some(Body { shape: Shape::of::<T>(), optional: false, example: Some(example) });
        self
    }

    /// Says what body it may be given.
    #[must_use]
    pub const fn optional_body<T: ToSchema>(mut self) -> Self {
        self.body = Some(Body { shape: Shape::of::<T>(), optional: true, example: None });
        self
    }

    /// Takes `Idempotency-Key`.
    #[must_use]
    pub const fn keyed(mut self) -> Self {
        self.keyed = true;
        self
    }

    /// Makes "it is so already" a success, as HTTP's users expect of `PUT` and `DELETE`.
    #[must_use]
    pub const fn settled(mut self) -> Self {
        self.settled = true;
        self
    }

    /// Tries a password or makes an account.
    #[must_use]
    pub const fn attempt(mut self) -> Self {
        self.attempt = true;
        self
    }

    /// Says what ids in its path look like: where two dialects share a path, the form of an id tells whose it is.
    #[must_use]
    pub const fn ids(mut self, form: fn(&str) -> bool) -> Self {
        self.ids = Some(form);
        self
    }

    /// Takes a form as well.
    #[must_use]
    pub const fn form(mut self) -> Self {
        self.form = true;
        self
    }

    /// Lists its good answers.
    #[must_use]
    pub const fn answers(mut self, answers: &'static [Answered]) -> Self {
        self.answers = answers;
        self
    }

    /// Names codes of faults that are its own.
    #[must_use]
    pub const fn faults(mut self, faults: &'static [Code]) -> Self {
        self.faults = faults;
        self
    }

    /// Says which operation it is.
    #[must_use]
    pub const fn op(mut self, build: fn(&Call) -> Result<Op, Fault>) -> Self {
        self.action = Action::Op(build);
        self
    }

    /// Says what runs.
    #[must_use]
    pub const fn run(mut self, run: fn(Call) -> Running) -> Self {
        self.action = Action::Run(run);
        self
    }

    /// The names of its path parameters, in order.
    pub fn params(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(parameter)
    }
}

/// The name of a pattern's segment, where it is a parameter.
#[must_use]
pub fn parameter(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// A good answer with a JSON body and status 200.
#[must_use]
pub const fn ok<T: ToSchema>(about: &'static str) -> Answered {
    Answered { status: 200, about, content: Content::Json(Shape::of::<T>()) }
}

/// A good answer with a JSON body and status 201.
#[must_use]
pub const fn created<T: ToSchema>(about: &'static str) -> Answered {
    Answered { status: 201, about, content: Content::Json(Shape::of::<T>()) }
}

/// A good answer with nothing in it: status 204.
#[must_use]
pub const fn empty(about: &'static str) -> Answered {
    Answered { status: 204, about, content: Content::Empty }
}
