//! RFC 6455 as a server reads it: an incremental, pure decoder of a client's bytes.
//!
//! It borrows what it can: a message that lies whole in the bytes just read is unmasked in place and handed on without a
//! copy. Only what a message, control frame or header left unfinished is kept, and an idle connection keeps nothing.
//! Encoding is `parlance_actors::wire::frame`.

use std::borrow::Cow;
use std::mem::take;

/// Empty fragments that one message may have; others are bounded by their bytes.
pub const EMPTY_FRAGMENTS_MAX: u16 = 128;
/// Bytes of a control frame's payload (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: usize = 125;
/// Bytes of the longest header: 2, 8 of length, 4 of mask.
const HEADER_BYTES_MAX: usize = 14;

/// Something whole that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message; text is valid UTF-8.
    Message {
        /// Whether it is text.
        text: bool,
        /// All fragments together.
        payload: Cow<'a, [u8]>,
    },
    /// Wants a pong with the same bytes.
    Ping(Cow<'a, [u8]>),
    /// A pong, asked for or not.
    Pong,
    /// The end. Nothing that follows is to be read.
    Close {
        /// The client's code, if it named one.
        code: Option<u16>,
    },
}

/// Why a client's bytes can't be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// The close code: 1002 protocol error, 1007 not UTF-8, 1008 too many empty fragments, 1009 too large.
    pub code: u16,
    /// A sentence for the close frame.
    pub reason: &'static str,
}

const fn protocol(reason: &'static str) -> Failure {
    Failure { code: 1002, reason }
}

const NOT_UTF8: Failure = Failure { code: 1007, reason: "a text message must be UTF-8" };
const TOO_LARGE: Failure = Failure { code: 1009, reason: "the message is too large" };
const TOO_EMPTY: Failure = Failure { code: 1008, reason: "the message has too many empty fragments" };

/// One connection's decoder. After a [`Failure`] or an [`Event::Close`] it must not be fed again.
#[derive(Debug)]
pub struct Decoder {
    /// Bytes of one message, all fragments together.
    message_bytes_max: usize,
    /// What is unfinished; absent between messages.
    rest: Option<Box<Rest>>,
}

/// What the bytes so far left unfinished.
#[derive(Debug, Default)]
struct Rest {
    header: [u8; HEADER_BYTES_MAX],
    header_len: usize,
    frame: Option<Frame>,
    message: Option<Message>,
    control: Vec<u8>,
}

impl Rest {
    fn is_clean(&self) -> bool {
        self.header_len == 0 && self.frame.is_none() && self.message.is_none()
    }
}

/// A frame whose header was read.
#[derive(Clone, Copy, Debug)]
struct Frame {
    fin: bool,
    opcode: u8,
    /// Rotated, so that its first byte masks the next byte of the payload.
    mask: [u8; 4],
    /// Payload bytes still to come.
    left: usize,
}

impl Frame {
    const fn is_control(&self) -> bool {
        self.opcode >= 8
    }
}

/// A message of which something is still to come.
#[derive(Debug)]
struct Message {
    text: bool,
    bytes: Vec<u8>,
    /// Bytes that were found to be UTF-8.
    checked: usize,
    empty_fragments: u16,
}

impl Message {
    /// Takes more bytes; a text that can't become valid any more is noticed at once.
    fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.bytes.extend_from_slice(bytes);
        if self.text {
            match std::str::from_utf8(&self.bytes[self.checked..]) {
                Ok(_) => self.checked = self.bytes.len(),
                Err(e) if e.error_len().is_some() => return Err(NOT_UTF8),
                Err(e) => self.checked += e.valid_up_to(),
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Event<'static>, Failure> {
        if self.text && self.checked < self.bytes.len() {
            return Err(NOT_UTF8);
        }
        Ok(Event::Message { text: self.text, payload: Cow::Owned(self.bytes) })
    }
}

impl Decoder {
    /// Makes a decoder of messages up to `message_bytes_max` bytes.
    #[must_use]
    pub fn new(message_bytes_max: usize) -> Self {
        Self { message_bytes_max, rest: None }
    }

