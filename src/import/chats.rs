//! Which room each chat becomes, and who is in it: decided from two files at once, before a log is written.

use std::collections::{HashMap, HashSet};

use parlance_actors::ports::store::IdKind;
use parlance_domain::content_rules::check_room_name;
use parlance_schema::command::Kind;
use parlance_schema::limits::{MEMBERS_MAX, ROOM_NAME_CHARS_MAX, ROOMS_PER_USER_MAX};
use parlance_schema::{RoomId, UserId};

use super::fields::Fields;
use super::job::{Job, Kept, Phase, Piece, What};
use super::people::People;
use super::source::{Column, Input, Next, Row, Rows};
use super::{Bar, Error, Options, field};

pub(super) const CHAT_COLUMNS: [Column; 6] = [
    Column { names: &["id", "chat_id"], required: true },
    Column { names: &["name"], required: false },
    Column { names: &["chat_type", "type"], required: true },
    Column { names: &["created_at"], required: false },
    Column { names: &["updated_at"], required: false },
    Column { names: &["is_active"], required: false },
];
pub(super) const PARTICIPANT_COLUMNS: [Column; 4] = [
    Column { names: &["user_id"], required: true },
    Column { names: &["chat_id"], required: true },
    Column { names: &["joined_at"], required: false },
    Column { names: &["is_admin"], required: false },
];

/// Somebody who is in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Joining {
    pub user: UserId,
    /// When, in microseconds.
    pub at: u64,
    pub admin: bool,
}

/// A room that is to be made.
#[derive(Clone, Debug)]
pub(super) struct Room {
    pub id: RoomId,
    pub kind: Kind,
    pub name: String,
    /// When it was opened, in microseconds.
    pub created: u64,
    /// When it changed last, in microseconds; 0 where nobody says.
    pub updated: u64,
    pub active: bool,
    pub owner: UserId,
    /// All members, the owner too, in the order of joining.
    pub members: Vec<Joining>,
}

impl Room {
    pub fn has(&self, user: UserId) -> bool {
        self.members.iter().any(|member| member.user == user)
    }
}

/// The rooms that are to be made.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub all: Vec<Room>,
    /// For each chat that is brought in, its room's place.
    by_chat: HashMap<u64, u32>,
}

impl Rooms {
    /// The place of the room that a chat became.
    pub fn of(&self, chat: u64) -> Option<u32> {
        self.by_chat.get(&chat).copied()
    }
}

/// Somebody who is to be in a chat, as the row says.
struct Candidate {
    row: u64,
    /// The id that the user had.
    old: u64,
    joining: Joining,
    /// Whether the row says when.
    dated: bool,
    changes: Vec<String>,
}

/// A chat as its row says.
struct Chat {
    row: u64,
    id: u64,
    direct: bool,
    name: String,
    created: u64,
    updated: u64,
    active: bool,
    members: Vec<Candidate>,
    changes: Vec<String>,
}

/// Decides all rooms; the first time it is written down which ids they get, and what is refused.
pub(super) async fn plan(job: &mut Job, options: &Options, people: &People) -> Result<Rooms, Error> {
    let mut piece = job.piece();
    let mut plan = Plan::default();
    if let Some(input) = &options.chats {
        plan.read_chats(job, input, &mut piece)?;
    }
    if let Some(input) = &options.participants {
        plan.read_participants(job, input, people, &mut piece)?;
    }
    piece.progress.digests.clone_from(&job.progress.digests);
    let mut rooms = plan.rooms(&mut piece);
    if job.progress.phase > Phase::Chats {
        let ids: HashMap<u64, u64> = job.kept(Kept::Chat).await?.into_iter().collect();
        for (chat, place) in &rooms.by_chat {
            let id = ids.get(chat).and_then(|id| RoomId::try_from(*id).ok());
            rooms.all[*place as usize].id = id.ok_or_else(|| Error::Other(format!("chat {chat} has no room")))?;
        }
        return Ok(rooms);
    }
    give_ids(job, &mut rooms, &mut piece).await?;
    for (chat, place) in &rooms.by_chat {
        piece.keep(Kept::Chat, *chat, rooms.all[*place as usize].id.get());
    }
    piece.bulk.step = job.step;
    piece.progress.phase = Phase::Messages;
    job.commit_all(&piece).await?;
    Ok(rooms)
}

