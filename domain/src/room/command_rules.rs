//! What holds of a command whoever gives it, and whatever the room.

use parlance_schema::Seq;
use parlance_schema::command::Command;

use super::{invites, members, messages, moderation, settings};

/// About how many bytes an entry takes besides what people wrote in it.
const ENTRY_BYTES: usize = 512;

/// What holds of a command whoever gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandRules {
    /// Its name in the audit.
    pub word: &'static str,
    /// The number of the message that must be looked up before it can be decided.
    pub target: Option<Seq>,
    /// Whether it can be given in an archived room.
    pub in_archive: bool,
    /// Whether it can be given in a direct room.
    pub in_direct: bool,
    /// Whether readonly users can give it.
    pub by_readonly: bool,
}

impl CommandRules {
    /// A command about the room or its members, for open groups.
    pub(super) const fn new(word: &'static str) -> Self {
        Self { word, target: None, in_archive: false, in_direct: false, by_readonly: false }
    }

    /// A command about a message.
    pub(super) const fn about(word: &'static str, target: Option<Seq>) -> Self {
        Self { target, ..Self::new(word).in_direct() }
    }

    pub(super) const fn in_archive(self) -> Self {
        Self { in_archive: true, ..self }
    }

    pub(super) const fn in_direct(self) -> Self {
        Self { in_direct: true, ..self }
    }

    pub(super) const fn by_readonly(self) -> Self {
        Self { by_readonly: true, ..self }
    }

    /// The rules of a command.
    #[must_use]
    pub const fn of(command: &Command) -> Self {
        match command {
            Command::Create { .. } => members::CREATE,
            Command::Add { .. } => members::ADD,
            Command::Leave => members::LEAVE,
            Command::Promote { .. } => members::PROMOTE,
            Command::Invite { .. } => invites::INVITE,
            Command::Uninvite { .. } => invites::UNINVITE,
            Command::Join { .. } => invites::JOIN,
            Command::Kick { .. } => moderation::KICK,
            Command::Ban { .. } => moderation::BAN,
            Command::Unban { .. } => moderation::UNBAN,
            Command::Mute { .. } => moderation::MUTE,
            Command::Unmute { .. } => moderation::UNMUTE,
            Command::Post { reply_to, .. } => Self::about("post", *reply_to),
            Command::Edit { seq, .. } => Self::about("edit", Some(*seq)),
            Command::Delete { seq } => Self::about("delete", Some(*seq)).in_archive(),
            Command::React { seq, .. } => Self::about("react", Some(*seq)),
            Command::Unreact { seq, .. } => Self::about("unreact", Some(*seq)),
            Command::Rename { .. } => settings::RENAME,
            Command::Configure { .. } => settings::CONFIGURE,
            Command::Archive => settings::ARCHIVE,
            Command::Unarchive => settings::UNARCHIVE,
        }
    }
}

/// A command's name in the audit.
#[must_use]
pub const fn word(command: &Command) -> &'static str {
    CommandRules::of(command).word
}

/// The number of the message that must be looked up before the command can be decided.
#[must_use]
pub const fn needs(command: &Command) -> Option<Seq> {
    CommandRules::of(command).target
}

/// About how many bytes a command's entry takes.
#[must_use]
pub fn weight(command: &Command) -> usize {
    let written = match command {
        Command::Post { content, meta, mentions, .. } => messages::weight(content, meta, mentions.len()),
        Command::Edit { content, .. } => messages::content_weight(content),
        Command::Create { members, .. } => members::weight(members.len()),
        Command::Add { users } => members::weight(users.len()),
        Command::Delete { .. }
        | Command::React { .. }
        | Command::Unreact { .. }
        | Command::Invite { .. }
        | Command::Uninvite { .. }
        | Command::Join { .. }
        | Command::Leave
        | Command::Kick { .. }
        | Command::Ban { .. }
        | Command::Unban { .. }
        | Command::Mute { .. }
        | Command::Unmute { .. }
        | Command::Promote { .. }
        | Command::Rename { .. }
        | Command::Configure { .. }
        | Command::Archive
        | Command::Unarchive => 0,
    };
    ENTRY_BYTES + written
}