    /// Bytes kept for what is unfinished.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.rest.as_ref().map_or(0, |r| {
            size_of::<Rest>() + r.control.capacity() + r.message.as_ref().map_or(0, |m| m.bytes.capacity())
        })
    }

    /// Reads the next event from `input` and leaves what follows it there; `None` when all of it was taken in.
    ///
    /// # Errors
    /// When the client breaks the protocol or a bound; the connection must be closed with that code.
    pub fn next<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, Failure> {
        while !input.is_empty() {
            let frame = match self.rest.as_mut().and_then(|r| r.frame.take()) {
                Some(frame) => frame,
                None => match self.header(input)? {
                    Some(frame) => self.admit(frame)?,
                    None => break,
                },
            };
            if let Some(event) = self.payload(frame, input)? {
                self.tidy();
                return Ok(Some(event));
            }
        }
        self.tidy();
        Ok(None)
    }

    fn tidy(&mut self) {
        if self.rest.as_ref().is_some_and(|r| r.is_clean()) {
            self.rest = None;
        }
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// Reads a header, or keeps its beginning.
    fn header(&mut self, input: &mut &mut [u8]) -> Result<Option<Frame>, Failure> {
        let kept = self.rest.as_ref().map_or(0, |r| r.header_len);
        if kept == 0
            && let Some((frame, used)) = parse_header(input)?
        {
            skip(input, used);
            return Ok(Some(frame));
        }
        let rest = self.rest();
        let new = input.len().min(HEADER_BYTES_MAX - kept);
        rest.header[kept..kept + new].copy_from_slice(&input[..new]);
        match parse_header(&rest.header[..kept + new])? {
            Some((frame, used)) => {
                rest.header_len = 0;
                skip(input, used - kept);
                Ok(Some(frame))
            }
            None => {
                rest.header_len = kept + new;
                skip(input, new);
                Ok(None)
            }
        }
    }

    /// Checks a frame against what came before it, before any of its payload is kept.
    fn admit(&mut self, frame: Frame) -> Result<Frame, Failure> {
        if frame.is_control() {
            return Ok(frame);
        }
        let message = self.rest.as_mut().and_then(|r| r.message.as_mut());
        let so_far = message.as_ref().map_or(0, |m| m.bytes.len());
        match (frame.opcode, message) {
            (0, None) => return Err(protocol("a continuation frame came but no message had been started")),
            (0, Some(message)) if frame.left == 0 && !frame.fin => {
                message.empty_fragments += 1;
                if message.empty_fragments > EMPTY_FRAGMENTS_MAX {
                    return Err(TOO_EMPTY);
                }
            }
            (0, Some(_)) | (_, None) => {}
            (_, Some(_)) => return Err(protocol("a new message began before the previous one was finished")),
        }
        if frame.left > self.message_bytes_max - so_far { Err(TOO_LARGE) } else { Ok(frame) }
    }

    /// Takes in what there is of a frame's payload.
    fn payload<'a>(&mut self, mut frame: Frame, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, Failure> {
        let here = frame.left.min(input.len());
        let (bytes, behind) = take(input).split_at_mut(here);
        *input = behind;
        unmask(bytes, &mut frame.mask);
        frame.left -= here;
        if frame.is_control() { self.control(frame, bytes) } else { self.data(frame, bytes) }
    }

    fn control<'a>(&mut self, frame: Frame, bytes: &'a [u8]) -> Result<Option<Event<'a>>, Failure> {
        let kept = self.rest.as_ref().map_or(0, |r| r.control.len());
        if frame.left == 0 && kept == 0 {
            return control_event(frame.opcode, Cow::Borrowed(bytes)).map(Some);
        }
        let rest = self.rest();
        rest.control.extend_from_slice(bytes);
        if frame.left > 0 {
            rest.frame = Some(frame);
            return Ok(None);
        }
        control_event(frame.opcode, Cow::Owned(take(&mut rest.control))).map(Some)
    }

    fn data<'a>(&mut self, frame: Frame, bytes: &'a [u8]) -> Result<Option<Event<'a>>, Failure> {
        let begun = self.rest.as_ref().is_some_and(|r| r.message.is_some());
        if !begun && frame.fin && frame.left == 0 {
            let text = frame.opcode == 1;
            if text && std::str::from_utf8(bytes).is_err() {
                return Err(NOT_UTF8);
            }
            return Ok(Some(Event::Message { text, payload: Cow::Borrowed(bytes) }));
        }
        let rest = self.rest();
        let message = rest.message.get_or_insert_with(|| Message {
            text: frame.opcode == 1,
            bytes: Vec::new(),
            checked: 0,
            empty_fragments: 0,
        });
        message.push(bytes)?;
        if frame.left > 0 {
            rest.frame = Some(frame);
        } else if frame.fin {
            return rest.message.take().map(Message::finish).transpose();
        }
        Ok(None)
    }
}

