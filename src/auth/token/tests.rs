//! Access tokens against forgers: each of these is one documented refusal, whatever it tries.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

use super::super::keys;
use super::*;

#[derive(Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn bits(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

const NOW: Millis = 1_790_000_000_500;

fn issue(at: Millis) -> Issue<'static> {
    Issue {
        user: UserId::new(7),
        tenant: TenantId::new(3),
        role: Role::Manager,
        family: Some("f"),
        at,
        valid_after: 0,
        life_s: 1_800,
    }
}

struct Bench {
    dir: tempfile::TempDir,
    ring: KeyRing,
    random: Counting,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let random = Counting::default();
        let ring = KeyRing::open(dir.path(), &random, NOW).unwrap();
        Self { dir, ring, random }
    }

    fn token(&self) -> String {
        sign(&self.ring, &self.random, &issue(NOW)).unwrap().reveal().to_owned()
    }

    fn code(&self, token: &str) -> Code {
        check(&self.ring, token, NOW).unwrap_err().code
    }

    /// A token with this header and these claims, signed with the ring's own key.
    fn own(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.ring.current().signing).unwrap()
    }

    fn header(&self) -> Header {
        Header { kid: Some(self.ring.current().kid.clone()), ..Header::new(Algorithm::HS256) }
    }
}

fn claims() -> Value {
    json!({"iss": "parlance", "sub": "7", "tid": 3, "role": "user", "iat": NOW / 1_000, "exp": NOW / 1_000 + 60,
           "iat_ms": NOW, "jti": "x"})
}

fn raw(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |v: &Value| BASE64.encode(v.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[test]
fn what_was_signed_is_read_back() {
    let bench = Bench::new();
    let checked = check(&bench.ring, &bench.token(), NOW).unwrap();
    let expected = Checked {
        user: UserId::new(7),
        tenant: TenantId::new(3),
        issued_at: NOW,
        expires_at: (NOW / 1_000 + 1_800) * 1_000,
        family: Some("f".into()),
    };
    assert_eq!(checked, expected);
    assert!(check(&bench.ring, &bench.own(&bench.header(), &claims()), NOW).is_ok());
}

#[test]
fn a_token_is_issued_when_it_is_valid() {
    let bench = Bench::new();
    let token = sign(&bench.ring, &bench.random, &Issue { valid_after: NOW + 5, ..issue(NOW) }).unwrap();
    assert_eq!(check(&bench.ring, token.reveal(), NOW).unwrap().issued_at, NOW + 5);
}

#[test]
fn it_expires_to_the_second() {
    let bench = Bench::new();
    let token = bench.token();
    let end = (NOW / 1_000 + 1_800) * 1_000;
    assert!(check(&bench.ring, &token, end - 1).is_ok());
    assert_eq!(check(&bench.ring, &token, end).unwrap_err().code, Code::TokenExpired);
}

#[test]
fn algorithms_other_than_hs256_are_refused() {
    let bench = Bench::new();
    let kid = bench.ring.current().kid.clone();
    for alg in ["none", "None", "NONE", "hs256", "RS256", "ES256", "EdDSA", ""] {
        let header = json!({"alg": alg, "typ": "JWT", "kid": kid});
        for signature in ["", "AAAA"] {
            assert_eq!(bench.code(&raw(&header, &claims(), signature)), Code::Unauthenticated, "alg {alg:?}");
        }
    }
    for alg in [Algorithm::HS384, Algorithm::HS512] {
        let header = Header { alg, ..bench.header() };
        assert_eq!(bench.code(&bench.own(&header, &claims())), Code::Unauthenticated, "{alg:?} with the right key");
    }
}

#[test]
fn other_keys_and_unknown_names_are_refused() {
    let bench = Bench::new();
    let other = EncodingKey::from_secret(&[7; 32]);
    assert_eq!(bench.code(&encode(&bench.header(), &claims(), &other).unwrap()), Code::Unauthenticated);
    for kid in [None, Some(String::new()), Some("../../etc/passwd".into()), Some("AAAAAAAAAAAA".into())] {
        let header = Header { kid: kid.clone(), ..bench.header() };
        assert_eq!(bench.code(&bench.own(&header, &claims())), Code::Unauthenticated, "kid {kid:?}");
    }
}

#[test]
fn claims_that_lack_or_lie_are_refused() {
    let bench = Bench::new();
    let changes = [
        ("iss", json!("someone")),
        ("iss", Value::Null),
        ("sub", json!("0")),
        ("sub", json!("x")),
        ("sub", json!(7)),
        ("sub", json!("9007199254740992")),
        ("tid", json!(0)),
        ("role", json!("emperor")),
        ("exp", json!("soon")),
        ("exp", Value::Null),
        ("iat_ms", json!(-1)),
        ("tid", Value::Null),
    ];
    for (name, value) in changes {
        let mut claims = claims();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
        assert_eq!(bench.code(&bench.own(&bench.header(), &claims)), Code::Unauthenticated, "{name} = {value}");
    }
}

#[test]
fn no_changed_byte_gets_through() {
    let bench = Bench::new();
    let token = bench.token();
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(bytes).unwrap();
        assert_eq!(bench.code(&forged), Code::Unauthenticated, "byte {at}");
    }
    for text in ["", ".", "..", "...", "a.b.c", "\u{0}", &token[1..], &format!("{token}A"), &"x".repeat(1 << 20)] {
        assert_eq!(bench.code(text), Code::Unauthenticated);
    }
}

#[test]
fn a_rotation_is_noticed_at_the_first_token_that_names_the_new_key() {
    let bench = Bench::new();
    let old = bench.token();
    let data: &Path = bench.dir.path();
    let (new, _) = keys::rotate(data, &bench.random, NOW, false).unwrap();
    // Another process signs with it at once.
    let other = KeyRing::open(data, &bench.random, NOW).unwrap();
    let token = sign(&other, &bench.random, &issue(NOW)).unwrap();
    assert_eq!(decode_header(token.reveal()).unwrap().kid, Some(new));
    assert!(check(&bench.ring, token.reveal(), NOW).is_ok());
    assert!(check(&bench.ring, &old, NOW).is_ok());
    keys::rotate(data, &bench.random, NOW, true).unwrap();
    let ring = KeyRing::open(data, &bench.random, NOW).unwrap();
    assert_eq!(check(&ring, &old, NOW).unwrap_err().code, Code::Unauthenticated);
    // A ring that has seen it forgets it with its key.
    bench.ring.latest();
    assert_eq!(check(&bench.ring, &old, NOW).unwrap_err().code, Code::Unauthenticated);
}

#[test]
fn refresh_tokens_have_one_form() {
    let random = Counting::default();
    let first = Refresh::first(&random);
    let read = Refresh::parse(&first.text()).unwrap();
    assert_eq!((&read.family, read.digest()), (&first.family, first.digest()));
    assert_ne!(Refresh::next(&first.family, &random).digest(), first.digest());
    let text = first.text().reveal().to_owned();
    for bad in ["", ".", "a.b", &text[1..], &format!("{text}0"), &text.replace('.', ""), &text.replace('.', ".g")] {
        assert!(Refresh::parse(&Secret::from(bad)).is_err(), "{bad}");
    }
}
