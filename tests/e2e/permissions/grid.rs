//! What is expected: a mark for each role (line) and each relation to what is asked for (column).
//!
//! `+` done; `s` done, and what was asked for is shown; `h` done, and it is not shown; anything else is a refusal:
//! `-` not_found, `x` forbidden, `m` muted, `b` banned, `=` already, `g` invite_gone, `r` archived, `i` invalid,
//! `e` exists, `a` unauthenticated, `c` bad_credentials, `t` token_expired.

use parlance_schema::Code;
use parlance_schema::user::Role;

/// The roles of the installation, in the order of a grid's lines.
pub const ROLES: [Role; 5] = [Role::SuperAdmin, Role::TenantAdmin, Role::Manager, Role::User, Role::Readonly];

/// What a grid's columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// The caller's relation to a room: [`ROOMS`].
    Rooms,
    /// The caller's relation to a user: [`PEOPLE`].
    People,
    /// There is nothing to be related to.
    Sole,
}

/// The caller's relations to a room; `left` was a member, `elsewhere` is another tenant's room, `missing` is none.
pub const ROOMS: [&str; 9] =
    ["owner", "admin", "member", "muted", "banned", "left", "stranger", "elsewhere", "missing"];
/// The caller's relations to a user; a colleague is in one of the caller's rooms, a stranger only of the same tenant.
pub const PEOPLE: [&str; 5] = ["oneself", "colleague", "stranger", "elsewhere", "missing"];

impl Columns {
    /// Their names, in the order of a grid's marks.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Columns::Rooms => &ROOMS,
            Columns::People => &PEOPLE,
            Columns::Sole => &["-"],
        }
    }
}

/// Expectations.
pub struct Grid {
    /// What the columns are.
    pub columns: Columns,
    /// The marks, one line per role.
    pub lines: [&'static str; 5],
}

impl Grid {
    /// The same where a room that is there is told apart from one that isn't, as a dialect's users expect, but for other
    /// tenants'.
    pub fn mark_told(&self, role: usize, column: usize) -> char {
        let told = self.columns == Columns::Rooms && !matches!(ROOMS[column], "elsewhere" | "missing");
        match self.mark(role, column) {
            '-' if told && READ.mark(role, column) == '-' => 'x',
            mark => mark,
        }
    }

