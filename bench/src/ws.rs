//! Just enough of RFC 6455 for both ends of a measurement: headers, masks and the handshake's key.

use std::rc::Rc;

use base64::Engine as _;
use bytes::BufMut;
use sha1::{Digest, Sha1};

/// A frame of text.
pub const TEXT: u8 = 1;
/// The end of a connection.
pub const CLOSE: u8 = 8;
/// Asks for a pong.
pub const PING: u8 = 9;
/// Answers a ping.
pub const PONG: u8 = 10;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame carries.
    pub opcode: u8,
    /// The mask, which every frame of a client has.
    pub mask: Option<[u8; 4]>,
    /// Bytes before the payload.
    pub start: usize,
    /// Bytes of the payload.
    pub len: usize,
}

impl Header {
    /// Bytes of the whole frame.
    pub fn end(&self) -> usize {
        self.start + self.len
    }
}

/// Reads a header (RFC 6455, 5.2); `None` while it is not complete.
pub fn header(buf: &[u8]) -> Option<Header> {
    let (&first, &second) = (buf.first()?, buf.get(1)?);
    let (len, at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(buf.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(buf.get(2..10)?.try_into().ok()?)).ok()?, 10),
        len => (usize::from(len), 2),
    };
    let masked = second & 0x80 != 0;
    let mask = if masked { Some(buf.get(at..at + 4)?.try_into().ok()?) } else { None };
    Some(Header { opcode: first & 0x0f, mask, start: at + if masked { 4 } else { 0 }, len })
}

fn put_header(out: &mut impl BufMut, opcode: u8, len: usize, mask_bit: u8) {
    out.put_u8(0x80 | opcode);
    match len {
        0..=125 => out.put_u8(mask_bit | len as u8),
        126..=0xffff => {
            out.put_u8(mask_bit | 126);
            out.put_u16(len as u16);
        }
        _ => {
            out.put_u8(mask_bit | 127);
            out.put_u64(len as u64);
        }
    }
}

/// Appends a client's frame, masked.
pub fn put_client_frame(out: &mut Vec<u8>, opcode: u8, mask: [u8; 4], payload: &[u8]) {
    put_header(out, opcode, payload.len(), 0x80);
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    unmask(&mut out[start..], mask);
}

/// Makes a server's frame of text.
pub fn server_frame(payload: &[u8]) -> Rc<[u8]> {
    let mut out = Vec::with_capacity(payload.len() + 10);
    put_header(&mut out, TEXT, payload.len(), 0);
    out.extend_from_slice(payload);
    out.into()
}

/// Applies a mask, or takes it off (RFC 6455, 5.3).
pub fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// What a server answers to a client's key (RFC 6455, 4.2.2).
pub fn accept(key: &str) -> String {
    let digest = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    base64::engine::general_purpose::STANDARD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_as_the_rfc_says() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn reads_back_what_it_writes() {
        for len in [0, 1, 125, 126, 300, 65_535, 65_536] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut client = Vec::new();
            put_client_frame(&mut client, TEXT, [1, 2, 3, 250], &payload);
            let head = header(&client).unwrap();
            assert_eq!((head.opcode, head.len, head.end()), (TEXT, len, client.len()));
            unmask(&mut client[head.start..], head.mask.unwrap());
            assert_eq!(client[head.start..], payload);
            let server = server_frame(&payload);
            let head = header(&server).unwrap();
            assert_eq!((head.mask, &server[head.start..head.end()]), (None, &payload[..]));
            assert!((0..head.start).all(|cut| header(&server[..cut]).is_none()));
        }
    }
}
