//! The decoders under bytes that nobody meant: they never panic, and where the bytes are cut makes no difference.

use parlance::dialect::chat_service::wire::Frames;
use parlance::gateway::native::{Json, Msgpack};
use parlance::gateway::websocket_frames::{Decoder, Event, Failure};
use parlance_actors::wire::Wire;
use parlance_schema::RoomId;
use parlance_schema::op::Op;
use proptest::prelude::*;

use super::client::masked;

const MESSAGE_BYTES_MAX: usize = 4_096;

/// What an event was, without its borrow.
fn own(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Message { text, payload } => Event::Message { text, payload: payload.into_owned().into() },
        Event::Ping(payload) => Event::Ping(payload.into_owned().into()),
        Event::Pong => Event::Pong,
        Event::Close { code } => Event::Close { code },
    }
}

/// Feeds bytes cut into pieces of these lengths, over and over, until the end, a close or a failure.
fn read(bytes: &[u8], cuts: &[usize]) -> (Vec<Event<'static>>, Option<Failure>) {
    let mut decoder = Decoder::new(MESSAGE_BYTES_MAX);
    let mut events = Vec::new();
    let mut lengths = cuts.iter().cycle();
    let mut rest = bytes.to_vec();
    while !rest.is_empty() {
        let length = lengths.next().map_or(rest.len(), |length| (*length).min(rest.len()));
        let mut piece: Vec<u8> = rest.drain(..length).collect();
        let mut input = &mut piece[..];
        loop {
            match decoder.next(&mut input) {
                Ok(Some(event)) => {
                    let last = matches!(event, Event::Close { .. });
                    events.push(own(event));
                    if last {
                        return (events, None);
                    }
                }
                Ok(None) => break,
                Err(failure) => return (events, Some(failure)),
            }
        }
        // Twice the largest message, as a vector grows by doubling, and the little that a header takes.
        assert!(decoder.kept_bytes() <= 2 * MESSAGE_BYTES_MAX + 512);
    }
    (events, None)
}

/// One well-formed frame, or nearly so.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        "\\PC{0,40}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..200),
        Just(vec![b'x'; 3_000]),
    ];
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => prop::sample::select(vec![0x88_u8, 0x09, 0xc1, 0x83, 0x8b]),
    ];
    (first, payload).prop_map(|(first, payload)| masked(first, &payload))
}

/// Requests that are nearly right, as values.
fn request() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // JSON has one kind of numbers, and 2.0 is an integer there; in MessagePack it is none.
        any::<f64>().prop_map(|n| if n.fract() == 0.0 { 0.5 } else { n }).prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(json!({"text": "नमस्ते"})),
        Just(json!({"12": {"epoch": 1, "seq": 2}})),
    ];
    let key = prop::sample::select(vec![
        "n",
        "op",
        "room",
        "content",
        "client_id",
        "seq",
        "users",
        "positions",
        "until",
        "kind",
        "name",
        "other",
    ]);
    let op = prop::sample::select(vec!["send", "resume", "ping", "create", "ban", "entries", "users", "edit", "none"]);
    let fields = prop::collection::btree_map(key.prop_map(String::from), leaf, 0..6);
    (fields, op, any::<bool>()).prop_map(|(mut fields, op, right)| {
        if right {
            fields.insert("n".into(), 5.into());
            fields.insert("op".into(), op.into());
        }
        json!(fields)
    })
}

/// All wires must return, and refuse only with what the protocol's table has for it.
fn decode_all(bytes: &[u8]) {
    use parlance_schema::Code::{Invalid, Malformed, TooLarge, Unknown};
    let chat = Frames::new(2, RoomId::new(1)).decode(true, bytes);
    if let Ok(request) = &chat {
        let room = match &request.op {
            Op::Send { room, .. } | Op::Typing { room, .. } => *room,
            op => {
                assert_eq!(*op, Op::Ping {});
                RoomId::new(1)
            }
        };
        assert_eq!(room, RoomId::new(1), "a chat's socket is for that chat");
    }
    for (outcome, native) in [(Json.decode(true, bytes), true), (Msgpack.decode(false, bytes), true), (chat, false)] {
        if let Err((_, fault)) = outcome {
            let known = matches!(fault.code, Malformed | Unknown | TooLarge);
            assert!(known || !native && fault.code == Invalid, "{fault:?}");
            assert!(fault.detail.len() <= 1_000 && !fault.detail.is_empty(), "{fault:?}");
        }
    }
}

