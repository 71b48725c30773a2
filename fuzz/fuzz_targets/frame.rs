//! The RFC 6455 codec: it never panics, keeps no more than a message, and reads the same however its bytes are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parlance::gateway::websocket_frames::{Decoder, Event, Failure};

const MESSAGE_BYTES_MAX: usize = 2_048;

/// Reads bytes in pieces of `piece`: what came out, as text, and how it ended.
fn read(bytes: &[u8], piece: usize) -> (Vec<String>, Option<Failure>) {
    let mut decoder = Decoder::new(MESSAGE_BYTES_MAX);
    let mut events = Vec::new();
    let mut bytes = bytes.to_vec();
    for piece in bytes.chunks_mut(piece) {
        let mut input = piece;
        loop {
            match decoder.next(&mut input) {
                Ok(None) => break,
                Ok(Some(event)) => {
                    events.push(format!("{event:?}"));
                    if matches!(event, Event::Close { .. }) {
                        return (events, None);
                    }
                }
                Err(failure) => return (events, Some(failure)),
            }
        }
        assert!(decoder.kept_bytes() <= 2 * MESSAGE_BYTES_MAX + 512);
    }
    (events, None)
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (piece, bytes) = input;
    let whole = read(&bytes, bytes.len().max(1));
    assert_eq!(read(&bytes, 1), whole);
    assert_eq!(read(&bytes, usize::from(piece).max(1)), whole);
});
