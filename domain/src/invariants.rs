//! What the system promises, and the part of it that is the law's: what must hold of a room after every entry.
//!
//! 1. A room is one log. Every member sees the same entries in the same order, numbered 1, 2, 3… without a gap.
//! 2. An acknowledged entry is on disk and is never lost, reordered or changed, other than by erasure, which keeps its number.
//! 3. The same client id from the same sender in the same room is done once, and each try gets the first one's answer.
//! 4. A client that comes back with its positions gets exactly what it missed, then live entries; or is told to page, or to
//!    reset. A resume is never silently partial.
//! 5. Two owners of one room can't break 1 to 4: the store decides.
//! 6. Everything is bounded; over a bound is a clear error.
//! 7. A slow client slows nobody.
//! 8. An assistant is a member like any other.
//! 9. Nobody reads or writes a room without being in it, other than a moderator, which is audited; and nobody can tell a room
//!    that they are not in from one that isn't there.
//! 10. A crash of one actor touches only itself.
//!
//! The law answers for 1, 6 and 9, and for the part of 3 that is remembering nothing: the state is a function of the entries,
//! from whatever snapshot, and deciding changes nothing. [`check`] looks after each entry; the property tests say the same in
//! their own words.

use parlance_schema::command::{Kind, MemberRole};
use parlance_schema::entry::Entry;
use parlance_schema::limits::{BANS_MAX, INVITES_MAX, MEMBERS_MAX, MUTES_KEPT_MAX};

use crate::room::State;

/// Checks what must hold of a room after `entry`, the last one folded: what costs the same however many members there are always,
/// the rest in debug builds.
///
/// # Panics
/// When it doesn't hold. Whoever holds the state ends before anything follows from it: an entry that breaks a promise is not
/// appended, and a log that does is not shown.
pub fn check(state: &State, entry: &Entry) {
    assert_eq!(state.last, entry.seq, "numbers have no gap");
    assert_eq!(state.posts, entry.posts, "an entry carries the number of messages so far");
    if state.passed_over > 0 {
        // Who is there may have been changed by what this version doesn't know.
        return;
    }
    assert!(
        state.members.len() <= MEMBERS_MAX,
        "the room would have more than {MEMBERS_MAX} members, which is the limit"
    );
    assert!(
        state.bans.len() <= BANS_MAX
            && state.invites.len() <= 2 * INVITES_MAX
            && state.mutes_kept.len() <= MUTES_KEPT_MAX,
        "bans, invites and kept mutes are bounded"
    );
    assert!(state.kind != Kind::Direct || state.members.len() == 2, "a direct room is for two");
    if cfg!(debug_assertions) {
        check_members(state);
    }
}

/// What must hold of each member.
fn check_members(state: &State) {
    assert!(state.mutes_kept.keys().all(|user| !state.members.contains_key(user)), "who is there has their mute");
    let owners = state.members.values().filter(|member| member.role == MemberRole::Owner).count();
    let expected = usize::from(state.kind != Kind::Direct && !state.members.is_empty());
    assert_eq!(owners, expected, "a group has one owner while it has members, a direct room none");
    assert!(
        state.members.values().all(|m| m.joined <= state.last && m.last_own <= state.last_post),
        "nobody has joined or written after the last entry"
    );
}
