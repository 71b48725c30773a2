//! Faults as HTTP responses: every refusal, warp's own included, has the same JSON body.

use std::convert::Infallible;

use parlance_schema::{Code, Fault};
use serde::Serialize;
use utoipa::ToSchema;
use warp::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use warp::http::{HeaderName, HeaderValue, StatusCode};
use warp::reject::{
    InvalidHeader, InvalidQuery, LengthRequired, MethodNotAllowed, MissingHeader, PayloadTooLarge, Rejection,
    UnsupportedMediaType,
};
use warp::reply::Response;

/// How errors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStyle {
    /// As faults: a stable code, a sentence, whether to try again.
    Native,
    /// As `{"detail": …}`; what is not valid as a list of places and messages.
    Detail,
}

/// A fault on its way to a client, with what HTTP adds to it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{fault}")]
pub struct Failure {
    /// The body.
    pub fault: Fault,
    /// The status, where it isn't the code's own.
    pub status: StatusCode,
    /// The methods that the path has, where another was asked for.
    pub allow: Option<String>,
    /// Where in the request the mistake is, for those who are told.
    pub place: Option<Box<Place>>,
}

/// Where in a request a mistake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From the outside in, such as `body`, `content`.
    pub loc: Vec<String>,
    /// What kind of mistake, such as `missing`.
    pub kind: &'static str,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let status = StatusCode::from_u16(fault.code.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { fault, status, allow: None, place: None }
    }
}

impl Failure {
    /// No such path.
    #[must_use]
    pub fn no_route() -> Self {
        Fault::new(Code::Unknown, "there is nothing at this path: see /docs for all paths").into()
    }

    /// The path has other methods only.
    #[must_use]
    pub fn wrong_method(allow: String) -> Self {
        let fault = Fault::new(Code::Unknown, format!("this path does not support this method; it supports: {allow}"));
        Self { fault, status: StatusCode::METHOD_NOT_ALLOWED, allow: Some(allow), place: None }
    }

    /// The body is not of a type that is understood.
    #[must_use]
    pub fn media_type(fault: Fault) -> Self {
        Self { fault, status: StatusCode::UNSUPPORTED_MEDIA_TYPE, allow: None, place: None }
    }

    /// The same, with the place of the mistake.
    #[must_use]
    pub fn at(mut self, loc: &[&str], kind: &'static str) -> Self {
        self.place = Some(Box::new(Place { loc: loc.iter().map(|part| (*part).to_owned()).collect(), kind }));
        self
    }

    /// The response that the client gets.
    #[must_use]
    pub fn response(self) -> Response {
        let response = json(self.status, &self.fault);
        self.with_headers(response)
    }

    /// The response in a style.
    #[must_use]
    pub fn styled(mut self, style: ErrorStyle) -> Response {
        if style == ErrorStyle::Native {
            return self.response();
        }
        // What can't be read is not valid, to these services.
        let unreadable = [StatusCode::BAD_REQUEST, StatusCode::UNSUPPORTED_MEDIA_TYPE];
        if unreadable.contains(&self.status) {
            self.status = StatusCode::UNPROCESSABLE_ENTITY;
        }
        let response = if self.status == StatusCode::UNPROCESSABLE_ENTITY {
            json(self.status, &Details { detail: vec![self.problem()] })
        } else {
            json(self.status, &Detail { detail: &self.fault.detail })
        };
        self.with_headers(response)
    }

    fn problem(&self) -> Problem<'_> {
        let msg = &self.fault.detail;
        match &self.place {
            Some(place) => Problem { loc: place.loc.iter().map(String::as_str).collect(), msg, kind: place.kind },
            None if self.fault.code == Code::Malformed => Problem { loc: vec!["body"], msg, kind: "json_invalid" },
            None => Problem { loc: vec!["body"], msg, kind: "value_error" },
        }
    }

    fn with_headers(self, mut response: Response) -> Response {
        if let Some(ms) = self.fault.retry_after_ms {
            set(&mut response, RETRY_AFTER, &ms.div_ceil(1_000).max(1).to_string());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            set(&mut response, WWW_AUTHENTICATE, "Bearer");
        }
        if let Some(methods) = self.allow {
            set(&mut response, ALLOW, &methods);
        }
        response
    }
}

/// An error as services that are served as well write it.
#[derive(Serialize, ToSchema)]
pub struct Detail<'a> {
    /// A sentence for a developer.
    detail: &'a str,
}

/// What is not valid in a request, as services that are served as well write it.
#[derive(Serialize, ToSchema)]
pub struct Details<'a> {
    /// The mistakes that were found.
    detail: Vec<Problem<'a>>,
}

/// A mistake in a request.
#[derive(Serialize, ToSchema)]
pub struct Problem<'a> {
    /// Where it is, from the outside in.
    loc: Vec<&'a str>,
    /// A sentence for a developer.
    msg: &'a str,
    /// What kind of mistake it is.
    #[serde(rename = "type")]
    kind: &'a str,
}

/// A JSON response.
#[must_use]
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let mut response = Response::new(bytes.into());
            *response.status_mut() = status;
            set(&mut response, warp::http::header::CONTENT_TYPE, "application/json");
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as json");
            Failure::from(Fault::internal(
                "the server could not produce the response; check whether your request took effect before you send it again",
            ))
            .response()
        }
    }
}

/// Sets a header of a response; a value that no header can hold is left out.
pub fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Turns a rejection of any filter into a fault, so that nothing answers with warp's own text.
///
/// # Errors
/// Never.
pub async fn recover(rejection: Rejection) -> Result<Response, Infallible> {
    Ok(failure(&rejection).response())
}

fn failure(rejection: &Rejection) -> Failure {
    if let Some(failure) = rejection.find::<Refused>() {
        return failure.0.clone();
    }
    if rejection.find::<MethodNotAllowed>().is_some() {
        let fault = Fault::new(Code::Unknown, "this path does not support this method: see the documentation at /docs");
        return Failure { fault, status: StatusCode::METHOD_NOT_ALLOWED, allow: None, place: None };
    }
    if rejection.find::<PayloadTooLarge>().is_some() {
        return Fault::too_large("the body is too large: send a smaller one").into();
    }
    if rejection.find::<UnsupportedMediaType>().is_some() {
        return Failure::media_type(Fault::malformed("the body must be JSON: send `Content-Type: application/json`"));
    }
    if let Some(header) = rejection.find::<MissingHeader>() {
        return Fault::malformed(format!("the header {} is missing: add it", header.name())).into();
    }
    if let Some(header) = rejection.find::<InvalidHeader>() {
        return Fault::malformed(format!(
            "the header {} has an invalid value: see the documentation at /docs",
            header.name()
        ))
        .into();
    }
    let unreadable = rejection.find::<warp::body::BodyDeserializeError>().is_some()
        || rejection.find::<InvalidQuery>().is_some()
        || rejection.find::<LengthRequired>().is_some();
    if unreadable {
        return Fault::malformed(
            "the request's path, query or headers can't be read: compare them with the documentation at /docs",
        )
        .into();
    }
    if rejection.is_not_found() {
        return Failure::no_route();
    }
    unhandled()
}

/// What is answered where the server failed in the middle of a request.
pub fn unhandled() -> Failure {
    Fault::internal(
        "the server failed to handle the request: check whether your request took effect before you send it again",
    )
    .into()
}

/// A fault as a rejection, for filters that refuse a request.
#[derive(Debug)]
pub struct Refused(pub Failure);

impl warp::reject::Reject for Refused {}
