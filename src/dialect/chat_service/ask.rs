//! Asking the node, and telling what isn't the caller's from what isn't there.

use std::str::FromStr;

use parlance_schema::limits::ID_MAX;
use parlance_schema::message::MessageView;
use parlance_schema::op::{self, Operation};
use parlance_schema::view::{MemberView, RoomView};
use parlance_schema::{Code, Fault, MessageId, RoomId, UserId};

use super::view::Names;
use crate::api::call::Call;
use crate::api::error_response::Failure;
use crate::api::socket::What;

/// Users that one operation shows at most.
const USERS_AT_ONCE: usize = 200;

/// An id of the path.
///
/// # Errors
/// When it is none.
pub fn path_id<T: FromStr>(call: &Call, name: &str) -> Result<T, Failure> {
    call.id(name).map_err(|fault| Failure::from(fault).at(&["path", name], "int_parsing"))
}

/// An id of the query.
///
/// # Errors
/// When it is none.
pub fn query_id<T: FromStr>(call: &Call, name: &str) -> Result<Option<T>, Failure> {
    let read = |text: &str| {
        let invalid = || Fault::invalid(format!("`{name}` must be an integer from 1 to {ID_MAX}"));
        text.parse().map_err(|_| Failure::from(invalid()).at(&["query", name], "int_parsing"))
    };
    call.asked(name).map(read).transpose()
}

/// Performs an operation that concerns a chat.
///
/// # Errors
/// The fault that the client is to see; `forbidden` where the chat is there, but not the caller's.
pub async fn in_chat<O: Operation>(call: &Call, chat: RoomId, operation: O) -> Result<O::Answer, Failure> {
    match call.ask(operation).await {
        Err(fault) if fault.code == Code::NotFound => {
            // It may be something else that isn't there, such as a user who is to be added.
            let inside = call.ask(op::Room { room: chat }).await.is_ok();
            Err(if inside { fault.into() } else { hidden(call, What::Room(chat), fault).await })
        }
        answer => Ok(answer?),
    }
}

async fn hidden(call: &Call, what: What, fault: Fault) -> Failure {
    let who = match call.who() {
        Ok(who) => who,
        Err(fault) => return fault.into(),
    };
    match call.deps.service.is_there(who, what).await {
        Ok(true) => Fault::forbidden("you are not in this chat").into(),
        Ok(false) => fault.into(),
        Err(fault) => fault.into(),
    }
}

/// A chat of the caller's.
///
/// # Errors
/// As for [`in_chat`].
pub async fn chat(call: &Call, chat: RoomId) -> Result<RoomView, Failure> {
    in_chat(call, chat, op::Room { room: chat }).await
}

/// Who is in a chat of the caller's.
///
/// # Errors
/// As for [`in_chat`].
pub async fn members(call: &Call, chat: RoomId) -> Result<Vec<MemberView>, Failure> {
    in_chat(call, chat, op::Members { room: chat }).await
}

/// A message that the caller may read.
///
/// # Errors
/// `forbidden` where it is in somebody else's chat, `not_found` where it isn't there.
pub async fn message(call: &Call, id: MessageId) -> Result<MessageView, Failure> {
    match call.ask(op::Find { message: id }).await {
        Ok(message) => Ok(message),
        Err(fault) if fault.code == Code::NotFound => Err(hidden(call, What::Message(id), fault).await),
        Err(fault) => Err(fault.into()),
    }
}

/// What users are called.
///
/// # Errors
/// The node's faults.
pub async fn names(call: &Call, users: impl Iterator<Item = UserId>) -> Result<Names, Failure> {
    let mut ids: Vec<UserId> = users.collect();
    ids.sort_unstable();
    ids.dedup();
    let mut names = Names::new();
    for ids in ids.chunks(USERS_AT_ONCE) {
        let users = call.ask(op::Users { ids: ids.to_vec() }).await?;
        names.extend(users.into_iter().map(|user| (user.id, user.username)));
    }
    Ok(names)
}

/// Says where in the body a value is that the node finds invalid.
pub fn of_body(failure: Failure, field: &str) -> Failure {
    if failure.fault.code == Code::Invalid && failure.place.is_none() {
        failure.at(&["body", field], "value_error")
    } else {
        failure
    }
}
