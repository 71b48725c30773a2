//! The entities, as this service's clients know them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use parlance_schema::command::{Kind, MemberRole};
use parlance_schema::content::{Content, MESSAGE_TYPE, Meta, Part};
use parlance_schema::message::MessageView;
use parlance_schema::user::Status;
use parlance_schema::user::{MeView, UserView};
use parlance_schema::view::{MemberView, RoomView};
use parlance_schema::{MessageId, RoomId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::time::rfc3339;

/// Names of users by their ids.
pub type Names = BTreeMap<UserId, String>;

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChatUser)]
pub struct User {
    /// The user.
    id: UserId,
    /// The unique name.
    username: String,
    /// The e-mail address, or `null`; only the user themselves is shown this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<Option<String>>,
    /// The name to show.
    full_name: String,
    /// False once disabled.
    is_active: bool,
    /// When the account was made.
    created_at: String,
    /// When the user was last connected.
    last_seen: Option<String>,
}

impl From<UserView> for User {
    fn from(user: UserView) -> Self {
        Self {
            id: user.id,
            username: user.username,
            email: None,
            full_name: user.full_name,
            is_active: user.is_active,
            created_at: rfc3339(user.created_at),
            last_seen: user.last_seen.map(rfc3339),
        }
    }
}

impl From<MeView> for User {
    fn from(me: MeView) -> Self {
        Self { email: Some(me.email), ..me.user.into() }
    }
}

/// A chat.
#[derive(Debug, Serialize, ToSchema)]
pub struct Chat {
    /// The chat.
    id: RoomId,
    /// Its name; a direct chat has none.
    name: Option<String>,
    /// `direct` or `group`.
    chat_type: &'static str,
    /// When it was opened.
    created_at: String,
    /// When something last happened in it.
    updated_at: String,
    /// False once closed for writing.
    is_active: bool,
}

impl From<&RoomView> for Chat {
    fn from(room: &RoomView) -> Self {
        Self {
            id: room.id,
            name: Some(room.name.clone()).filter(|name| !name.is_empty()),
            // Conversations with assistants are more like groups than like two people.
            chat_type: if room.kind == Kind::Direct { "direct" } else { "group" },
            created_at: rfc3339(room.created_at),
            updated_at: rfc3339(room.updated_at),
            is_active: !room.archived,
        }
    }
}

/// A chat in the list of the caller's.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedChat {
    /// The chat itself.
    #[serde(flatten)]
    chat: Chat,
    /// The latest message.
    last_message: Option<Message>,
    /// Others' messages that the caller has not read.
    unread_count: u64,
}

impl ListedChat {
    /// A chat with its latest message.
    #[must_use]
    pub fn new(room: RoomView, names: &Names) -> Self {
        let chat = Chat::from(&room);
        Self { chat, last_message: room.last_message.map(|m| Message::new(m, names)), unread_count: room.unread }
    }
}

/// A chat with who is in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatDetails {
    /// The chat itself.
    #[serde(flatten)]
    pub chat: ListedChat,
    /// Who is in it.
    pub participants: Vec<Participant>,
}

/// Somebody in a chat.
#[derive(Debug, Serialize, ToSchema)]
pub struct Participant {
    /// Who.
    user_id: UserId,
    /// The chat.
    chat_id: RoomId,
    /// When they joined.
    joined_at: String,
    /// Whether they may rename the chat, add and remove.
    is_admin: bool,
    /// Whether they are connected.
    online: bool,
}

impl Participant {
    /// A member of a room.
    #[must_use]
    pub fn new(room: RoomId, member: &MemberView) -> Self {
        Self {
            user_id: member.user,
            chat_id: room,
            joined_at: rfc3339(member.joined_at),
            is_admin: member.role >= MemberRole::Admin,
            online: member.status != Status::Offline,
        }
    }
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChatMessage)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its chat.
    pub chat_id: RoomId,
    /// Who sent it.
    pub sender_id: UserId,
    /// What they are called.
    pub sender_username: String,
    /// What it says; empty once deleted.
    pub content: String,
    /// When it was sent.
    pub timestamp: String,
    /// `text`, or what the sender called it.
    pub message_type: String,
    /// Whether it was edited.
    pub is_edited: bool,
    /// Whether it was deleted.
    pub is_deleted: bool,
}

impl Message {
    /// A message as it is now.
    #[must_use]
    pub fn new(message: MessageView, names: &Names) -> Self {
        Self {
            id: message.id,
            chat_id: message.room,
            sender_id: message.by,
            sender_username: names.get(&message.by).cloned().unwrap_or_default(),
            message_type: message_type(&message.meta, message.content.as_ref()).to_owned(),
            content: message.content.map(|content| text(&content).into_owned()).unwrap_or_default(),
            timestamp: rfc3339(message.at),
            is_edited: message.revision > 0,
            is_deleted: message.deleted_at.is_some(),
        }
    }
}

/// A message's type: what its sender called it, else what its parts are.
#[must_use]
pub fn message_type<'a>(meta: &'a Meta, content: Option<&Content>) -> &'a str {
    let part = content.and_then(|content| content.parts.first());
    meta.get(MESSAGE_TYPE).map_or_else(
        || match part {
            Some(Part::Image { .. }) => "image",
            Some(Part::File { .. }) => "file",
            _ => "text",
        },
        String::as_str,
    )
}

/// What a message says in plain text, its parts line by line.
#[must_use]
pub fn text(content: &Content) -> Cow<'_, str> {
    if content.parts.is_empty() {
        return Cow::Borrowed(&content.text);
    }
    let parts = content.parts.iter().map(|part| match part {
        Part::Code { text, .. } | Part::Data { text, .. } => text.clone(),
        Part::Image { url, .. } => url.clone(),
        Part::File { url, name, .. } => format!("{name}: {url}"),
    });
    let own = Some(content.text.clone()).filter(|text| !text.is_empty());
    Cow::Owned(own.into_iter().chain(parts).collect::<Vec<_>>().join("\n"))
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident of $item:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Serialize, ToSchema)]
            pub struct $name {
                /// The items of the page.
                pub items: Vec<$item>,
                /// How many there are in all.
                pub total: u64,
                /// The page's number, from 1.
                pub page: u64,
                /// How many items a page has at most.
                pub page_size: u64,
            }
        )*
    };
}

lists! {
    /// Users that were found.
    ChatUsers of User;
    /// Chats, newest activity first.
    Chats of ListedChat;
    /// Who is in a chat, in order of joining.
    Participants of Participant;
    /// Messages, newest first.
    ChatMessages of Message;
}
