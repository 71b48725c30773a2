//! What is left of an entry when its message is deleted: everything but what its sender wrote.

use crate::content::{MESSAGE_TYPE, MESSAGE_TYPE_BYTES_KEPT};
use crate::entry::{Entry, Fact};

impl Entry {
    /// Takes the words out; the number, the message's type and all else stay.
    pub fn erase(&mut self) {
        if let Fact::Posted { content, mentions, meta, .. } = &mut self.fact {
            *content = None;
            mentions.clear();
            meta.retain(|key, value| is_type(key, value));
        } else if let Fact::Edited { content, .. } = &mut self.fact {
            *content = None;
        }
    }
}

/// Whether a small fact says what kind of thing a message is rather than what it says; such a one stays when the words go.
fn is_type(key: &str, value: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'.');
    key == MESSAGE_TYPE && value.len() <= MESSAGE_TYPE_BYTES_KEPT && value.bytes().all(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Content, Meta};
    use crate::id::{ClientId, MessageId, UserId};

    fn erased(kind: &str) -> Meta {
        let meta = [(MESSAGE_TYPE, kind), ("note", "private")];
        let meta = meta.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let content = Some(Content::text("words"));
        let id = MessageId::new(1);
        let fact = Fact::Posted { id, content, reply_to: None, mentions: vec![UserId::new(2)], meta };
        let client_id = ClientId::new("a").unwrap();
        let mut entry = Entry { seq: 1, at: 1, by: UserId::new(1), client_id, posts: 1, append: 1, fact };
        entry.erase();
        let Fact::Posted { content: None, mentions, meta, .. } = entry.fact else { panic!("{:?}", entry.fact) };
        assert!(mentions.is_empty());
        meta
    }

    #[test]
    fn of_an_erased_message_only_the_type_stays() {
        assert_eq!(erased("image").into_iter().collect::<Vec<_>>(), [(MESSAGE_TYPE.to_owned(), "image".to_owned())]);
        // What is no word may be words.
        for kind in ["my secret", "ünique", &"x".repeat(33)] {
            assert!(erased(kind).is_empty(), "{kind}");
        }
    }
}
