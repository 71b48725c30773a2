//! The OpenAPI document is complete, and what the server answers is what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex};

use jsonschema::Validator;
use parlance::api::dialect::Mounted;
use parlance::api::error_response::ErrorStyle;
use parlance::api::route::Action;
use parlance::gateway::rest;
use serde_json::{Value, json};

use super::{DOCUMENT, Gate, Got, all_dialects};

/// Validators by the schema's place in the document.
static VALIDATORS: LazyLock<Mutex<BTreeMap<String, Validator>>> = LazyLock::new(Mutex::default);

/// Checks a response against the document: its path, status, type and body must be described.
pub fn check(method: &str, path: &str, got: &Got) {
    let path = path.split('?').next().unwrap();
    let Some((pattern, item)) = operations(path) else { return };
    let verb = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
    let Some(operation) = item.get(&verb) else {
        assert_eq!(got.status, 405, "{method} {pattern}");
        return;
    };
    let place = format!("{method} {pattern} {}", got.status);
    let response = operation["responses"].get(got.status.to_string());
    let response = response.unwrap_or_else(|| panic!("{place} is not documented: {:?}", got.body));
    let Some(content) = response.get("content").filter(|_| method != "HEAD") else {
        assert!(got.body.is_empty(), "{place}: {:?}", got.body);
        return;
    };
    let mime = got.header("content-type").split(';').next().unwrap();
    let media = content.get(mime).unwrap_or_else(|| panic!("{place}: {mime} is not documented"));
    if let Some(schema) = media.get("schema") {
        validate(&place, schema, &got.json());
    }
}

/// The document's entry for a path: the one with the most literal segments.
fn operations(path: &str) -> Option<(&'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let fits = |pattern: &str| {
        let (a, b): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
        a.len() == b.len() && a.iter().zip(&b).all(|(p, g)| p == g || (p.starts_with('{') && !g.is_empty()))
    };
    let found = paths.iter().filter(|(pattern, _)| fits(pattern)).min_by_key(|(p, _)| p.matches('{').count());
    found.map(|(pattern, item)| (pattern.as_str(), item))
}

fn validate(place: &str, schema: &Value, body: &Value) {
    let key = schema.to_string();
    let mut validators = VALIDATORS.lock().unwrap();
    let validator = validators.entry(key).or_insert_with(|| {
        let mut whole = schema.clone();
        whole["components"] = DOCUMENT["components"].clone();
        jsonschema::draft202012::new(&whole).unwrap_or_else(|error| panic!("{place}: {error}"))
    });
    let errors: Vec<_> = validator.iter_errors(body).map(|e| format!("{} at {}", e, e.instance_path())).collect();
    drop(validators);
    assert!(errors.is_empty(), "{place}: {errors:?} in {body}");
}

/// Our routes, and those of the dialects.
fn all() -> Vec<Mounted> {
    rest::mounted().chain(all_dialects().routes()).collect()
}

fn in_table() -> BTreeSet<(String, String)> {
    all().iter().map(|r| (r.route.verb.word().to_lowercase(), r.route.path.to_owned())).collect()
}

#[test]
fn table_and_document_name_the_same_routes() {
    let mut documented = BTreeSet::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        documented.extend(item.as_object().unwrap().keys().map(|verb| (verb.clone(), path.clone())));
    }
    assert_eq!(documented, in_table());
    assert_eq!(all().len(), documented.len(), "a route is there twice");
}

