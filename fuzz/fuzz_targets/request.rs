//! Both native wires: they never panic, and a refusal is one of the protocol's codes with a short sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parlance::gateway::native::{Json, Msgpack};
use parlance_actors::wire::Wire;

fuzz_target!(|bytes: &[u8]| {
    for outcome in [Json.decode(true, bytes), Msgpack.decode(false, bytes)] {
        if let Err((_, fault)) = outcome {
            assert!(matches!(fault.code.word(), "malformed" | "unknown_op" | "too_large"), "{fault:?}");
            assert!(!fault.detail.is_empty() && fault.detail.len() <= 1_000, "{fault:?}");
        }
    }
});
