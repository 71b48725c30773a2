//! What a connection's requests must look like beyond their shape: numbers of their own, a rate, a few in flight.

use std::sync::{Arc, Mutex};

use metrics_exporter_prometheus::PrometheusBuilder;
use parlance_actors::node::Options;
use serde_json::{Value, json};

use super::bed::{Bed, pass, send};
use super::faults::Twist;

#[tokio::test(start_paused = true)]
async fn a_number_in_flight_gets_one_reply_and_the_second_request_is_pushed_a_fault() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[]).await;
    let mut client = bed.client(1).await;
    bed.store.script([Twist::Slow(50)]);
    let n = client.tell(send(room, "once"));
    let again = |op: Value| json!({"n": n, "op": op["op"], "room": op["room"], "content": op["content"]}).to_string();
    client.receiver.message(&client.link, true, again(send(room, "twice")).as_bytes());
    // One that can't be read is no reply to the first one either.
    client.receiver.message(&client.link, true, json!({"n": n, "op": "room", "room": "x"}).to_string().as_bytes());
    let reply = client.reply(n).await;
    assert_eq!(reply["ok"]["seq"], 2, "{reply}");
    pass(100).await;
    client.drain();
    let faults = client.pushed("fault");
    assert_eq!(faults.len(), 2, "{faults:?}");
    for fault in faults {
        assert_eq!(fault["fault"]["code"], "malformed");
        let detail = fault["fault"]["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("request number {n} is still waiting for its reply")), "{detail}");
    }
    assert_eq!(bed.said(room).await, ["once"]);
    // Once it is answered, the number may be used again.
    client.n = n - 1;
    client.replies.remove(&n);
    client.ask(json!({"op": "ping"})).await;
}

#[tokio::test(start_paused = true)]
async fn hello_tells_the_rate_and_a_refusal_when_to_send_the_next() {
    let bed = Bed::with(Options { commands_per_s: 5, ..Options::default() }).await;
    let mut client = bed.connect(1).await;
    let hello = client.push("hello").await;
    assert_eq!((&hello["requests_per_s"], &hello["credits"]), (&json!(5), &json!(64)), "{hello}");
    let asked: Vec<u64> = (0..6).map(|_| client.tell(json!({"op": "ping"}))).collect();
    let mut refused = Vec::new();
    for n in asked {
        let reply = client.reply(n).await;
        if reply["fault"].is_object() {
            refused.push(reply["fault"].clone());
        }
    }
    assert_eq!(refused.len(), 1, "{refused:?}");
    let wait = refused[0]["retry_after_ms"].as_u64().unwrap();
    let detail = format!("too many requests on this connection: wait {wait} ms before the next one");
    assert_eq!(
        (&refused[0]["code"], &refused[0]["limit"], &refused[0]["detail"]),
        (&json!("rate_limited"), &json!("command_rate"), &json!(detail))
    );
    pass(wait).await;
    client.ask(json!({"op": "ping"})).await;
}

#[test]
fn refused_requests_are_counted_by_their_code() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let bed = Bed::with(Options { commands_per_s: 20, ..Options::default() }).await;
            let mut client = bed.client(1).await;
            assert_eq!(client.refused(json!({"op": "fly"})).await, "unknown_op");
            assert_eq!(client.refused(json!({"op": "room", "room": 77})).await, "not_found");
            assert_eq!(client.refused(json!({"op": "room", "room": 77})).await, "not_found");
            client.receiver.message(&client.link, true, b"nonsense");
            client.push("fault").await;
            let asked: Vec<u64> = (0..30).map(|_| client.tell(json!({"op": "ping"}))).collect();
            for n in asked {
                client.reply(n).await;
            }
        });
    });
    let shown = handle.render();
    let count = |code: &str| {
        let line = format!("parlance_request_faults_total{{code=\"{code}\"}} ");
        shown.lines().find_map(|l| l.strip_prefix(&line)).map_or(0, |n| n.parse::<u64>().unwrap())
    };
    assert_eq!((count("unknown_op"), count("not_found"), count("malformed")), (1, 2, 1), "{shown}");
    assert!((10..=20).contains(&count("rate_limited")), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn what_shows_nothing_is_empty() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[]).await;
    let mut client = bed.client(1).await;
    let message = client.ask(send(room, "Tea")).await["seq"].clone();
    for blank in ["\u{200b}", "\u{2800}", "\u{3164}\u{fe0f}", "\u{202e} \u{feff}"] {
        let part = json!({"type": "code", "text": blank});
        for op in [
            send(room, blank),
            json!({"op": "send", "room": room, "content": {"text": blank, "parts": [part]}}),
            json!({"op": "edit", "room": room, "seq": message, "content": {"text": blank}}),
            json!({"op": "react", "room": room, "seq": message, "emoji": blank}),
            json!({"op": "rename", "room": room, "name": blank}),
            json!({"op": "create", "kind": "group", "name": blank}),
        ] {
            assert_eq!(client.refused(op.clone()).await, "invalid", "{op}");
        }
    }
    for text in ["👩\u{200d}👧", "क\u{94d}\u{200d}ष", "❤\u{fe0f}"] {
        client.ask(send(room, text)).await;
        client.ask(json!({"op": "react", "room": room, "seq": message, "emoji": text})).await;
    }
}

/// What is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn refused_requests_are_logged_in_a_bounded_number_of_lines() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let bed = Bed::new().await;
            let mut clients = Vec::new();
            for id in 1..=30 {
                let mut client = bed.client(id).await;
                for _ in 0..5 {
                    client.refused(json!({"op": "fly"})).await;
                }
                clients.push(client);
            }
            // What has ended by then is in the sum.
            clients.pop().unwrap().leave();
            pass(6_000).await;
        });
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect::<Vec<_>>();
    let own = lines("requests of a connection were refused");
    assert_eq!(own.len(), 16, "{log}");
    assert!(own.iter().all(|line| line.contains("requests=5") && line.contains("code=\"unknown_op\"")), "{own:?}");
    let rest = lines("requests of further connections were refused");
    assert!(rest.len() == 1 && rest[0].contains("connections=14 requests=70"), "{rest:?}");
}