/// Gives another id to rooms whose own is taken, after the largest of all.
async fn give_ids(job: &mut Job, rooms: &mut Rooms, piece: &mut Piece) -> Result<(), Error> {
    let mut ids: Vec<u64> = rooms.all.iter().map(|room| room.id.get()).collect();
    ids.sort_unstable();
    let Some(largest) = ids.last().copied() else { return Ok(()) };
    let mut past = job.piece();
    past.past(IdKind::Room, largest);
    job.commit_all(&past).await?;
    let taken: HashSet<u64> = job.store.taken(IdKind::Room, &ids).await?.into_iter().collect();
    for room in rooms.all.iter_mut().filter(|room| taken.contains(&room.id.get())) {
        room.id = RoomId::new(job.next_id(IdKind::Room).await?);
        piece.past(IdKind::Room, room.id.get());
        piece.progress.tallies[What::Chats as usize].changed += 1;
    }
    Ok(())
}

#[derive(Default)]
struct Plan {
    chats: Vec<Chat>,
    places: HashMap<u64, usize>,
}

impl Plan {
    fn read_chats(&mut self, job: &mut Job, input: &Input, piece: &mut Piece) -> Result<(), Error> {
        let mut rows = Rows::open(input, &CHAT_COLUMNS)?;
        let mut bar = Bar::new("chats", std::fs::metadata(&input.path).map_or(0, |m| m.len()));
        let began = job.progress.began_at * 1_000;
        loop {
            bar.at(rows.bytes());
            let (row, id, read) = match rows.next()? {
                Next::End => break,
                Next::Bad(row, why) => (row, None, Err(why)),
                Next::Row(row) => {
                    let id = row.text(0).ok().flatten().and_then(|text| field::id(text).ok());
                    (row.number, id, chat(&row, began))
                }
            };
            piece.progress.tallies[What::Chats as usize].read += 1;
            match read {
                Ok(chat) if self.places.contains_key(&chat.id) => {
                    piece.refuse(What::Chats, row, id, "another chat before it has this id");
                }
                Ok(chat) => {
                    self.places.insert(chat.id, self.chats.len());
                    self.chats.push(chat);
                }
                Err(why) => piece.refuse(What::Chats, row, id, why),
            }
        }
        job.check_digest(What::Chats, rows.digest())
    }

    fn read_participants(
        &mut self,
        job: &mut Job,
        input: &Input,
        people: &People,
        piece: &mut Piece,
    ) -> Result<(), Error> {
        let mut rows = Rows::open(input, &PARTICIPANT_COLUMNS)?;
        let mut bar = Bar::new("participants", std::fs::metadata(&input.path).map_or(0, |m| m.len()));
        let mut seen = HashSet::new();
        loop {
            bar.at(rows.bytes());
            let (number, id, read) = match rows.next()? {
                Next::End => break,
                Next::Bad(row, why) => (row, None, Err(why)),
                Next::Row(row) => {
                    let id = row.text(0).ok().flatten().and_then(|text| field::id(text).ok());
                    (row.number, id, self.participant(&row, people, &mut seen))
                }
            };
            piece.progress.tallies[What::Participants as usize].read += 1;
            match read {
                Ok((place, candidate)) => self.chats[place].members.push(candidate),
                Err(why) => piece.refuse(What::Participants, number, id, why),
            }
        }
        job.check_digest(What::Participants, rows.digest())
    }

    fn participant(
        &self,
        row: &Row<'_>,
        people: &People,
        seen: &mut HashSet<(usize, UserId)>,
    ) -> Result<(usize, Candidate), String> {
        let mut fields = Fields::new(row, &PARTICIPANT_COLUMNS);
        let (old, chat) = (fields.required(0, field::id)?, fields.required(1, field::id)?);
        let place = *self.places.get(&chat).ok_or_else(|| format!("there is no chat {chat}, or it was refused"))?;
        let user = people.get(old).ok_or("there is no such user, or it was refused")?;
        let at = fields.optional(2, None, "the chat's created_at is used instead", field::micros);
        // Who came when nobody knows doesn't come before others.
        let dated = at.is_some() || fields.changes.is_empty();
        let admin = fields.optional(3, None, "the user is no admin", field::truth).unwrap_or(false);
        if !seen.insert((place, user)) {
            return Err(format!("the user is in chat {chat} by an earlier row"));
        }
        let joining = Joining { user, at: at.unwrap_or(self.chats[place].created), admin };
        Ok((place, Candidate { row: row.number, old, joining, dated, changes: fields.changes }))
    }

