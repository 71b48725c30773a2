//! What tests of the actors need of a client and its account, whatever runs the nodes.

use parlance_actors::ports::store::Account;
use parlance_schema::Millis;
use parlance_schema::user::Principal;

/// The account of somebody who has no password, and logs in without.
pub fn account(who: Principal, created_at: Millis) -> Account {
    let Principal { user, tenant, role } = who;
    Account {
        id: user,
        tenant,
        username: format!("user{user}"),
        email: None,
        full_name: format!("User {user}"),
        password: None,
        role,
        active: true,
        created_at,
        last_seen: None,
        valid_after: 0,
    }
}

/// Splits what a server wrote into frames (RFC 6455, 5.2), each whole and unmasked: opcode and payload.
pub fn frames(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [first, length, ..] = *bytes else { return None };
        let (size, header) = match length {
            126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            127 => (u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize, 10),
            short => (usize::from(short), 2),
        };
        let (frame, rest) = bytes.split_at(header + size);
        bytes = rest;
        Some((first & 0x0f, &frame[header..]))
    })
}
