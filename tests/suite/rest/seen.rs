//! What logs and metrics see of a request: the pattern, never the values.

use std::io::Write;
use std::sync::{Arc, Mutex};

use metrics_exporter_prometheus::PrometheusBuilder;
use parlance_schema::Fault;

use super::Gate;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn logs_name_the_pattern_and_hold_no_secrets() {
    let lines = Lines::default();
    let writer = lines.clone();
    // With a single subscriber `tracing` asks the thread that comes by first whether anybody listens, and remembers a no
    // from a test that has none. With two it asks the subscribers.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish());
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let logging = tracing::subscriber::set_default(subscriber);
    let gate = Gate::new().await;
    let token = gate.bearer("user");
    let headers = [("authorization", token.as_str()), ("x-request-id", "id-77"), ("idempotency-key", "geheim-key")];
    let body = Some(r#"{"content": {"text": "geheim-text"}}"#);
    gate.send_with("POST", "/v1/rooms/991199/messages", body, &headers).await;
    gate.send_with("GET", "/v1/users?q=geheim-query", None, &headers).await;
    gate.send_with("GET", "/geheim-path", None, &headers).await;
    gate.node.tell(Err(Fault::internal("it broke")));
    gate.send_with("GET", "/v1/rooms", None, &headers).await;
    drop(logging);

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let answered: Vec<_> = text.lines().filter(|line| line.contains("answered")).collect();
    assert_eq!(answered.len(), 4, "{text}");
    let post = answered[0];
    for part in ["id=id-77", "method=\"POST\"", "route=\"/v1/rooms/{room}/messages\"", "status=201", "ms="] {
        assert!(post.contains(part), "{part}: {post}");
    }
    assert!(answered[2].contains("route=\"static\"") && answered[2].contains("status=404"), "{}", answered[2]);
    assert!(answered[3].contains("WARN") && answered[3].contains("status=500"), "{}", answered[3]);
    for secret in ["geheim", "991199", token.strip_prefix("Bearer ").unwrap()] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn metrics_count_by_pattern_method_and_status() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let counting = metrics::set_default_local_recorder(&recorder);
    let gate = Gate::new().await;
    for path in ["/v1/rooms/12", "/v1/rooms/13", "/nothing", "/else"] {
        gate.send("GET", path, None).await;
    }
    gate.send("BREW", "/v1/rooms", None).await;
    gate.send("STEEP", "/v1/rooms", None).await;
    drop(counting);

    let text = recorder.handle().render();
    for line in [
        "parlance_http_requests_total{route=\"/v1/rooms/{room}\",method=\"GET\",status=\"200\"} 2",
        "parlance_http_requests_total{route=\"static\",method=\"GET\",status=\"404\"} 2",
        "parlance_http_requests_total{route=\"/v1/rooms\",method=\"other\",status=\"405\"} 2",
        "parlance_http_request_seconds_count{route=\"/v1/rooms/{room}\",method=\"GET\"} 2",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(!text.contains("BREW") && !text.contains("nothing"), "{text}");
}