/// Frames of a chat's socket that are nearly right, as values.
fn chat_frame() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let kind = prop::sample::select(vec!["message", "typing", "ping", "none"]).prop_map(Value::from);
    let content = prop_oneof![Just("start".to_owned()), Just("stop".to_owned()), "\\PC{0,20}"].prop_map(Value::from);
    let chat = prop_oneof![3 => Just(json!(1)), 1 => any::<u64>().prop_map(Value::from), 1 => Just(Value::Null)];
    let word = prop_oneof!["\\PC{0,40}", "[a-z_]{1,32}"].prop_map(Value::from);
    let option = |value: BoxedStrategy<Value>| prop::option::of(value);
    let fields = (option(kind.boxed()), option(chat.boxed()), option(content.boxed()), option(word.clone().boxed()));
    (fields, prop::option::of(word)).prop_map(|((kind, chat, content, word), client_id)| {
        let names = ["type", "chat_id", "content", "message_type", "client_id"];
        let values = [kind, chat, content, word, client_id];
        names.into_iter().zip(values).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_codec_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600), cuts in prop::collection::vec(1_usize..40, 1..5)) {
        let whole = read(&bytes, &[bytes.len().max(1)]);
        prop_assert_eq!(read(&bytes, &[1]), whole.clone());
        prop_assert_eq!(read(&bytes, &cuts), whole);
    }

    #[test]
    fn where_frames_are_cut_makes_no_difference(frames in prop::collection::vec(frame(), 1..12), cuts in prop::collection::vec(1_usize..300, 1..5)) {
        let bytes = frames.concat();
        let whole = read(&bytes, &[bytes.len()]);
        prop_assert_eq!(read(&bytes, &[1]), whole.clone());
        prop_assert_eq!(read(&bytes, &cuts), whole);
    }

    #[test]
    fn a_message_arrives_however_it_is_fragmented(text in "\\PC{0,300}", cuts in prop::collection::vec(0_usize..20, 1..6), reads in prop::collection::vec(1_usize..50, 1..4)) {
        let mut bytes = Vec::new();
        let (mut rest, mut first) = (text.as_bytes(), 1_u8);
        for cut in cuts.iter().cycle().take(100) {
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            bytes.extend(masked(first, piece));
            bytes.extend(masked(0x89, b"between"));
            (rest, first) = (behind, 0);
        }
        bytes.extend(masked(0x80 | first, rest));
        let (events, failure) = read(&bytes, &reads);
        prop_assert_eq!(failure, None);
        prop_assert_eq!(events.len(), 101);
        let expected = Event::Message { text: true, payload: text.into_bytes().into() };
        prop_assert_eq!(events.last(), Some(&expected));
    }

    #[test]
    fn the_wires_take_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        decode_all(&bytes);
    }

    #[test]
    fn the_wires_take_nearly_right_requests(request in request()) {
        decode_all(request.to_string().as_bytes());
        decode_all(&rmp_serde::to_vec_named(&request).unwrap());
        let json = Json.decode(true, request.to_string().as_bytes());
        let msgpack = Msgpack.decode(false, &rmp_serde::to_vec_named(&request).unwrap());
        prop_assert_eq!(json, msgpack);
    }

    #[test]
    fn the_wires_take_damaged_requests(request in request(), at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<prop::sample::Index>()) {
        for mut bytes in [request.to_string().into_bytes(), rmp_serde::to_vec_named(&request).unwrap()] {
            let at = at.index(bytes.len());
            bytes[at] = with;
            decode_all(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            decode_all(&bytes);
        }
    }

    #[test]
    fn a_chats_wire_takes_nearly_right_and_damaged_frames(frame in chat_frame(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = frame.to_string().into_bytes();
        decode_all(&bytes);
        let at = at.index(bytes.len());
        bytes[at] = with;
        decode_all(&bytes);
        bytes.truncate(at);
        decode_all(&bytes);
    }
}
