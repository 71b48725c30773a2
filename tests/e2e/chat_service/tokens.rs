//! Who is let in, and as whom.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::{Caller, Socket};
use crate::raw::{Got, How, Raw};
use crate::stage::folder;

const SECRET: &str = "the secret of another service, long enough";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn signed(secret: &str, algorithm: Algorithm, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_service_s_tokens_are_good_on_its_paths_alone() {
    let (_folder, setup) = folder();
    let server =
        setup.clone().variable("SECRET_KEY", SECRET).variable("ACCESS_TOKEN_EXPIRE_MINUTES", "30").start().await;
    let anna = Caller::sign_up(&server, "anna").await;
    let foreign = |subject: Value| signed(SECRET, Algorithm::HS256, &json!({"sub": subject, "exp": now() + 60}));
    // Neither a number that is somebody's id nor a name that is somebody's is taken for them.
    for subject in [json!(anna.id.to_string()), json!(anna.id), json!("anna"), json!("anna@example.org")] {
        let me = Caller::new(&server, &foreign(subject.clone()), 0).get("users/me").await;
        assert_ne!(me["id"], anna.id, "{subject}");
        assert_ne!(me["username"], "anna", "{subject}");
    }
    let zoe = Caller::new(&server, &foreign(json!("zoe")), 0);
    let me = zoe.get("users/me").await;
    assert_eq!((&me["username"], me.get("email")), (&json!("zoe"), Some(&Value::Null)));
    let again = Caller::new(&server, &foreign(json!("zoe")), 0).get("users/me").await;
    assert_eq!(again["id"], me["id"], "the same subject is the same user");
    let chat = zoe.group("hers", &[anna.id]).await;
    let mut socket = zoe.socket(chat).await;
    anna.send(chat, "welcome").await;
    socket.want("new_message").await;
    // The native API doesn't know that secret.
    assert_eq!(server.post("/v1/rooms", &zoe.token, &json!({})).await.0, 401);
    assert_eq!(Raw::connect(server.address(), &zoe.token, How::default()).await.err(), Some(Got::Close(4401)));
    for bad in [
        signed("another secret, which nobody was told", Algorithm::HS256, &json!({"sub": "zoe", "exp": now() + 60})),
        signed(SECRET, Algorithm::HS512, &json!({"sub": "zoe", "exp": now() + 60})),
        signed(SECRET, Algorithm::HS256, &json!({"sub": "zoe", "exp": now() - 60})),
        signed(SECRET, Algorithm::HS256, &json!({"sub": "zoe"})),
        signed(SECRET, Algorithm::HS256, &json!({"sub": "", "exp": now() + 60})),
        signed(SECRET, Algorithm::HS256, &json!({"exp": now() + 60})),
        "no.token.atall".to_owned(),
    ] {
        Caller::new(&server, &bad, 0).want(401, Method::GET, "users/me", None).await;
    }
    // A socket ends with its token.
    let short = signed(SECRET, Algorithm::HS256, &json!({"sub": "zoe", "exp": now() + 3}));
    let mut socket = Caller::new(&server, &short, 0).socket(chat).await;
    assert_eq!(socket.closed().await, 4401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_is_refused_after_it_was_accepted() {
    let (_folder, setup) = folder();
    let server = setup.start().await;
    let (anna, bert) = (Caller::sign_up(&server, "anna").await, Caller::sign_up(&server, "bert").await);
    let chat = anna.group("Kitchen", &[]).await;
    for (rest, code) in [
        (format!("{chat}"), 4401),
        (format!("{chat}?token=nonsense"), 4401),
        (format!("{chat}?token={}", bert.token), 4403),
        (format!("{}?token={}", chat + 1_000, bert.token), 4404),
        (format!("kitchen?token={}", bert.token), 4404),
    ] {
        assert_eq!(Socket::open(server.address(), &rest).await.closed().await, code, "{rest}");
    }
    for (name, value) in [
        ("sec-websocket-protocol", format!("bearer, {}", anna.token)),
        ("authorization", format!("Bearer {}", anna.token)),
    ] {
        let mut request = format!("ws://{}/api/v1/ws/{chat}", server.address()).into_client_request().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        let (_socket, response) = connect_async(request).await.unwrap();
        let echo = response.headers().get("sec-websocket-protocol").map(|echo| echo.to_str().unwrap());
        assert_eq!(echo, Some("bearer").filter(|_| name != "authorization"));
    }
    anna.want(426, Method::GET, &format!("ws/{chat}"), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_are_one_s_own() {
    let (_folder, setup) = folder();
    let server = setup.start().await;
    let (anna, bert) = (Caller::sign_up(&server, "anna").await, Caller::sign_up(&server, "bert").await);
    let taken = json!({"username": "ANNA", "email": "other@example.org", "password": "horse-battery-1"});
    bert.want(409, Method::POST, "users/register", Some(taken)).await;
    let digits = json!({"username": "12345", "email": "other@example.org", "password": "horse-battery-1"});
    bert.want(422, Method::POST, "users/register", Some(digits)).await;
    let form = anna.client.post(format!("http://{}/api/v1/users/login", server.address()));
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let reply =
        form.body("grant_type=password&username=anna%40example.org&password=horse-battery-1").send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let found = bert.get("users/search?q=ann&limit=5").await;
    assert_eq!((&found["total"], &found["items"][0]["id"]), (&json!(1), &json!(anna.id)));
    for shown in [&found["items"][0], &bert.get(&format!("users/{}", anna.id)).await] {
        assert!(shown.get("email").is_none() && !shown.to_string().contains('@'), "{shown}");
    }
    for text in ["example.org", "@", "anna@"] {
        let found = bert.get(&format!("users/search?q={text}")).await;
        assert_eq!(found["total"], 0, "{text}");
    }
    assert_eq!(anna.get("users/me/").await["email"], "anna@example.org");
    let change = json!({"full_name": "Anna Ould", "old_password": "not this", "new_password": "horse-battery-2"});
    anna.want(401, Method::PUT, "users/me", Some(change)).await;
    assert_eq!(anna.get("users/me").await["full_name"], "ANNA", "both or neither");
    let taken =
        json!({"email": "bert@example.org", "old_password": "horse-battery-1", "new_password": "horse-battery-2"});
    anna.want(409, Method::PUT, "users/me", Some(taken)).await;
    anna.want(422, Method::PUT, "users/me", Some(json!({"new_password": "horse-battery-2"}))).await;
    let change =
        json!({"full_name": "Anna Ould", "old_password": "horse-battery-1", "new_password": "horse-battery-2"});
    assert_eq!(anna.want(200, Method::PUT, "users/me", Some(change)).await["full_name"], "Anna Ould");
    let login = |password: &str| Some(json!({"username": "anna", "password": password}));
    anna.want(401, Method::POST, "users/login", login("horse-battery-1")).await;
    anna.want(200, Method::POST, "users/login", login("horse-battery-2")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialect_that_is_off_is_not_there() {
    let (_folder, setup) = folder();
    let server = setup.set("dialects.chat_service.enabled", "false").start().await;
    let (status, body) = server.get("/api/v1/info").await;
    assert_eq!(status, 404);
    assert!(body.contains("unknown_op"), "{body}");
    assert!(!server.get("/openapi.json").await.1.contains("/api/v1/"));
    assert!(connect_async(format!("ws://{}/api/v1/ws/1?token=x", server.address())).await.is_err());
}