fn skip(input: &mut &mut [u8], bytes: usize) {
    *input = &mut take(input)[bytes..];
}

/// Reads a header; `None` when more bytes are needed. What is wrong already in the first two is noticed with those.
fn parse_header(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Failure> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
    if first & 0x70 != 0 {
        return Err(protocol("a frame has a reserved bit set, but no extension was negotiated"));
    }
    if !matches!(opcode, 0..=2 | 8..=10) {
        return Err(protocol("a frame has a reserved opcode"));
    }
    if opcode >= 8 && !fin {
        return Err(protocol("a control frame must not be fragmented"));
    }
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    if second & 0x80 == 0 {
        return Err(protocol("a frame from a client must be masked"));
    }
    let short = usize::from(second & 0x7f);
    if opcode >= 8 && short > CONTROL_BYTES_MAX {
        return Err(protocol("a control frame must have at most 125 bytes"));
    }
    let Some((left, at)) = parse_length(short, bytes)? else { return Ok(None) };
    let Some(mask) = bytes.get(at..at + 4) else { return Ok(None) };
    let mask = [mask[0], mask[1], mask[2], mask[3]];
    Ok(Some((Frame { fin, opcode, mask, left }, at + 4)))
}

/// Reads the payload's length, and where the mask begins.
fn parse_length(short: usize, bytes: &[u8]) -> Result<Option<(usize, usize)>, Failure> {
    const WASTEFUL: Failure = protocol("a frame's length must be written in the shortest form");
    match short {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => {
                let length = u16::from_be_bytes([a, b]);
                if length < 126 { Err(WASTEFUL) } else { Ok(Some((usize::from(length), 4))) }
            }
            _ => Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|b| <[u8; 8]>::try_from(b).ok()) {
            Some(raw) => match u64::from_be_bytes(raw) {
                0..=0xffff => Err(WASTEFUL),
                length if length >> 63 != 0 => Err(protocol("a frame's length must be below 2^63")),
                length => usize::try_from(length).map(|l| Some((l, 10))).map_err(|_| TOO_LARGE),
            },
            None => Ok(None),
        },
        short => Ok(Some((short, 2))),
    }
}

fn control_event(opcode: u8, payload: Cow<'_, [u8]>) -> Result<Event<'_>, Failure> {
    match opcode {
        9 => Ok(Event::Ping(payload)),
        10 => Ok(Event::Pong),
        _ => close_event(&payload),
    }
}

fn close_event(payload: &[u8]) -> Result<Event<'static>, Failure> {
    match payload {
        [] => Ok(Event::Close { code: None }),
        [_] => Err(protocol("a close frame's body must be empty or begin with a two-byte code")),
        [a, b, reason @ ..] => {
            let code = u16::from_be_bytes([*a, *b]);
            // RFC 6455, 7.4, and the codes registered since; 1004 to 1006 and 1015 are never sent.
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(protocol("a close frame has a status code that is not allowed"));
            }
            if std::str::from_utf8(reason).is_err() {
                return Err(Failure { code: 1007, reason: "the reason of a close frame must be UTF-8" });
            }
            Ok(Event::Close { code: Some(code) })
        }
    }
}

/// Removes the mask, and rotates it by what was done.
fn unmask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let done = bytes.len();
    let [a, b, c, d] = *mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        if let Ok(raw) = <[u8; 8]>::try_from(&*word) {
            word.copy_from_slice(&(u64::from_ne_bytes(raw) ^ wide).to_ne_bytes());
        }
    }
    for (byte, m) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= m;
    }
    mask.rotate_left(done % 4);
}