    fn rooms(self, piece: &mut Piece) -> Rooms {
        let mut rooms = Rooms::default();
        let mut pairs: HashMap<(UserId, UserId), u32> = HashMap::new();
        let mut counts: HashMap<UserId, usize> = HashMap::new();
        for mut chat in self.chats {
            let members = admit(&mut chat, &mut counts, piece);
            let Some(owner) = members.first().map(|member| member.user) else {
                piece.refuse(What::Chats, chat.row, Some(chat.id), "nobody is in it");
                continue;
            };
            let pair = match members[..] {
                [a, b] if chat.direct => Some((a.user.min(b.user), a.user.max(b.user))),
                _ => None,
            };
            if let Some(place) = pair.and_then(|pair| pairs.get(&pair)) {
                let room = &mut rooms.all[*place as usize];
                room.created = room.created.min(chat.created);
                room.updated = room.updated.max(chat.updated);
                chat.changes.push(format!("the two have one direct chat: this one is part of room {} now", room.id));
                members.iter().for_each(|member| *counts.entry(member.user).or_default() -= 1);
                rooms.by_chat.insert(chat.id, *place);
            } else {
                let place = rooms.all.len() as u32;
                pairs.extend(pair.map(|pair| (pair, place)));
                rooms.by_chat.insert(chat.id, place);
                rooms.all.push(room(&mut chat, pair.is_some(), owner, members));
            }
            piece.import(What::Chats, chat.row, chat.id, &chat.changes);
        }
        rooms
    }
}

fn chat(row: &Row<'_>, began: u64) -> Result<Chat, String> {
    let mut fields = Fields::new(row, &CHAT_COLUMNS);
    let id = fields.required(0, field::id)?;
    let kind = |text: &str| match text.to_ascii_lowercase().as_str() {
        "direct" => Ok(true),
        "group" => Ok(false),
        _ => Err("neither direct nor group"),
    };
    let direct = fields.required(2, kind)?;
    let name = fields.text(1).unwrap_or_default().to_owned();
    let created = fields.optional(3, None, "the time of the import is used instead", field::micros).unwrap_or(began);
    let updated = fields.optional(4, None, "it was left out", field::micros).unwrap_or(0);
    // What is closed by mistake can be read, and its owner opens it again; what would be written in a chat that should have
    // been closed can't be taken back.
    let active = fields.optional(5, Some(false), "the chat counts as not active", field::truth).unwrap_or(true);
    let changes = fields.changes;
    Ok(Chat { row: row.number, id, direct, name, created, updated, active, members: Vec::new(), changes })
}

/// The members that there is room for: admins first, then whoever has been there longest. The first one is the owner.
fn admit(chat: &mut Chat, counts: &mut HashMap<UserId, usize>, piece: &mut Piece) -> Vec<Joining> {
    let order = |Candidate { joining, dated, .. }: &Candidate| (!joining.admin, !dated, joining.at, joining.user);
    chat.members.sort_unstable_by_key(order);
    let mut admitted = Vec::new();
    for Candidate { row, old, joining, changes, .. } in std::mem::take(&mut chat.members) {
        let count = counts.entry(joining.user).or_default();
        if admitted.len() >= MEMBERS_MAX {
            piece.refuse(What::Participants, row, Some(old), format!("a room can have at most {MEMBERS_MAX} members"));
        } else if *count >= ROOMS_PER_USER_MAX {
            piece.refuse(
                What::Participants,
                row,
                Some(old),
                format!("a user is in at most {ROOMS_PER_USER_MAX} rooms"),
            );
        } else {
            *count += 1;
            piece.import(What::Participants, row, old, &changes);
            admitted.push(joining);
        }
    }
    admitted
}

fn room(chat: &mut Chat, direct: bool, owner: UserId, mut members: Vec<Joining>) -> Room {
    members.sort_unstable_by_key(|member| (member.at, member.user));
    if chat.direct && !direct {
        chat.changes.push(format!("a direct chat has two members, this one has {}: it is a group now", members.len()));
    }
    let name = if direct { String::new() } else { name(chat) };
    if direct && !chat.active {
        chat.changes.push("a direct chat can't be closed: it is open".to_owned());
    }
    Room {
        id: RoomId::new(chat.id),
        kind: if direct { Kind::Direct } else { Kind::Group },
        name,
        created: chat.created,
        updated: chat.updated,
        active: direct || chat.active,
        // Of a pair, whoever was there first opened the room.
        owner: if direct { members[0].user } else { owner },
        members,
    }
}

/// A group's name, or the nearest one that is allowed.
fn name(chat: &mut Chat) -> String {
    if check_room_name(&chat.name).is_ok() {
        return std::mem::take(&mut chat.name);
    }
    let fits = |c: char| if c.is_control() { ' ' } else { c };
    let near: String = chat.name.chars().map(fits).take(ROOM_NAME_CHARS_MAX).collect();
    let name = if check_room_name(&near).is_err() { format!("Chat {}", chat.id) } else { near };
    chat.changes.push(format!("a name has 1 to {ROOM_NAME_CHARS_MAX} characters; it is {name} now"));
    name
}
