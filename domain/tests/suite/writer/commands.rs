//! Random commands of everybody who may turn up.

use parlance_schema::Seq;
use parlance_schema::command::{Command, History, MemberRole};

use super::Rng;
use crate::world::{edit, post, react, user};

/// Somebody, and what they want.
pub fn random(rng: &mut Rng, last: Seq) -> (u64, Command) {
    let who = match rng.below(20) {
        0 => 7,
        1 => 8,
        2 => 9,
        3 => 20,
        n => 1 + n % 6,
    };
    let seq = 1 + rng.below(last + 3);
    let other = user(1 + rng.below(9));
    let hash = format!("h{}", rng.below(3));
    let command = match rng.below(40) {
        0..14 => post("hello"),
        14 | 15 => {
            let Command::Post { content, mentions, meta, .. } = post("answer") else { unreachable!("it is one") };
            Command::Post { content, reply_to: Some(seq), mentions, meta }
        }
        16..20 => edit(seq, rng.chance(50).then(|| rng.below(3) as u32), "edited"),
        20..24 => react(seq, if rng.chance(50) { "👍" } else { "e" }),
        24 => Command::Unreact { seq, emoji: "e".into() },
        25 | 26 => Command::Delete { seq },
        27 | 28 => Command::Add { users: vec![other, user(1 + rng.below(9))] },
        29 => Command::Kick { user: other },
        30 => Command::Ban { user: other, until: None },
        31 => Command::Unban { user: other },
        32 => Command::Mute { user: other, until: None },
        33 => Command::Unmute { user: other },
        34 => Command::Leave,
        35 => {
            Command::Promote { user: other, role: if rng.chance(50) { MemberRole::Admin } else { MemberRole::Member } }
        }
        36 => Command::Invite { hash, expires_at: None, uses: None },
        37 => Command::Join { hash },
        38 => Command::Rename { name: if rng.chance(70) { "Coffee".into() } else { String::new() } },
        _ => Command::Configure { history: if rng.chance(50) { History::All } else { History::SinceJoined } },
    };
    (who, command)
}
