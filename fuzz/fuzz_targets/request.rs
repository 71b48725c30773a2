//! The wires: they never panic, and a refusal is one of the protocol's codes with a short sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parlance::dialect::chat_service::wire::Frames;
use parlance::gateway::native::{Json, Msgpack};
use parlance_actors::wire::Wire;
use parlance_schema::RoomId;

fuzz_target!(|bytes: &[u8]| {
    let chat = Frames::new(2, RoomId::new(1)).decode(true, bytes);
    for outcome in [Json.decode(true, bytes), Msgpack.decode(false, bytes), chat] {
        if let Err((_, fault)) = outcome {
            assert!(matches!(fault.code.word(), "malformed" | "invalid" | "unknown_op" | "too_large"), "{fault:?}");
            assert!(!fault.detail.is_empty() && fault.detail.len() <= 1_000, "{fault:?}");
        }
    }
});
