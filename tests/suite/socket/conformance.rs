//! RFC 6455 against `/dev/echo`, in the order and by the numbers of Autobahn's cases.

use super::client::*;

/// What a case must come to.
enum Expect {
    /// These frames, then the normal close that the case's last frame asked for.
    Echo(Vec<Frame>),
    /// These frames, then a close with this code, by the server itself.
    Fails(Vec<Frame>, u16),
}

use Expect::{Echo, Fails};

struct Case {
    name: String,
    says: Vec<u8>,
    expect: Expect,
}

fn case(name: impl Into<String>, says: &[Vec<u8>], expect: Expect) -> Case {
    Case { name: name.into(), says: says.concat(), expect }
}

/// Runs each case as one write, and as writes of one byte where it is short enough for that.
async fn check(cases: Vec<Case>) {
    let server = echo_server().await;
    for Case { name, says, expect } in cases {
        for chop in [usize::MAX, 1, 7] {
            if chop < says.len() / 512 {
                continue;
            }
            let mut client = Client::upgrade(&server, "/dev/echo").await;
            let (reader, mut writer) = client.stream.into_split();
            let mut bytes = says.clone();
            let (mut frames, code) = match &expect {
                Echo(frames) => {
                    bytes.extend(close(1000, b"bye"));
                    (frames.clone(), 1000)
                }
                Fails(frames, code) => (frames.clone(), *code),
            };
            let writing = tokio::spawn(async move {
                for piece in bytes.chunks(chop) {
                    // The server may have failed the connection before all was said.
                    if tokio::io::AsyncWriteExt::write_all(&mut writer, piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                writer
            });
            client = Client { stream: reader.reunite(writing.await.unwrap()).unwrap() };
            let mut got = client.frames().await;
            let last = got.pop().unwrap_or_else(|| panic!("{name}, {chop}: no close frame"));
            assert_eq!(last.close_code(), Some(code), "{name}, {chop}: {last:?} after {got:?}");
            frames.retain(|frame| frame.opcode != CLOSE);
            assert!(got == frames, "{name}, {chop}: got {} frames, not {}", got.len(), frames.len());
        }
    }
}

fn txt(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(TEXT, payload)
}

#[tokio::test]
async fn case_1_echoes_of_all_length_encodings() {
    let sizes = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 100_000];
    let echo = |opcode: u8, size: usize| {
        let payload = vec![b'*'; size];
        let name = format!("1.{opcode}: {size} bytes");
        case(name, &[masked(FIN | opcode, &payload)], Echo(vec![Frame::new(opcode, payload)]))
    };
    check(sizes.iter().flat_map(|&size| [echo(TEXT, size), echo(BINARY, size)]).collect()).await;
}

#[tokio::test]
async fn case_2_pings_and_pongs() {
    let ping = |payload: &[u8]| masked(FIN | PING, payload);
    let pong = |payload: &[u8]| Frame::new(PONG, payload);
    let many: Vec<_> = (0..10_u8).map(|i| ping(&[i])).collect();
    check(vec![
        case("2.1 empty", &[ping(b"")], Echo(vec![pong(b"")])),
        case("2.2 text", &[ping(b"Hello, world!")], Echo(vec![pong(b"Hello, world!")])),
        case("2.3 binary", &[ping(&[0, 0xff, 0xfe])], Echo(vec![pong(&[0, 0xff, 0xfe])])),
        case("2.4 125 bytes", &[ping(&[0xfe; 125])], Echo(vec![pong(&[0xfe; 125])])),
        case("2.5 126 bytes", &[ping(&[0xfe; 126])], Fails(vec![], 1002)),
        case("2.7 pong unasked", &[masked(FIN | PONG, b"")], Echo(vec![])),
        case("2.9 pong, then ping", &[masked(FIN | PONG, b"x"), ping(b"y")], Echo(vec![pong(b"y")])),
        case("2.10 ten pings", &many, Echo((0..10_u8).map(|i| pong(&[i])).collect())),
    ])
    .await;
}

#[tokio::test]
async fn case_3_reserved_bits() {
    let mut cases = Vec::new();
    for bits in 1..8_u8 {
        for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
            let says = [text("before"), masked(FIN | bits << 4 | opcode, b"x")];
            cases.push(case(format!("3 bits {bits:03b} on {opcode}"), &says, Fails(vec![txt("before")], 1002)));
        }
    }
    check(cases).await;
}

#[tokio::test]
async fn case_4_reserved_opcodes() {
    let mut cases = Vec::new();
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in [&b""[..], b"x"] {
            let says = [text("before"), masked(FIN | opcode, payload), masked(FIN | PING, b"")];
            cases.push(case(format!("4 opcode {opcode}"), &says, Fails(vec![txt("before")], 1002)));
        }
    }
    check(cases).await;
}

