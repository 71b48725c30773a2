//! Values as WebSocket frames.

use std::cell::RefCell;

use bytes::Bytes;
use parlance_actors::wire::{Opcode, frame};
use serde::Serialize;

/// Bytes of the encoding buffer that a thread keeps between frames.
const SCRATCH_BYTES_KEPT: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A WebSocket frame that holds a value as JSON, in a text message.
#[must_use]
pub fn json(value: &impl Serialize) -> Option<Bytes> {
    encode(Opcode::Text, |scratch| serde_json::to_writer(scratch, value).map_err(|error| error.to_string()))
}

/// A WebSocket frame that holds a value as MessagePack with named fields, in a binary message.
#[must_use]
pub fn msgpack(value: &impl Serialize) -> Option<Bytes> {
    encode(Opcode::Binary, |scratch| rmp_serde::encode::write_named(scratch, value).map_err(|error| error.to_string()))
}

/// Encodes in the thread's buffer, so that the frame is one allocation of the right size.
fn encode(opcode: Opcode, write: impl FnOnce(&mut Vec<u8>) -> Result<(), String>) -> Option<Bytes> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        scratch.shrink_to(SCRATCH_BYTES_KEPT);
        match write(scratch) {
            Ok(()) => Some(frame(opcode, scratch)),
            Err(error) => {
                tracing::error!(error, "a frame could not be encoded");
                None
            }
        }
    })
}
