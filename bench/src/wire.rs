//! The APIs that the generator speaks.

use clap::ValueEnum;

/// One of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Wire {
    /// The server's own, which the bare fan-out speaks as well: a socket for all of a user's rooms.
    #[default]
    Native,
    /// The `chat-service` dialect: a socket for one chat.
    ChatService,
}