#[tokio::test]
async fn case_5_fragments() {
    let ping = || masked(FIN | PING, b"ping");
    let pong = || Frame::new(PONG, "ping");
    let first = || masked(TEXT, b"frag1");
    let middle = || masked(CONTINUATION, b"frag2");
    let last = || masked(FIN | CONTINUATION, b"frag3");
    check(vec![
        case("5.1 a fragmented ping", &[masked(PING, b"a"), last()], Fails(vec![], 1002)),
        case("5.2 a fragmented pong", &[masked(PONG, b"a"), last()], Fails(vec![], 1002)),
        case("5.3 two fragments", &[first(), last()], Echo(vec![txt("frag1frag3")])),
        case("5.6 a ping between", &[first(), ping(), last()], Echo(vec![pong(), txt("frag1frag3")])),
        case("5.9 nothing to continue", &[last(), text("x")], Fails(vec![], 1002)),
        case("5.12 nothing to continue, unfinished", &[middle(), text("x")], Fails(vec![], 1002)),
        case("5.15 one too many", &[first(), last(), last()], Fails(vec![txt("frag1frag3")], 1002)),
        case("5.18 a text inside", &[first(), text("x")], Fails(vec![], 1002)),
        case("5.18 a binary inside", &[first(), masked(BINARY, b"x")], Fails(vec![], 1002)),
        case(
            "5.19 pings between all",
            &[first(), middle(), ping(), middle(), middle(), ping(), last()],
            Echo(vec![pong(), pong(), txt("frag1frag2frag2frag2frag3")]),
        ),
        case(
            "5.20 binary",
            &[masked(BINARY, &[0xff]), masked(FIN, &[0xfe])],
            Echo(vec![Frame::new(BINARY, [0xff, 0xfe])]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn case_6_utf8_across_fragments() {
    let kosme = "κόσμε";
    let mut cases = vec![
        case("6.1.1 empty", &[text("")], Echo(vec![txt("")])),
        case("6.1.2 empty fragments", &[masked(TEXT, b""), masked(0, b""), masked(FIN, b"")], Echo(vec![txt("")])),
        case(
            "6.1.3 empty around some",
            &[masked(TEXT, b""), masked(0, b"middle"), masked(FIN, b"")],
            Echo(vec![txt("middle")]),
        ),
        case("6.3.1 a surrogate inside", &[masked(FIN | TEXT, b"ab\xed\xa0\x80edited")], Fails(vec![], 1007)),
    ];
    // Each character in a fragment of its own bytes, so that every sequence is split everywhere.
    for sample in [kosme, "\u{10ffff}\u{10000}", "\u{fffd}\u{ffff}", "नमस्ते שלום 👩‍👩‍👧"] {
        let bytes = sample.as_bytes();
        let mut says: Vec<_> = bytes.iter().map(|byte| masked(CONTINUATION, &[*byte])).collect();
        says[0] = masked(TEXT, &bytes[..1]);
        says.push(masked(FIN, b""));
        cases.push(case(format!("6.2 {sample}"), &says, Echo(vec![txt(sample)])));
        cases.push(case(format!("6.5 {sample}"), &[text(sample)], Echo(vec![txt(sample)])));
    }
    let invalid: [&[u8]; 12] = [
        b"\x80",
        b"\xbf",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xf8\x88\x80\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xce\xba\xce",
    ];
    for bytes in invalid {
        let halves = bytes.split_at(bytes.len() / 2);
        let fragments = [masked(TEXT, halves.0), masked(FIN, halves.1)];
        cases.push(case(format!("6.6 {bytes:x?}"), &[masked(FIN | TEXT, bytes)], Fails(vec![], 1007)));
        cases.push(case(format!("6.6 {bytes:x?}, halves"), &fragments, Fails(vec![], 1007)));
        cases.push(case(
            format!("6 {bytes:x?}, binary"),
            &[masked(FIN | BINARY, bytes)],
            Echo(vec![Frame::new(BINARY, bytes)]),
        ));
    }
    check(cases).await;
}

#[tokio::test]
async fn case_6_4_fails_before_the_message_is_whole() {
    let server = echo_server().await;
    let valid = "κόσμε".as_bytes();
    // What is said is never finished; the fault lies in what was said.
    let mut by_fragment = masked(TEXT, valid);
    by_fragment.extend(masked(CONTINUATION, b"\xf4\x90\x80\x80"));
    let mut by_byte = masked(TEXT, &[valid, b"\xf4\x90\x80\x80edited"].concat());
    by_byte.truncate(by_byte.len() - 8);
    for (name, says) in [("fragment", by_fragment), ("byte", by_byte)] {
        let mut client = Client::upgrade(&server, "/dev/echo").await;
        client.say(&says).await;
        let frames = client.frames().await;
        assert_eq!(frames.last().and_then(Frame::close_code), Some(1007), "by {name}: {frames:?}");
    }
}

#[tokio::test]
async fn case_7_close_codes() {
    let mut cases = vec![
        case("7.1.1 messages, then close", &[text("hello")], Echo(vec![txt("hello")])),
        case("7.3.1 empty", &[masked(FIN | CLOSE, b"")], Fails(vec![], 1000)),
        case("7.3.2 one byte", &[masked(FIN | CLOSE, b"x")], Fails(vec![], 1002)),
        case("7.3.5 the longest reason", &[close(1000, &[b'*'; 123])], Fails(vec![], 1000)),
        case("7.3.6 a reason too long", &[close(1000, &[b'*'; 124])], Fails(vec![], 1002)),
        case("7.5.1 a reason that is not UTF-8", &[close(1000, b"\xce\xba\xed\xa0\x80")], Fails(vec![], 1007)),
        case("7.1.3 a ping after close", &[close(1001, b""), masked(FIN | PING, b"")], Fails(vec![], 1001)),
        case("7.1.4 a message after close", &[close(1001, b""), text("late")], Fails(vec![], 1001)),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        cases.push(case(format!("7.7 {code}"), &[close(code, b"")], Fails(vec![], code)));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(case(format!("7.9 {code}"), &[close(code, b"")], Fails(vec![], 1002)));
    }
    check(cases).await;
}

#[tokio::test]
async fn frames_that_break_the_framing() {
    let mut unmasked = masked(FIN | TEXT, b"x");
    unmasked[1] &= 0x7f;
    let wasteful_16 = [&[FIN | TEXT, 0x80 | 126, 0, 125, 1, 2, 3, 4][..], &[0; 125]].concat();
    let wasteful_64 = [&[FIN | TEXT, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4][..], &[0; 200]].concat();
    let negative = vec![FIN | BINARY, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    let enormous = vec![FIN | BINARY, 0x80 | 127, 0x7f, 0xff, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    check(vec![
        case("not masked", &[unmasked], Fails(vec![], 1002)),
        case("16 bits for a short length", &[wasteful_16], Fails(vec![], 1002)),
        case("64 bits for a middling length", &[wasteful_64], Fails(vec![], 1002)),
        case("a length of 64 bits", &[negative], Fails(vec![], 1002)),
        case("an exbibyte", &[enormous], Fails(vec![], 1009)),
    ])
    .await;
}

#[tokio::test]
async fn case_9_large_messages_whole_and_in_fragments() {
    let server = echo_server().await;
    for (size, fragment) in [(1 << 20, 1 << 20), (16 << 20, 16 << 20), (1 << 20, 64), (4 << 20, 4096)] {
        let payload: Vec<u8> = (0..size).map(|i: usize| (i % 251) as u8).collect();
        let mut says = Vec::new();
        for (i, piece) in payload.chunks(fragment).enumerate() {
            let opcode = if i == 0 { BINARY } else { CONTINUATION };
            let fin = if (i + 1) * fragment >= size { FIN } else { 0 };
            says.extend(masked(fin | opcode, piece));
        }
        let mut client = Client::upgrade(&server, "/dev/echo").await;
        client.say(&says).await;
        let echo = client.frame().await.unwrap();
        assert!(echo == Frame::new(BINARY, payload), "{size} bytes in fragments of {fragment}");
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_at_its_header() {
    let server = echo_server().await;
    let mut client = Client::upgrade(&server, "/dev/echo").await;
    let mut header = vec![FIN | BINARY, 0x80 | 127];
    header.extend((parlance::gateway::echo::ECHO_BYTES_MAX as u64 + 1).to_be_bytes());
    header.extend([1, 2, 3, 4]);
    client.say(&header).await;
    assert_eq!(client.frame().await.unwrap().close_code(), Some(1009));
}

#[tokio::test]
async fn a_flood_of_fragments_is_bounded() {
    let server = serve_receiver(|_| parlance::gateway::echo::Echo).await;
    let full = vec![b'x'; 1024];
    let floods = [
        ("empty", masked(CONTINUATION, b""), 1008, 200_000),
        ("one byte", masked(CONTINUATION, b"x"), 1009, 200_000),
        ("a kibibyte", masked(CONTINUATION, &full), 1009, 200),
    ];
    for (name, fragment, code, count) in floods {
        let mut client = Client::upgrade(&server, "/").await;
        client.say(&masked(TEXT, b"begin")).await;
        let (mut reader, mut writer) = client.stream.into_split();
        let flood = tokio::spawn(async move {
            let bytes = fragment.repeat(count);
            // The server stops reading at some point; how far this gets is its business.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut writer, &bytes).await;
            writer
        });
        let mut head = [0; 4];
        tokio::io::AsyncReadExt::read_exact(&mut reader, &mut head).await.unwrap();
        assert_eq!(head[0], FIN | CLOSE, "{name}");
        assert_eq!(u16::from_be_bytes([head[2], head[3]]), code, "{name}");
        drop(reader);
        flood.await.unwrap();
    }
}
