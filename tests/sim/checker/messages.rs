//! Messages as they are shown in the end are what their log says.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Case, Log, Verdict, wrong};

#[derive(Debug, Default, PartialEq)]
struct Message {
    words: Option<String>,
    revision: u64,
    deleted: bool,
    reactions: BTreeMap<String, Vec<u64>>,
}

pub fn judge(case: &Case, logs: &BTreeMap<u64, Log>, verdict: &mut Verdict) {
    for (room, log) in logs {
        let said = fold(log);
        let shown: BTreeMap<u64, Message> = case
            .messages
            .get(room)
            .into_iter()
            .flatten()
            .map(|m| (m["seq"].as_u64().unwrap_or_default(), read(m)))
            .collect();
        for (seq, message) in &said {
            if shown.get(seq) != Some(message) {
                let found = shown.get(seq);
                wrong(verdict, *room, format!("room {room}: message {seq} is {message:?} and is shown as {found:?}"));
            }
        }
        if shown.len() != said.len() {
            wrong(verdict, *room, format!("room {room}: {} messages are shown of {}", shown.len(), said.len()));
        }
    }
}

fn fold(log: &Log) -> BTreeMap<u64, Message> {
    let mut messages: BTreeMap<u64, Message> = BTreeMap::new();
    for line in &log.lines {
        if line.fact == "posted" {
            messages.insert(line.seq, Message { words: line.words.clone(), ..Message::default() });
        }
        let Some(message) = line.target().and_then(|target| messages.get_mut(&target)) else { continue };
        let emoji = || line.rest["emoji"].as_str().unwrap_or_default().to_owned();
        match line.fact.as_str() {
            "edited" => {
                message.revision += 1;
                message.words.clone_from(&line.words);
            }
            "deleted" => *message = Message { revision: message.revision, deleted: true, ..Message::default() },
            "reacted" => message.reactions.entry(emoji()).or_default().push(line.by),
            "unreacted" => {
                let users = message.reactions.entry(emoji()).or_default();
                users.retain(|user| *user != line.by);
                if users.is_empty() {
                    message.reactions.remove(&emoji());
                }
            }
            _ => {}
        }
    }
    messages
}

fn read(message: &Value) -> Message {
    let users = |users: &Value| users.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let reactions = message["reactions"].as_object().into_iter().flatten();
    Message {
        words: message["content"]["text"].as_str().map(str::to_owned),
        revision: message["revision"].as_u64().unwrap_or_default(),
        deleted: message["deleted_at"].is_number(),
        reactions: reactions.map(|(emoji, by)| (emoji.clone(), users(by))).collect(),
    }
}
