//! Who is in which room, as handed to the generator.

use serde::{Deserialize, Serialize};

/// A user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// The user's id.
    pub id: u64,
    /// An access token.
    pub token: String,
    /// The server that the user connects to, as a place among the servers.
    #[serde(default)]
    pub node: usize,
}

/// A room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Room {
    /// The room's id.
    pub id: u64,
    /// Its log's epoch.
    pub epoch: u64,
    /// Its log's last number.
    pub last: u64,
    /// Its members, as places among the users.
    pub members: Vec<usize>,
}

/// All users and rooms of a measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct World {
    /// Users.
    pub users: Vec<User>,
    /// Rooms.
    pub rooms: Vec<Room>,
}

/// Rooms and their members, before anybody made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rooms.
    pub rooms: usize,
    /// Members of each; nobody is in two.
    pub members: usize,
}

impl Shape {
    /// Users in all rooms together.
    pub fn users(self) -> usize {
        self.rooms * self.members
    }

    /// The members of a room, as places among the users.
    pub fn members_of(self, room: usize) -> Vec<usize> {
        (room * self.members..(room + 1) * self.members).collect()
    }

    /// The world of a bare server, which has no accounts and opens rooms as they are named.
    pub fn bare(self) -> World {
        let users = (1..=self.users() as u64).map(|id| User { id, token: "none".to_owned(), node: 0 }).collect();
        let room = |r| Room { id: r as u64 + 1, epoch: 1, last: 0, members: self.members_of(r) };
        World { users, rooms: (0..self.rooms).map(room).collect() }
    }
}
