//! What a client does next: mostly it sends, now and then it moves people about, reads, sleeps, or says the same twice.

use std::sync::Arc;
use std::time::Duration;

use parlance_actors::service::Service;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::conn::{Conn, Wait};
use super::{Client, Todo, came};
use crate::cluster::{Node, principal};
use crate::journal::{Came, Line, Seen, Try};

/// Users who take part.
pub const USERS: u64 = 7;
/// Commands that a client has under way at once.
const UNDER_WAY_MAX: usize = 12;

impl Client {
    pub(super) fn act(&mut self, conn: &mut Conn) {
        let rooms: Vec<u64> = self.places.keys().copied().collect();
        let Some(room) = self.rng.pick(&rooms).copied() else { return };
        if self.todo.len() > UNDER_WAY_MAX {
            return;
        }
        match self.rng.below(100) {
            0..=49 => {
                for _ in 0..self.rng.between(1, 4) {
                    self.send(room, 0);
                }
            }
            50..=79 => self.change(room),
            80..=83 => conn.ask(json!({"op": "read", "room": room, "seq": self.last(room)}), Wait::Other),
            84..=85 => conn.ask(json!({"op": "typing", "room": room, "on": true}), Wait::Other),
            86..=90 => {
                let mut page = json!({"op": "entries", "room": room, "limit": self.rng.between(1, 60)});
                if self.rng.chance(500) {
                    page["before"] = self.rng.between(1, self.last(room) + 2).into();
                }
                conn.ask(page, Wait::Page(room));
            }
            91 => conn.ask(json!({"op": "rooms"}), Wait::Other),
            92..=95 => self.say_twice(room),
            96 => self.read_elsewhere(room),
            97 => {
                let other = self.other();
                let client_id = self.name();
                let op = json!({"op": "direct", "user": other});
                self.want(0, client_id, op);
            }
            98 => {
                let ms = self.rng.between(500, 8_000);
                self.slow_until = Instant::now() + Duration::from_millis(ms);
                self.see(Seen::Dozes { conn: conn.id, ms });
            }
            // Enough to fill an outbox of somebody who doesn't read.
            _ => {
                for _ in 0..self.rng.between(4, 12) {
                    self.send(room, 9_000);
                }
            }
        }
        self.push_on(conn);
    }

    fn last(&self, room: u64) -> u64 {
        self.places.get(&room).map_or(0, |place| place.seq)
    }

    fn other(&self) -> u64 {
        let other = self.rng.between(1, USERS - 1);
        if other >= self.user { other + 1 } else { other }
    }

    fn name(&mut self) -> String {
        self.count += 1;
        format!("u{}-{}", self.user, self.count)
    }

    fn want(&mut self, room: u64, client_id: String, op: Value) {
        self.todo.push(Todo { client_id, room, op, sent: false, after: Instant::now() });
    }

    fn send(&mut self, room: u64, more: usize) {
        let client_id = self.name();
        let text = format!("{client_id} says {}{}", self.rng.below(1_000_000), "x".repeat(more));
        self.command(room, client_id, json!({"op": "send", "content": {"text": text}}));
    }

    fn command(&mut self, room: u64, client_id: String, mut op: Value) {
        op["room"] = room.into();
        op["client_id"] = client_id.clone().into();
        self.want(room, client_id, op);
    }

    /// A command that changes something.
    fn change(&mut self, room: u64) {
        let seen = self.posts.get(&room).map_or(&[][..], Vec::as_slice);
        let recent = &seen[seen.len().saturating_sub(20)..];
        let any = self.rng.pick(recent).map(|(seq, _)| *seq);
        let own: Vec<u64> = recent.iter().filter(|(_, by)| *by == self.user).map(|(seq, _)| *seq).collect();
        let own = self.rng.pick(&own).copied();
        let client_id = self.name();
        let other = self.other();
        let op = match self.rng.below(30) {
            0..=6 => {
                own.map(|seq| json!({"op": "edit", "seq": seq, "content": {"text": format!("{client_id} corrects")}}))
            }
            7..=9 => own.map(|seq| json!({"op": "delete", "seq": seq})),
            10..=13 => any.map(|seq| json!({"op": "react", "seq": seq, "emoji": "+1"})),
            14..=15 => any.map(|seq| json!({"op": "unreact", "seq": seq, "emoji": "+1"})),
            16..=20 => Some(json!({"op": "add", "users": [other]})),
            21..=24 => Some(json!({"op": "kick", "user": other})),
            25 => Some(json!({"op": "leave"})),
            26 => Some(json!({"op": "rename", "name": format!("Room of {client_id}")})),
            27 => Some(json!({"op": "mute", "user": other})),
            28 => Some(json!({"op": "unmute", "user": other})),
            _ => Some(json!({"op": "promote", "user": other, "role": "admin"})),
        };
        if let Some(op) = op {
            self.command(room, client_id, op);
        }
    }

    /// Another node than this connection's, most often.
    fn elsewhere(&self) -> Option<Arc<Node>> {
        self.rng.pick(&self.cluster.all()).cloned()
    }

    /// Has something done over two ways at once, or what is under way over a second one.
    fn say_twice(&mut self, room: u64) {
        if self.todo.is_empty() || self.rng.chance(500) {
            self.send(room, 0);
        }
        let Some(todo) = self.rng.pick(&self.todo).filter(|todo| todo.room > 0) else { return };
        let what = Try { user: self.user, room: todo.room, client_id: todo.client_id.clone(), op: todo.op.clone() };
        let Some(node) = self.elsewhere() else { return };
        let cluster = self.cluster.clone();
        let (user, op) = (self.user, serde_json::from_value(todo.op.clone()).unwrap());
        let id = cluster.journal.next("tries");
        self.see(Seen::Tried { conn: 0, id, what });
        tokio::spawn(async move {
            let done = async {
                node.gate.pass().await;
                let answer = node.handle.perform(principal(user), op).await;
                node.gate.pass().await;
                answer
            };
            let came = match timeout(Duration::from_secs(30), done).await {
                Err(_) => Came::Nothing,
                Ok(Ok(answer)) => came(&json!({"ok": answer})),
                Ok(Err(fault)) => came(&json!({"fault": fault})),
            };
            cluster.journal.write(Seen::Answered { id, came });
        });
    }

    /// Reads a page over another node, whether one may or not.
    fn read_elsewhere(&self, room: u64) {
        let Some(node) = self.elsewhere() else { return };
        // Now and then somebody tries who never was a member of anything.
        let user = if self.rng.chance(300) { USERS + 1 } else { self.user };
        let cluster = self.cluster.clone();
        let op = serde_json::from_value(json!({"op": "entries", "room": room, "limit": 200})).unwrap();
        tokio::spawn(async move {
            node.gate.pass().await;
            let answer = timeout(Duration::from_secs(30), node.handle.perform(principal(user), op)).await;
            node.gate.pass().await;
            if let Ok(Ok(answer)) = answer {
                let answer = json!(answer);
                let items = answer["items"].as_array().into_iter().flatten();
                cluster.journal.write(Seen::Paged { user, room, lines: items.map(Line::read).collect() });
            }
        });
    }
}