#[test]
fn every_route_is_described() {
    let mut ids = BTreeSet::new();
    let tags: BTreeSet<_> = DOCUMENT["tags"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
    for mounted in all() {
        let route = mounted.route;
        let place = format!("{} {}", route.verb.word(), route.path);
        assert!(ids.insert(route.id), "{place}: {} is there twice", route.id);
        assert!(tags.contains(mounted.tag()), "{place}: tag {:?}", mounted.tag());
        assert!(route.about.ends_with('.') && route.about.len() > 10, "{place}");
        assert!(!route.answers.is_empty(), "{place} has no good answer");
        described(&mounted, &place);
    }
}

fn described(mounted: &Mounted, place: &str) {
    let route = mounted.route;
    let operation = &DOCUMENT["paths"][route.path][route.verb.word().to_lowercase()];
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let names: Vec<_> = parameters.iter().map(|p| p["name"].as_str().unwrap()).collect();
    for query in route.query {
        let parameter = parameters.iter().find(|p| p["name"] == query.name).unwrap();
        assert_eq!(parameter["required"], json!(query.required), "{place}: {}", query.name);
    }
    for name in route.params().chain(route.query.iter().map(|q| q.name)) {
        assert!(names.contains(&name), "{place}: {name}");
    }
    assert!(parameters.iter().all(|p| p["description"].as_str().is_some_and(|d| d.len() > 3)), "{place}");
    for (status, response) in operation["responses"].as_object().unwrap() {
        assert!(!response["description"].as_str().unwrap().is_empty(), "{place} {status}");
        let is_fault = status.starts_with('4') || status == "500";
        let schema = &response["content"]["application/json"]["schema"]["$ref"];
        let name = match mounted.errors() {
            ErrorStyle::Native => "Fault",
            ErrorStyle::Detail if status == "422" => "Details",
            ErrorStyle::Detail => "Detail",
        };
        assert!(!is_fault || *schema == format!("#/components/schemas/{name}"), "{place} {status}: {response}");
    }
    let locked = !matches!(route.access, parlance::api::route::Access::Public);
    assert_eq!(operation["security"] == json!([{"bearer": []}]), locked, "{place}");
    assert_eq!(operation["responses"].get("401").is_some(), locked || route.tag == "auth" || route.form, "{place}");
    if let Some(body) = route.body {
        let content = &operation["requestBody"]["content"]["application/json"];
        assert!(content["schema"]["$ref"].is_string(), "{place}");
        assert!(body.optional || content["example"].is_object(), "{place} has no example");
        if content["example"].is_object() {
            validate(place, &content["schema"], &content["example"]);
        }
    }
    let changes = matches!(route.action, Action::Op(_)) && route.verb.word() != "GET";
    assert!(changes || !route.keyed || mounted.serving.is_some(), "{place} takes a key for nothing");
}

#[test]
fn every_reference_leads_somewhere_and_every_field_is_described() {
    let schemas = DOCUMENT["components"]["schemas"].as_object().unwrap();
    let mut open = vec![&*DOCUMENT];
    let mut seen = BTreeSet::new();
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(to)) = fields.get("$ref") {
                    let name = to.strip_prefix("#/components/schemas/").expect("a schema of the document");
                    assert!(schemas.contains_key(name), "{name} is not there");
                    seen.insert(name);
                }
                open.extend(fields.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    for (name, schema) in schemas {
        assert!(seen.contains(name.as_str()), "{name} is used nowhere");
        assert!(name.starts_with(char::is_uppercase) && name != "BTreeMap", "{name} is no type of the vocabulary");
        for (field, what) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let described = what.get("description").is_some() || what.to_string().contains("description");
            assert!(described, "{name}.{field} has no description: {what}");
        }
    }
    for private in ["Op", "Answer", "Principal"] {
        assert!(!schemas.contains_key(private));
    }
}

#[test]
fn bodies_say_that_unknown_fields_are_refused() {
    for route in rest::routes() {
        let Some(body) = route.body else { continue };
        let schema = &DOCUMENT["components"]["schemas"][&*(body.shape.name)()];
        assert_eq!(schema["additionalProperties"], json!(false), "{}: {schema}", route.path);
    }
}

#[test]
fn aliases_are_plain_and_parts_are_closed() {
    let schemas = &DOCUMENT["components"]["schemas"];
    let seq = &schemas["Done"]["properties"]["seq"];
    assert_eq!((&seq["type"], &seq["minimum"]), (&json!("integer"), &json!(0)), "{seq}");
    assert_eq!(seq["description"], "The number of the entry that did it.");
    let meta = &schemas["NewMessage"]["properties"]["meta"];
    assert_eq!(meta["additionalProperties"]["type"], "string", "{meta}");
    let change = schemas["RoomChange"]["properties"].to_string();
    assert!(!change.contains("null"), "a change to nothing is refused: {change}");
    let parts = schemas["Part"]["oneOf"].as_array().unwrap();
    assert_eq!(parts.len(), 4);
    assert!(parts.iter().all(|part| part["additionalProperties"] == json!(false)), "{parts:?}");
}

#[tokio::test]
async fn document_is_served_as_openapi_3_1() {
    let got = Gate::new().await.send_with("GET", "/openapi.json", None, &[]).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.json(), *DOCUMENT);
    assert!(DOCUMENT["openapi"].as_str().unwrap().starts_with("3.1."));
    let again =
        Gate::new().await.send_with("GET", "/openapi.json", None, &[("if-none-match", got.header("etag"))]).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
}