    /// The mark of a role and a column.
    pub fn mark(&self, role: usize, column: usize) -> char {
        let mut marks = self.lines[role].chars().filter(|mark| *mark != ' ');
        marks.nth(column).expect("a mark for each column")
    }
}

/// The code that a mark stands for; `None` where it is no refusal.
pub fn code(mark: char) -> Option<Code> {
    Some(match mark {
        '+' | 's' | 'h' => return None,
        '-' => Code::NotFound,
        'x' => Code::Forbidden,
        'm' => Code::Muted,
        'b' => Code::Banned,
        '=' => Code::Already,
        'g' => Code::InviteGone,
        'r' => Code::Archived,
        'i' => Code::Invalid,
        'e' => Code::Exists,
        'a' => Code::Unauthenticated,
        'c' => Code::BadCredentials,
        't' => Code::TokenExpired,
        other => panic!("there is no mark {other:?}"),
    })
}

const fn rooms(lines: [&'static str; 5]) -> Grid {
    Grid { columns: Columns::Rooms, lines }
}

const fn people(lines: [&'static str; 5]) -> Grid {
    Grid { columns: Columns::People, lines }
}

const fn sole(lines: [&'static str; 5]) -> Grid {
    Grid { columns: Columns::Sole, lines }
}

// Lines: super_admin, tenant_admin, manager, user, readonly.
// Columns of rooms: owner admin member muted, banned left stranger elsewhere missing.

/// Members and moderators read.
pub const READ: Grid = rooms(["++++ ++++-", "++++ +++--", "++++ -----", "++++ -----", "++++ -----"]);
/// Members write who are not muted.
pub const WRITE: Grid = rooms(["+++m xxxx-", "+++m xxx--", "+++m -----", "+++m -----", "xxxx -----"]);
/// Nobody changes another's words.
pub const EDIT_ANOTHERS: Grid = rooms(["xxxm xxxx-", "xxxm xxx--", "xxxm -----", "xxxm -----", "xxxx -----"]);
/// One's own message: also by those who may not write any more, while they see the room.
pub const DELETE_OWN: Grid = rooms(["++++ ++++-", "++++ +++--", "++++ -----", "++++ -----", "xxxx -----"]);
/// What one has done oneself can be taken back by those who see the room; strangers did nothing there.
pub const TAKE_BACK: Grid = rooms(["++++ ++==-", "++++ ++=--", "++++ -----", "++++ -----", "xxxx -----"]);
/// Admins, the owner, and moderators.
pub const STAFF: Grid = rooms(["++++ ++++-", "++++ +++--", "++xx -----", "++xx -----", "xxxx -----"]);
/// The same of what is only read, as readonly users do.
pub const STAFF_READS: Grid = rooms(["++++ ++++-", "++++ +++--", "++xx -----", "++xx -----", "++xx -----"]);
/// The owner, and moderators; also what admins may not do to each other.
pub const OWNER: Grid = rooms(["++++ ++++-", "++++ +++--", "+xxx -----", "+xxx -----", "xxxx -----"]);
/// What staff can't do to somebody who is not there.
pub const STAFF_NOBODY: Grid = rooms(["---- -----", "---- -----", "--xx -----", "--xx -----", "xxxx -----"]);
/// What the owner can't do to somebody who is not there.
pub const OWNER_NOBODY: Grid = rooms(["---- -----", "---- -----", "-xxx -----", "-xxx -----", "xxxx -----"]);
/// Nobody, whoever they are, brings somebody of another tenant into a room, or hears that there is such a user.
pub const NOBODY: Grid = rooms(["---- -----", "---- -----", "---- -----", "---- -----", "---- -----"]);
/// The banned are not added, by nobody.
pub const ADD_BANNED: Grid = rooms(["bbbb bbbb-", "bbbb bbb--", "bbxx -----", "bbxx -----", "xxxx -----"]);
/// The room is open already.
pub const OPEN_ALREADY: Grid = rooms(["==== ====-", "==== ===--", "=xxx -----", "=xxx -----", "xxxx -----"]);
/// An archived room is closed for all; who doesn't see it doesn't hear that.
pub const CLOSED: Grid = rooms(["rrrr rrrr-", "rrrr rrr--", "rrrr -----", "rrrr -----", "xxxx -----"]);
/// Everybody may leave; who is not in it has nothing to leave.
pub const LEAVE: Grid = rooms(["++++ ====-", "++++ ===--", "++++ -----", "++++ -----", "++++ -----"]);
/// An invite lets in whoever is of the room's tenant and not banned.
pub const JOIN: Grid = rooms(["==== b++gg", "==== b++gg", "==== b++gg", "==== b++gg", "==== b++gg"]);
/// What members alone have: read marks.
pub const MEMBERS: Grid = rooms(["++++ -----", "++++ -----", "++++ -----", "++++ -----", "++++ -----"]);
/// One's own rooms are listed; a moderator's look makes no member.
pub const LISTED: Grid = rooms(["ssss hhhhh", "ssss hhhhh", "ssss hhhhh", "ssss hhhhh", "ssss hhhhh"]);

// Columns of people: oneself colleague stranger elsewhere missing.

/// Users of one's own tenant are seen.
pub const SEEN: Grid = people(["+++--", "+++--", "+++--", "+++--", "+++--"]);
/// The same in a list.
pub const FOUND: Grid = people(["ssshh", "ssshh", "ssshh", "ssshh", "ssshh"]);
/// Presence is for those who share a room.
pub const PRESENT: Grid = people(["sshhh", "sshhh", "sshhh", "sshhh", "sshhh"]);
/// A direct room is for two of one tenant; readonly users open none.
pub const DIRECT: Grid = people(["i++--", "i++--", "i++--", "i++--", "ixx--"]);
/// A group is opened with users of one's own tenant; readonly users open none.
pub const OPEN_WITH: Grid = people(["+++--", "+++--", "+++--", "+++--", "xxxxx"]);

/// Everybody.
pub const ALL: Grid = sole(["+", "+", "+", "+", "+"]);
/// Those who write.
pub const WRITERS: Grid = sole(["+", "+", "+", "+", "x"]);
/// The operator.
pub const SUPER: Grid = sole(["+", "x", "x", "x", "x"]);
/// A taken name.
pub const TAKEN: Grid = sole(["e", "e", "e", "e", "e"]);
/// Credentials that don't fit.
pub const WRONG: Grid = sole(["c", "c", "c", "c", "c"]);
/// A token that is none.
pub const NO_TOKEN: Grid = sole(["a", "a", "a", "a", "a"]);
/// A token that has expired.
pub const EXPIRED: Grid = sole(["t", "t", "t", "t", "t"]);
/// What is forbidden to all.
pub const FORBIDDEN: Grid = sole(["x", "x", "x", "x", "x"]);
/// What only a connection has.
pub const INVALID: Grid = sole(["i", "i", "i", "i", "i"]);
