//! Requests of an ordinary member that the server refuses, of every kind: some are refused by what the room's owner has in
//! memory, others only after a message, an account, a code or another room was looked up in the store.

/// The operations, without `n`. `ROOM`, `SEQ` (of another member's message), `USER` (the room's owner), `ID` (a client id
/// that was not used before) and `NUMBER` (differs from request to request) stand for values.
const REFUSED: [&str; 26] = [
    // What must look up a message.
    r#""op":"edit","room":ROOM,"seq":SEQ,"content":{"text":"not mine"},"client_id":"ID""#,
    r#""op":"delete","room":ROOM,"seq":SEQ,"client_id":"ID""#,
    r#""op":"unreact","room":ROOM,"seq":SEQ,"emoji":"never","client_id":"ID""#,
    r#""op":"react","room":ROOM,"seq":1,"emoji":"no message","client_id":"ID""#,
    r#""op":"edit","room":ROOM,"seq":1000000000,"content":{"text":"too far"},"client_id":"ID""#,
    r#""op":"send","room":ROOM,"content":{"text":"to what?"},"reply_to":1,"client_id":"ID""#,
    r#""op":"message","room":ROOM,"seq":1000000000"#,
    r#""op":"revisions","room":ROOM,"seq":1000000000"#,
    // What must look up something else.
    r#""op":"join","code":"no-invite-has-this-code-NUMBER","client_id":"ID""#,
    r#""op":"send","room":8000000NUMBER,"content":{"text":"nobody here"},"client_id":"ID""#,
    r#""op":"add","room":ROOM,"users":[9000000NUMBER],"client_id":"ID""#,
    r#""op":"invite","room":ROOM"#,
    // What the room's state decides.
    r#""op":"send","room":ROOM,"content":{"text":"hello"},"mentions":[9000000NUMBER],"client_id":"ID""#,
    r#""op":"uninvite","room":ROOM,"hash":"none","client_id":"ID""#,
    r#""op":"kick","room":ROOM,"user":USER,"client_id":"ID""#,
    r#""op":"ban","room":ROOM,"user":USER,"client_id":"ID""#,
    r#""op":"unban","room":ROOM,"user":USER,"client_id":"ID""#,
    r#""op":"mute","room":ROOM,"user":USER,"client_id":"ID""#,
    r#""op":"unmute","room":ROOM,"user":USER,"client_id":"ID""#,
    r#""op":"promote","room":ROOM,"user":USER,"role":"admin","client_id":"ID""#,
    r#""op":"rename","room":ROOM,"name":"Mine","client_id":"ID""#,
    r#""op":"configure","room":ROOM,"history":"all","client_id":"ID""#,
    r#""op":"archive","room":ROOM,"client_id":"ID""#,
    r#""op":"unarchive","room":ROOM,"client_id":"ID""#,
    r#""op":"bans","room":ROOM"#,
    r#""op":"invites","room":ROOM"#,
];

/// Requests after which each kind was sent once.
pub const KINDS: u64 = REFUSED.len() as u64;

/// The request number `n` of a member who is not on the room's staff; which kind it is goes by `turn`, which also makes its
/// client id. `owner` is the room's owner, `seq` the number of another member's message.
pub fn request(n: u64, turn: u64, room: u64, owner: u64, seq: u64) -> String {
    let op = REFUSED[(turn % KINDS) as usize]
        .replace("ROOM", &room.to_string())
        .replace("SEQ", &seq.to_string())
        .replace("USER", &owner.to_string())
        .replace("ID", &format!("r{turn}-{}", std::process::id()))
        .replace("NUMBER", &turn.to_string());
    format!(r#"{{"n":{n},{op}}}"#)
}

/// Whether a fault says that a request was not looked at, as there were too many.
pub fn is_overload(fault: &[u8]) -> bool {
    [&br#""code":"no_credit""#[..], br#""code":"rate_limited""#, br#""code":"busy""#]
        .iter()
        .any(|code| super::after(fault, code).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlance_schema::frame::Request;

    #[test]
    fn each_kind_is_the_vocabulary_s() {
        for turn in 0..KINDS {
            let text = request(turn + 1, turn, 3, 4, 5);
            serde_json::from_str::<Request>(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
    }
}
