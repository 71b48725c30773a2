//! The front door, static files and Swagger UI.

use serde_json::json;

use super::{Gate, fault};

#[tokio::test]
async fn the_front_door_is_json_for_those_who_ask_for_no_page() {
    let gate = Gate::new().await;
    let version = env!("CARGO_PKG_VERSION");
    let server = json!({"status": "Working", "name": "parlance", "version": version, "docs": "/docs"});
    for accept in ["", "*/*", "application/json"] {
        let got = gate.send_with("GET", "/", None, &[("accept", accept)]).await;
        assert_eq!((got.status, got.json()), (200, server.clone()), "{accept}");
        assert_eq!(got.header("vary"), "Accept");
    }
}

#[tokio::test]
async fn browsers_get_the_page() {
    let gate = Gate::new().await;
    for accept in ["text/html", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"] {
        let got = gate.send_with("GET", "/?room=12", None, &[("accept", accept)]).await;
        assert_eq!((got.status, got.header("content-type")), (200, "text/html; charset=utf-8"));
        assert!(got.body.starts_with(b"<!doctype html>") || got.body.starts_with(b"<!DOCTYPE html>"));
        assert_eq!(got.header("vary"), "Accept");
        strict(got.header("content-security-policy"));
    }
}

fn strict(policy: &str) {
    for part in ["default-src 'self'", "frame-ancestors 'none'", "object-src 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe-eval") && !policy.contains("http"), "{policy}");
    assert!(!policy.contains("script-src"), "scripts fall under default-src: {policy}");
}

#[tokio::test]
async fn static_files_have_tags_and_types() {
    let gate = Gate::new().await;
    let got = gate.send_with("GET", "/robots.txt", None, &[]).await;
    assert_eq!((got.status, got.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert_eq!(got.header("cache-control"), "no-cache");
    strict(got.header("content-security-policy"));
    let tag = got.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 34, "{tag}");
    for same in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let again = gate.send_with("GET", "/robots.txt", None, &[("if-none-match", &same)]).await;
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, tag.as_str()), "{same}");
    }
    let other = gate.send_with("GET", "/robots.txt", None, &[("if-none-match", "\"other\"")]).await;
    assert_eq!((other.status, &other.body), (200, &got.body));
}

#[tokio::test]
async fn nothing_outside_the_folder_is_served() {
    let gate = Gate::new().await;
    for path in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/js/../../Cargo.toml", "/docs/../robots.txt", "/js", "/js/"] {
        let got = gate.send_with("GET", path, None, &[]).await;
        assert_eq!(fault(&got, 404, path).0, "unknown_op", "{path}");
    }
}

#[tokio::test]
async fn redoc_needs_no_outside_host() {
    let gate = Gate::new().await;
    let page = gate.send_with("GET", "/redoc", None, &[]).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    strict(page.header("content-security-policy"));
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    let parts: Vec<_> = html.split('"').filter(|p| p.ends_with(".js") || p.ends_with(".css")).collect();
    assert_eq!(parts.len(), 3, "{html}");
    for part in parts {
        assert!(part.starts_with("/redoc/"), "{part}");
        let file = gate.send_with("GET", part, None, &[]).await;
        assert_eq!(file.status, 200, "{part}");
        strict(file.header("content-security-policy"));
    }
    assert_eq!(gate.send_with("GET", "/redoc/nothing.js", None, &[]).await.status, 404);
}

#[tokio::test]
async fn swagger_ui_needs_no_outside_host() {
    let gate = Gate::new().await;
    let got = gate.send_with("GET", "/docs", None, &[]).await;
    assert_eq!((got.status, got.header("location")), (308, "/docs/"));
    let got = gate.send_with("GET", "/chat/docs", None, &[]).await;
    assert_eq!((got.status, got.header("location")), (308, "/docs/#/bizosaas"), "the same page, opened at a tag");
    let page = gate.send_with("GET", "/docs/", None, &[]).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html"));
    strict(page.header("content-security-policy"));
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    for part in html.split(['"', '\'']).filter(|p| p.ends_with(".js") || p.ends_with(".css")) {
        assert!(!part.contains("//"), "{part}");
        let file = gate.send_with("GET", &format!("/docs/{}", part.trim_start_matches("./")), None, &[]).await;
        assert_eq!(file.status, 200, "{part}");
        assert!(!file.header("etag").is_empty());
    }
    let config = gate.send_with("GET", "/docs/swagger-initializer.js", None, &[]).await;
    let config = String::from_utf8(config.body.to_vec()).unwrap();
    assert!(config.contains("/openapi.json") && config.contains("\"validatorUrl\": \"none\""), "{config}");
    assert_eq!(gate.send_with("GET", "/docs/nothing.js", None, &[]).await.status, 404);
}
