//! Where settings come from, and who wins.

use std::path::Path;

use super::*;

fn load(toml: &str, environment: &[(&str, &str)], overrides: &Overrides) -> Result<Config, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some.toml");
    std::fs::write(&path, toml).unwrap();
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::load(Some(&path), environment, overrides, &[])
}

fn refused(toml: &str, environment: &[(&str, &str)]) -> String {
    load(toml, environment, &Overrides::default()).unwrap_err().to_string()
}

#[test]
fn without_anything_the_defaults_hold() {
    assert_eq!(load("", &[], &Overrides::default()).unwrap(), Config::default());
    Config::default().check().unwrap();
}

#[test]
fn the_environment_wins_over_the_file_and_the_command_line_over_both() {
    let toml = "[server]\nlisten = '127.0.0.1:1'\ndev_echo = false\n[data]\ndir = 'file'\n[auth]\naccess_token_s = 60";
    let environment = [
        ("PARLANCE_SERVER__LISTEN", "127.0.0.1:2"),
        ("PARLANCE_DATA__DIR", "123"),
        ("PARLANCE_AUTH__ARGON2__MEMORY_KIB", "64"),
        ("PARLANCE_AUTH__REGISTRATION", "closed"),
        ("PARLANCE_SERVER__DEV_ECHO", "true"),
        ("PARLANCE_CONFIG", "elsewhere.toml"),
        ("PARLANCE_DEV_ANYTHING", "no setting"),
        ("HOME", "/root"),
    ];
    let config = load(toml, &environment, &Overrides::default()).unwrap();
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(config.data.dir, Path::new("123"));
    assert_eq!(config.auth.argon2.memory_kib, 64);
    assert_eq!(config.auth.registration, Registration::Closed);
    assert_eq!(config.auth.access_token_s, 60);
    assert!(config.server.dev_echo);
    let overrides =
        Overrides { listen: Some(([127, 0, 0, 1], 3).into()), data: Some("cli".into()), ..Overrides::default() };
    let config = load(toml, &environment, &overrides).unwrap();
    assert_eq!((config.server.listen.port(), config.data.dir.as_path()), (3, Path::new("cli")));
}

#[test]
fn lists_can_be_variables() {
    let environment = [
        ("PARLANCE_GATEWAY__HOSTS", "chat.example.org, *.example.org"),
        ("PARLANCE_GATEWAY__ORIGINS", ""),
        ("PARLANCE_GATEWAY__PROXIES", "10.0.0.1"),
        ("PARLANCE_STORE__SCYLLA__NODES", "one:9042, two:9042"),
        ("PARLANCE_STORE__SCYLLA__PASSWORD", "1e5"),
        ("PARLANCE_LOG__FILTER", "warn,parlance=debug"),
    ];
    let config = load("[gateway]\norigins = ['*']", &environment, &Overrides::default()).unwrap();
    assert_eq!(config.gateway.hosts, ["chat.example.org", "*.example.org"]);
    assert_eq!((config.gateway.origins.len(), config.gateway.proxies.len()), (0, 1));
    assert_eq!(config.store.scylla.nodes, ["one:9042", "two:9042"]);
    assert_eq!(config.store.scylla.password.reveal(), "1e5", "a secret that looks like a number stays as it is");
    assert!(!format!("{:?}", config.listed()).contains("1e5"));
    assert_eq!(config.log.filter, "warn,parlance=debug", "what is no list keeps its commas");
}

