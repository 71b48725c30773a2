//! The settings with those of the dialects: that `cluster.toml` tells the truth, and that the variables which other services
//! documented hold.

use std::collections::BTreeMap;
use std::path::Path;

use config::{File, FileFormat};
use parlance::config::dialects::Spec;
use parlance::config::{Config, Error, FILE, Overrides};
use parlance::dialect;
use serde_json::Value;

fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Config, Error> {
    load_with(toml, environment, &dialect::specs())
}

/// Loads settings for some dialects.
pub fn load_with(toml: &str, environment: &[(&str, &str)], specs: &[Spec]) -> Result<Config, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some.toml");
    std::fs::write(&path, toml).unwrap();
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::load(Some(&path), environment, &Overrides::default(), specs)
}

fn refused(toml: &str, environment: &[(&str, &str)]) -> String {
    load(toml, environment).unwrap_err().to_string()
}

fn cluster_toml() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)).unwrap()
}

/// `cluster.toml` with its settings uncommented: prose lines begin with `##`, settings with `# `.
fn uncommented() -> String {
    let text = cluster_toml();
    let lines = text.lines().filter(|l| !l.starts_with("##"));
    lines.map(|l| l.strip_prefix("# ").unwrap_or(l)).collect::<Vec<_>>().join("\n")
}

fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&name, field, into);
            }
        }
        other => {
            into.insert(prefix.to_owned(), other.to_string());
        }
    }
}

#[test]
fn cluster_toml_names_every_setting_with_its_default() {
    let text = uncommented();
    let defaults = load("", &[]).unwrap();
    assert_eq!(load(&text, &[]).unwrap(), defaults);
    let mut settings = BTreeMap::new();
    let parsed = config::Config::builder().add_source(File::from_str(&text, FileFormat::Toml)).build().unwrap();
    flatten("", &parsed.try_deserialize::<Value>().unwrap(), &mut settings);
    assert_eq!(settings, defaults.listed());
    for spec in dialect::specs() {
        let name = format!("dialects.{}.enabled", spec.name);
        assert_eq!(settings.get(&name).map(String::as_str), Some("true"), "{name}");
    }
}

#[test]
fn cluster_toml_changes_nothing_as_it_is() {
    let text = cluster_toml();
    assert!(text.lines().all(|l| l.is_empty() || l.starts_with('#') || l.starts_with('[')));
    assert_eq!(load(&text, &[]).unwrap(), load("", &[]).unwrap());
}

#[test]
fn the_documented_variables_hold_unless_ours_are_set() {
    let shown = |config: &Config, setting: &str| config.listed()[&format!("dialects.chat_service.{setting}")].clone();
    let secret = |config: &Config| {
        #[derive(serde::Deserialize)]
        struct Secret {
            secret_key: String,
        }
        config.dialects.section("chat_service").read::<Secret>().unwrap().secret_key
    };
    let documented = [
        ("SECRET_KEY", "0123456789"),
        ("ALGORITHM", "HS512"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "45"),
        ("HOST", "0.0.0.0"),
        ("PORT", "8000"),
    ];
    let config = load("[server]\nlisten = '127.0.0.1:1'", &documented).unwrap();
    assert_eq!(secret(&config), "0123456789", "a secret that looks like a number stays as it is");
    assert_eq!(shown(&config, "algorithm"), "\"HS512\"");
    assert_eq!(shown(&config, "access_token_expire_minutes"), "45");
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:8000");
    let listed = format!("{config:?} {:?}", config.listed());
    assert!(!listed.contains("0123456789"), "{listed}");
    let ours = [
        ("PARLANCE_DIALECTS__CHAT_SERVICE__SECRET_KEY", "1e5"),
        ("PARLANCE_DIALECTS__CHAT_SERVICE__ALGORITHM", "HS384"),
        ("PARLANCE_DIALECTS__CHAT_SERVICE__ACCESS_TOKEN_EXPIRE_MINUTES", "5"),
        ("PARLANCE_SERVER__LISTEN", "127.0.0.1:2"),
    ];
    let both: Vec<_> = documented.into_iter().chain(ours).collect();
    let config = load("", &both).unwrap();
    assert_eq!((secret(&config).as_str(), shown(&config, "access_token_expire_minutes").as_str()), ("1e5", "5"));
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:2");
    let port = load("", &[("PORT", "9000"), ("HOST", "")]).unwrap();
    assert_eq!(port.server.listen.to_string(), "127.0.0.1:9000");
}

#[test]
fn a_mistake_in_a_dialect_s_settings_is_named() {
    for (name, value) in [
        ("ALGORITHM", "none"),
        ("ALGORITHM", "RS256"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "soon"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
        ("HOST", "example.org"),
        ("PORT", "70000"),
    ] {
        let error = refused("", &[("SECRET_KEY", "hunter42"), (name, value)]);
        assert!(error.contains(name) && !error.contains("hunter42"), "{error}");
    }
    for (toml, named) in [
        ("[dialects.chat_service]\naccess_token_expire_minutes = 0", "chat_service.access_token_expire_minutes"),
        (
            "[dialects.chat_service]\naccess_token_expire_minutes = 30.7",
            "expire_minutes is '30.7': it must be a whole number",
        ),
        ("[dialects.chat_service]\naccess_token_expire_minutes = -1", "expire_minutes is '-1': it must be 0 or more"),
        ("[dialects.chat_service]\nsecret = 'x'", "dialects.chat_service.secret: there is no setting `secret`"),
        ("[dialects.chat_service]\nenabled = 'perhaps'", "chat_service.enabled: it must be true or false"),
        (
            "[dialects.chat_service]\nalgorithm = 'none'",
            "some.toml: dialects.chat_service.algorithm: it must be one of: HS256",
        ),
        ("[dialects]\nchat_service = true", "some.toml: dialects.chat_service: it must be a section with settings"),
        ("[dialects.chat_service]\nalgorithm = ['HS256']", "chat_service.algorithm: it must be text"),
        ("[dialects.chat_service]\naccess_token_expire_minutes = [5]", "expire_minutes: it must be a whole number"),
        ("[dialects.chatservice]\nenabled = true", "there is no dialect `chatservice`; there are chat_service"),
    ] {
        let error = refused(toml, &[]);
        assert!(error.contains(named), "{toml:?}: {error:?} does not name {named:?}");
    }
}
