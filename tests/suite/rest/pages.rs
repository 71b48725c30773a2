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
        assert_eq!(got.header("vary"), "Accept, Accept-Encoding");
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

/// What a compressed body says.
fn unpacked(encoding: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match encoding {
        "gzip" => std::io::copy(&mut flate2::read::GzDecoder::new(body), &mut out).map(drop).unwrap(),
        "br" => brotli::BrotliDecompress(&mut &body[..], &mut out).unwrap(),
        _ => out.extend_from_slice(body),
    }
    out
}

#[tokio::test]
async fn pages_are_compressed_as_the_client_prefers() {
    let gate = Gate::new().await;
    let files = [
        "/",
        "/app.css",
        "/js/main.js",
        "/icon.svg",
        "/openapi.json",
        "/redoc/redoc.standalone.js",
        "/docs/swagger-ui-bundle.js",
    ];
    for path in files {
        let get = async |accept: &str| {
            gate.send_with("GET", path, None, &[("accept-encoding", accept), ("accept", "text/html")]).await
        };
        let plain = get("").await;
        assert_eq!((plain.status, plain.header("content-encoding")), (200, ""), "{path}");
        for (accept, encoding) in
            [("gzip, deflate, br, zstd", "br"), ("gzip", "gzip"), ("br;q=0, *;q=0.3", "gzip"), ("br;q=0, gzip;q=0", "")]
        {
            let got = get(accept).await;
            assert_eq!((got.status, got.header("content-encoding")), (200, encoding), "{path} {accept}");
            assert!(got.header("vary").ends_with("Accept-Encoding"), "{path}: {}", got.header("vary"));
            assert_eq!(got.header("content-type"), plain.header("content-type"), "{path}");
            assert!(unpacked(encoding, &got.body) == plain.body, "{path} {accept} says something else");
            assert!(encoding.is_empty() || got.body.len() < plain.body.len(), "{path} {accept}: {}", got.body.len());
        }
    }
}

#[tokio::test]
async fn each_form_has_a_tag_of_its_own() {
    let gate = Gate::new().await;
    let forms = ["", "gzip", "br"];
    let mut tags = Vec::new();
    for form in forms {
        let got = gate.send_with("GET", "/app.css", None, &[("accept-encoding", form)]).await;
        tags.push(got.header("etag").to_owned());
    }
    for (asked, form) in forms.iter().enumerate() {
        for (known, tag) in tags.iter().enumerate() {
            let headers = [("accept-encoding", *form), ("if-none-match", tag.as_str())];
            let got = gate.send_with("GET", "/app.css", None, &headers).await;
            let expected = if asked == known { 304 } else { 200 };
            assert_eq!(
                (got.status, got.header("etag"), got.header("vary")),
                (expected, tags[asked].as_str(), "Accept-Encoding")
            );
            assert_eq!(got.header("cache-control"), "no-cache");
        }
    }
}

#[tokio::test]
async fn answers_of_the_api_are_never_compressed() {
    let gate = Gate::new().await;
    for path in ["/v1/me", "/v1/rooms", "/health", "/v1/users?q=user", "/v1/nothing"] {
        let token = gate.bearer("user");
        let headers = [("accept-encoding", "gzip, br"), ("authorization", token.as_str())];
        let got = gate.send_with("GET", path, None, &headers).await;
        assert_eq!(got.header("content-encoding"), "", "{path}");
    }
}

#[tokio::test]
async fn the_page_comes_with_all_its_modules_in_one_script() {
    let gate = Gate::new().await;
    let script = gate.send_with("GET", "/js/main.js", None, &[]).await;
    let script = String::from_utf8(script.body.to_vec()).unwrap();
    assert!(!script.lines().any(|line| line.starts_with("import ") || line.starts_with("export ")));
    assert!(script.contains("// js/socket.js\n"));
    let module = gate.send_with("GET", "/js/socket.js", None, &[]).await;
    assert!(module.body.windows(7).any(|part| part == b"export "), "a module by itself is as it was written");
}

#[tokio::test]
async fn browsers_are_told_in_a_page_that_nothing_is_there() {
    let gate = Gate::new().await;
    for path in ["/nothing", "/docs/nothing.js", "/js/"] {
        let headers = [("accept", "text/html,*/*;q=0.8"), ("accept-encoding", "br"), ("if-none-match", "*")];
        let got = gate.send_with("GET", path, None, &headers).await;
        assert_eq!((got.status, got.header("content-type")), (404, "text/html; charset=utf-8"), "{path}");
        assert_eq!((got.header("cache-control"), got.header("etag")), ("no-store", ""));
        assert_eq!(got.header("vary"), "Accept, Accept-Encoding");
        strict(got.header("content-security-policy"));
        let page = String::from_utf8(unpacked(got.header("content-encoding"), &got.body)).unwrap();
        assert!(page.contains("There is nothing at this address"), "{page}");
        let got = gate.send_with("GET", path, None, &[("accept", "application/json")]).await;
        assert_eq!(fault(&got, 404, path).0, "unknown_op", "{path}");
    }
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
async fn documentation_is_found_with_a_slash_at_the_end_too() {
    let gate = Gate::new().await;
    for (path, to) in [("/redoc/", "/redoc"), ("/chat/docs/", "/docs/#/chat-service")] {
        let got = gate.send_with("GET", path, None, &[("accept", "text/html")]).await;
        assert_eq!((got.status, got.header("location")), (308, to), "{path}");
    }
    assert_eq!(gate.send_with("GET", "/redoc//", None, &[]).await.status, 404);
}

#[tokio::test]
async fn browsers_may_style_what_is_no_page() {
    let gate = Gate::new().await;
    for path in ["/robots.txt", "/app.css", "/js/main.js", "/icon.svg", "/metrics", "/openapi.json", "/health"] {
        let got = gate.send_with("GET", path, None, &[]).await;
        let policy = got.header("content-security-policy");
        assert!(policy.contains("style-src") && policy.contains("'unsafe-inline'"), "{path}: {policy}");
        assert!(!policy.contains("script-src"), "{path}: {policy}");
    }
    for path in ["/", "/nothing"] {
        let got = gate.send_with("GET", path, None, &[("accept", "text/html")]).await;
        assert!(!got.header("content-security-policy").contains("unsafe"), "{path}");
    }
}

#[tokio::test]
async fn swagger_ui_needs_no_outside_host() {
    let gate = Gate::new().await;
    let got = gate.send_with("GET", "/docs", None, &[]).await;
    assert_eq!((got.status, got.header("location")), (308, "/docs/"));
    let got = gate.send_with("GET", "/chat/docs", None, &[]).await;
    assert_eq!((got.status, got.header("location")), (308, "/docs/#/chat-service"), "the same page, opened at a tag");
    let document = gate.send_with("GET", "/openapi.json", None, &[]).await;
    let document: serde_json::Value = serde_json::from_slice(&document.body).unwrap();
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().filter_map(|tag| tag["name"].as_str()).collect();
    assert!(tags.contains(&"chat-service"), "{tags:?}");
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
    // A page for OAuth, which isn't there, with a script that the policy refuses.
    assert_eq!(gate.send_with("GET", "/docs/oauth2-redirect.html", None, &[]).await.status, 404);
    let config = gate.send_with("GET", "/docs/swagger-initializer.js", None, &[]).await;
    let config = String::from_utf8(config.body.to_vec()).unwrap();
    assert!(config.contains("/openapi.json") && config.contains("\"validatorUrl\": \"none\""), "{config}");
    assert_eq!(gate.send_with("GET", "/docs/nothing.js", None, &[]).await.status, 404);
}