#[test]
fn mistakes_are_named() {
    for (toml, environment, named) in [
        ("[server]\nlisen = 'x'", &[][..], "lisen"),
        ("[sever]\nlisten = 'x'", &[], "sever"),
        ("[server]\nlisten = 'nowhere'", &[], "listen"),
        ("[auth]\nregistration = 'ajar'", &[], "registration"),
        ("[auth]\naccess_token_s = -5", &[], "access_token_s"),
        ("[auth]\naccess_token_s = 1", &[], "auth.access_token_s"),
        ("[auth]\nrefresh_token_s = 60", &[], "auth.refresh_token_s"),
        ("[auth.argon2]\nmemory_kib = 1", &[], "auth.argon2.memory_kib"),
        ("[limits]\nheartbeat_ms = 60000", &[], "limits.silence_ms"),
        ("[limits]\ncommands_per_s = 2000000", &[], "limits.commands_per_s"),
        ("[log]\nfilter = 'a=b=c'", &[], "log.filter"),
        ("[server]\npublic_url = 'example.org'", &[], "server.public_url"),
        ("[gateway]\norigins = ['example.org']", &[], "gateway.origins"),
        ("[gateway]\nhosts = ['https://example.org']", &[], "gateway.hosts"),
        ("[gateway]\nproxies = ['10.0.0.0/40']", &[], "gateway.proxies"),
        ("[gateway]\nproxy_protocol = true", &[], "gateway.proxy_protocol"),
        ("[rates]\naddress_burst = 5", &[], "rates.address_burst"),
        ("[tls]\ncertificate = 'chain.pem'", &[], "tls.key"),
        ("[cluster]\nname = 'a.b'", &[], "cluster.name"),
        ("[cluster]\nnode = 'a b'", &[], "cluster.node"),
        ("[cluster]\nlease_ms = 500", &[], "cluster.lease_ms"),
        ("[cluster]\nlease_ms = 2500", &[], "whole seconds"),
        ("[nats]\nservers = ['nats-1:4222']", &[], "nats.servers"),
        ("[nats]\nservers = ['http://nats-1']", &[], "nats.servers"),
        ("[nats]\nreplicas = 0", &[], "nats.replicas"),
        ("[nats]\nuser = 'a'", &[], "nats.password"),
        ("[nats]\ntoken = 'a'\nnkey_file = 'b'", &[], "credentials_file"),
        ("[nats]\ncertificate = 'a'", &[], "nats.key"),
        ("[store.scylla]\nkeyspace = 'Parlance'", &[], "store.scylla.keyspace"),
        ("[store]\nkind = 'scylla'\n[store.scylla]\nnodes = []", &[], "store.scylla.nodes"),
        ("[store.scylla.tls]\ncertificate = 'own.pem'", &[], "store.scylla.tls.key"),
        ("", &[("PARLANCE_GATEWAY__PROXIES", "10.0.0.1, 10.0.0.x")], "10.0.0.x"),
        ("", &[("PARLANCE_LIMITS__CONECTIONS", "1")], "conections"),
        ("", &[("PARLANCE_LIMITS__CONNECTIONS", "many")], "connections"),
        ("not toml", &[], "line 1"),
    ] {
        let error = refused(toml, environment);
        assert!(error.contains(named), "{toml:?} {environment:?}: {error:?} does not name {named:?}");
    }
}

#[test]
fn a_setting_of_another_kind_is_told_what_it_must_be() {
    for (toml, told) in [
        ("limits.connections = [5]", "some.toml: limits.connections: it must be a whole number"),
        ("limits.heartbeat_ms = { a = 1 }", "some.toml: limits.heartbeat_ms: it must be a whole number"),
        ("rates.user_per_s = [1.5]", "rates.user_per_s: it must be a number"),
        ("gateway.origins = 5", "some.toml: gateway.origins: it must be a list"),
        ("gateway.proxy_protocol = 'perhaps'", "gateway.proxy_protocol: it must be true or false"),
        ("server.public_url = ['a']", "server.public_url: it must be text"),
        ("data.dir = ['a']", "data.dir: it must be text"),
        ("server.listen = ['a']", "server.listen: it must be an IP address and a port"),
        ("limits = 5", "some.toml: limits: it must be a section with settings of its own"),
        ("consumers = 5", "consumers: it must be a section with settings of its own"),
        ("auth.registration = 'ajar'", "auth.registration: it must be one of: open, closed"),
        ("auth.registration = ['open']", "auth.registration: it must be text"),
        ("rates.user_burst = 99999999999", "rates.user_burst: the number is too large"),
        ("server.lisen = 'x'", "there is no setting `lisen`: leave it out, or use one of: listen, public_url"),
        ("sever.listen = 'x'", "there is no setting `sever`"),
        ("consumers.audit.path = 'x'", "the setting `kind` is missing"),
    ] {
        let error = refused(toml, &[]);
        assert!(error.contains(told), "{toml:?}: {error:?} does not say {told:?}");
        let foreign = ["expected", "usize", "u64", "sequence", "struct", "map"];
        // The file's name is random.
        let why = error.rsplit_once(".toml: ").map_or(error.as_str(), |(_, why)| why);
        assert!(!foreign.iter().any(|word| why.contains(word)), "{toml:?}: {error:?}");
    }
}

#[test]
fn rates_may_be_fractions() {
    let toml = "[rates]\nattempts_per_s = 0.2\nattempts_burst = 5\naddress_per_s = 0\naddress_burst = 0";
    let environment = [("PARLANCE_RATES__USER_PER_S", "0.49"), ("PARLANCE_RATES__USER_BURST", "1")];
    let rates = load(toml, &environment, &Overrides::default()).unwrap().rates;
    assert_eq!((rates.attempts_per_s, rates.attempts_burst), (0.2, 5));
    assert_eq!((rates.user_per_s, rates.user_burst), (0.49, 1));
    assert_eq!((rates.address_per_s, rates.address_burst), (0.0, 0), "0 is without limit");
}

#[test]
fn rates_that_are_no_limit_by_mistake_are_refused() {
    for kind in ["address", "user", "attempts"] {
        let (rate, burst) = (format!("{kind}_per_s"), format!("{kind}_burst"));
        for (setting, value) in [
            (&rate, "nan"),
            (&rate, "-nan"),
            (&rate, "inf"),
            (&rate, "-inf"),
            (&rate, "-1"),
            (&rate, "-0.2"),
            (&rate, "1e-300"),
            (&rate, "1e300"),
            (&rate, "true"),
            (&rate, "'fast'"),
            (&burst, "0"),
            (&burst, "-1"),
            (&burst, "0.4"),
            (&burst, "5000.5"),
            (&burst, "nan"),
            (&burst, "inf"),
            (&burst, "99999999999"),
        ] {
            let said = refused(&format!("[rates]\n{setting} = {value}"), &[]);
            assert!(said.contains("some.toml") && said.contains(setting.as_str()), "{setting} = {value}: {said}");
            let variable = format!("PARLANCE_RATES__{}", setting.to_ascii_uppercase());
            let said = refused("", &[(&variable, value.trim_matches('\''))]);
            assert!(said.contains(&variable), "{variable}={value}: {said}");
        }
    }
    // A burst that takes years to come back is a lock-out.
    let said = refused("[rates]\nattempts_per_s = 0.00001\nattempts_burst = 10000", &[]);
    assert!(said.contains("rates.attempts_burst"), "{said}");
}

#[test]
fn a_fraction_is_never_rounded_to_another_number() {
    let defaults = Config::default().listed();
    let whole = defaults.iter().filter(|(_, value)| value.parse::<u64>().is_ok());
    let names: Vec<_> = whole.map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"limits.commands_per_s") && names.contains(&"limits.connections_per_address"), "{names:?}");
    for name in names {
        for value in ["0.4", "0.6", "nan", "inf"] {
            let said = refused(&format!("{name} = {value}"), &[]);
            assert!(said.contains("some.toml") && said.contains(name), "{name} = {value}: {said}");
            let variable = format!("PARLANCE_{}", name.to_ascii_uppercase().replace('.', "__"));
            let said = refused("", &[(&variable, value)]);
            assert!(said.contains(&variable), "{variable}={value}: {said}");
        }
    }
}

#[test]
fn a_mistake_is_told_with_the_place_where_it_stands() {
    let variable = [("PARLANCE_LIMITS__HEADER_MS", "5")];
    assert!(refused("", &variable).starts_with("PARLANCE_LIMITS__HEADER_MS: limits.header_ms is '5'"));
    let said = refused("[limits]\nheader_ms = 5", &[]);
    assert!(said.contains("some.toml: limits.header_ms"), "{said}");
    // The variable wins, so that the mistake is its own.
    let said = refused("[limits]\nheader_ms = 2000", &variable);
    assert!(said.starts_with("PARLANCE_LIMITS__HEADER_MS"), "{said}");
    assert!(refused("", &[("PARLANCE_LIMITS__CONNECTIONS", "many")]).starts_with("PARLANCE_LIMITS__CONNECTIONS"));
    let overrides = Overrides { data: Some("".into()), ..Overrides::default() };
    let said = load("", &[], &overrides).unwrap_err().to_string();
    assert!(said.starts_with("--data: data.dir"), "{said}");
}

#[test]
fn secrets_of_the_cluster_are_taken_as_they_stand_and_not_shown() {
    let environment = [
        ("PARLANCE_NATS__SERVERS", "nats://a:4222, tls://b:4222"),
        ("PARLANCE_NATS__USER", "parlance"),
        ("PARLANCE_NATS__PASSWORD", "0017"),
    ];
    let config = load("", &environment, &Overrides::default()).unwrap();
    assert_eq!(config.nats.servers, ["nats://a:4222", "tls://b:4222"]);
    assert_eq!(config.nats.password.reveal(), "0017");
    assert!(config.nats.is_used() && !Config::default().nats.is_used());
    let shown = format!("{config:?} {:?} {:?}", config.listed(), config.nats.options());
    assert!(!shown.contains("0017"), "{shown}");
    let token = load("", &[("PARLANCE_NATS__TOKEN", "true")], &Overrides::default()).unwrap();
    assert_eq!(token.nats.token.reveal(), "true");
    let error = refused("[nats]\nservers = ['nats://u:hunter42@a:4222']", &[]);
    assert!(error.contains("nats.servers") && !error.contains("hunter42"), "{error}");
}

#[test]
fn a_named_file_must_be_there() {
    let error = Config::load(Some(Path::new("/no/such.toml")), [], &Overrides::default(), &[]).unwrap_err();
    assert!(error.to_string().contains("/no/such.toml"), "{error}");
}
