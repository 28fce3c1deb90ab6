//! Who wins, and what is said when a value is wrong.

use std::time::Duration;

use super::*;

fn args(line: &str) -> RunArgs {
    let words = std::iter::once("portolan run").chain([line]).flat_map(str::split_whitespace);
    let args = super::super::args::Args::read(words.map(Into::into)).unwrap();
    let super::super::args::Command::Run(args) = args.command else { panic!("{line}") };
    *args
}

fn file(spec: &str) -> FileConfig {
    FileConfig {
        spec: serde_json::from_str(spec).unwrap(),
        origin: "conf/portolan.yaml:1:1".to_owned(),
        directory: "conf".into(),
    }
}

fn home() -> Environment {
    Environment { home: Some("/home/ada".into()), ..Environment::default() }
}

fn settings(line: &str, spec: &str) -> Settings {
    resolve(args(line), Some(&file(spec)), &home()).unwrap().settings
}

fn refusal(spec: &str) -> String {
    resolve(args(""), Some(&file(spec)), &home()).unwrap_err().to_string()
}

#[test]
fn without_a_word_the_defaults_hold() {
    let resolved = resolve(args(""), None, &home()).unwrap();
    let expected =
        Settings { state_dir: Some("/home/ada/.local/state/portolan".into()), ..Settings::default() };
    assert_eq!(resolved, Resolved { settings: expected, warnings: Vec::new() });
}

#[test]
fn a_flag_wins_over_the_document_which_wins_over_the_default() {
    let spec = r#"{"http": ":8081", "hold": "1s", "workers": 3, "logFormat": "json", "exposeByDefault": false,
        "accessLog": {"format": "json", "path": "access.log"}, "compat": ["caddy", "traefik"],
        "trustedProxies": ["10.0.0.0/8"], "proxyProtocol": [80, 443], "allow": ["encoded-slash"],
        "defaultHostTemplate": "{name}.test", "stateDir": "off"}"#;
    let from_file = settings("", spec);
    assert_eq!(from_file.http, Some("0.0.0.0:8081".parse().unwrap()));
    assert_eq!(from_file.proxy_protocol.iter().map(|port| port.get()).collect::<Vec<_>>(), [80, 443]);
    assert_eq!(from_file.allowed, [Oddity::EncodedSlash].into_iter().collect());
    assert_eq!((from_file.hold, from_file.workers.get()), (Duration::from_secs(1), 3));
    assert_eq!((from_file.log.format, from_file.expose_by_default), (LogFormat::Json, false));
    assert_eq!(from_file.access_log.path, Some("conf/access.log".into()));
    assert_eq!(from_file.compat, [Dialect::Traefik, Dialect::Caddy]);
    assert_eq!(from_file.default_host_templates, ["{name}.test"]);
    assert_eq!((from_file.state_dir, from_file.removal_delay), (None, Duration::from_secs(10)));

    let flags = "--http off --hold 2s --workers 1 --log-format text --expose-by-default=true --access-log off \
        --compat nginx-proxy --trusted-proxies ::1 --proxy-protocol 81 --default-host-template off --state-dir /s \
        --allow underscore";
    let from_flags = settings(flags, spec);
    assert_eq!((from_flags.http, from_flags.hold), (None, Duration::from_secs(2)));
    assert_eq!((from_flags.workers.get(), from_flags.log.format), (1, LogFormat::Text));
    assert!(from_flags.expose_by_default && from_flags.default_host_templates.is_empty());
    assert_eq!(from_flags.access_log.format, AccessLogFormat::Off);
    assert_eq!(from_flags.compat, [Dialect::NginxProxy]);
    assert_eq!(from_flags.trusted_proxies, ["::1".parse().unwrap()]);
    assert_eq!(from_flags.proxy_protocol.iter().map(|port| port.get()).collect::<Vec<_>>(), [81]);
    assert_eq!(from_flags.allowed, [Oddity::Underscore].into_iter().collect());
    assert_eq!(from_flags.state_dir, Some("/s".into()));
}

#[test]
fn a_port_whose_every_connection_would_be_closed_is_warned_of() {
    let warnings = |spec: &str| resolve(args(""), Some(&file(spec)), &home()).unwrap().warnings;
    let [warning] = &warnings(r#"{"proxyProtocol": [80]}"#)[..] else { panic!("one warning") };
    assert!(warning.contains("port 80") && warning.contains("--trusted-proxies"), "{warning}");
    assert_eq!(warnings(r#"{"proxyProtocol": [80], "trustedProxies": ["10.0.0.0/8"]}"#), [""; 0]);
}

#[test]
fn the_engine_is_that_of_the_flag_the_document_docker_host_or_the_usual_socket() {
    let unix = |path: &str| Some(Engine::Unix(path.into()));
    let both = Environment { docker_host: Some("unix:///env.sock".to_owned()), ..home() };
    let spec = file(r#"{"docker": "unix:///file.sock"}"#);
    let engine = |line: &str, file: Option<&FileConfig>, environment: &Environment| {
        resolve(args(line), file, environment).unwrap().settings.docker
    };
    assert_eq!(engine("--docker /flag.sock", Some(&spec), &both), unix("/flag.sock"));
    assert_eq!(engine("", Some(&spec), &both), unix("/file.sock"));
    assert_eq!(engine("", None, &both), unix("/env.sock"));
    assert_eq!(engine("", None, &home()), unix("/var/run/docker.sock"));
    assert_eq!(engine("--docker off", Some(&spec), &both), None);
}

#[test]
fn tls_to_the_engine_is_spoken_where_the_docker_command_would() {
    let verify = Environment { docker_tls_verify: true, ..home() };
    let certs = Environment { docker_cert_path: Some("/certs".into()), ..verify.clone() };
    for (line, environment, expected) in [
        ("--docker tcp://e", &home(), (2375, None)),
        ("--docker tcp://e", &verify, (2376, Some("/home/ada/.docker"))),
        ("--docker tcp://e", &certs, (2376, Some("/certs"))),
        ("--docker tcp://e:99", &certs, (99, Some("/certs"))),
        ("--docker tcp://e --docker-cert-path /mine", &certs, (2376, Some("/mine"))),
        ("--docker http://e", &certs, (2375, None)),
        ("--docker https://e", &home(), (2376, Some("/home/ada/.docker"))),
    ] {
        let tls = expected.1.map(|path| EngineTls { cert_path: path.into() });
        let expected = Engine::Tcp { host: "e".to_owned(), port: expected.0, tls };
        assert_eq!(resolve(args(line), None, environment).unwrap().settings.docker, Some(expected), "{line}");
    }
}

#[test]
fn a_wrong_value_is_refused_with_its_place() {
    insta::assert_snapshot!(
        [
            refusal(r#"{"http": "80.0.0"}"#),
            refusal(r#"{"hold": "5"}"#),
            refusal(r#"{"docker": "ssh://host"}"#),
            refusal(r#"{"trustedProxies": ["10.0.0.0/8", "ten"]}"#),
            refusal(r#"{"workers": 5000}"#),
            refusal(r#"{"resync": "10ms"}"#),
            resolve(args(""), None, &Environment { docker_host: Some("moby".to_owned()), ..home() })
                .unwrap_err()
                .to_string(),
            resolve(args("--docker https://e"), None, &Environment::default()).unwrap_err().to_string(),
        ]
        .join("\n"),
        @r###"
    invalid value `80.0.0` for `spec.http` of ControllerConfig (conf/portolan.yaml:1:1): expected ADDRESS:PORT, :PORT, PORT or off, such as 0.0.0.0:8080
    invalid value `5` for `spec.hold` of ControllerConfig (conf/portolan.yaml:1:1): the unit is missing: did you mean `5s`?
    invalid value `ssh://host` for `spec.docker` of ControllerConfig (conf/portolan.yaml:1:1): an engine over ssh is not supported; forward the socket with `ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`
    invalid value `ten` for `spec.trustedProxies` of ControllerConfig (conf/portolan.yaml:1:1): `ten` is not an IP address
    invalid value `5000` for `spec.workers` of ControllerConfig (conf/portolan.yaml:1:1): expected a number from 1 to 1024
    invalid value `10ms` for `spec.resync` of ControllerConfig (conf/portolan.yaml:1:1): the shortest interval is 1s
    invalid value `moby` for variable `DOCKER_HOST`: expected unix:///PATH, tcp://HOST:PORT or off
    flag `--docker-cert-path` is not set: TLS to the engine needs a directory with ca.pem, cert.pem and key.pem
    "###
    );
}

#[test]
fn the_documents_own_paths_are_relative_to_it_and_add_to_the_flags() {
    let paths =
        settings("--config conf --config b", r#"{"config": ["routes", "/etc/portolan", "../b", "routes"]}"#);
    let expected: Vec<PathBuf> =
        ["conf", "b", "conf/routes", "/etc/portolan", "conf/../b"].map(Into::into).to_vec();
    assert_eq!(paths.config, expected);
}

#[test]
fn the_state_is_kept_where_services_of_that_user_keep_theirs() {
    let state = |environment: &Environment| resolve(args(""), None, environment).unwrap();
    let root = Environment { is_root: true, ..home() };
    assert_eq!(state(&root).settings.state_dir, Some("/var/lib/portolan".into()));
    let xdg = Environment { state_home: Some("/state".into()), ..home() };
    assert_eq!(state(&xdg).settings.state_dir, Some("/state/portolan".into()));
    let nowhere = state(&Environment::default());
    assert_eq!((nowhere.settings.state_dir, nowhere.warnings.len()), (None, 1));
}

#[test]
fn what_is_said_without_effect_is_not_skipped_in_silence() {
    let warnings = |line: &str, spec: &str| resolve(args(line), Some(&file(spec)), &home()).unwrap().warnings;
    let told = warnings("", r#"{"allowContainerActions": true}"#);
    assert!(told.len() == 1 && told[0].contains("`--admin-token-file`"), "{told:?}");
    let both = r#"{"allowContainerActions": true, "adminTokenFile": "t"}"#;
    assert_eq!(warnings("", both).len(), 0);
    assert_eq!(warnings("--admin off", both).len(), 1);
    assert_eq!(warnings("--allow-container-actions=false", r#"{"allowContainerActions": true}"#).len(), 0);
    assert_eq!(
        (warnings("--https 443 --compat caddy", "{}").len(), warnings("--https off", "{}").len()),
        (1, 0)
    );
}

#[test]
fn the_token_of_the_document_is_beside_it_and_a_flag_wins() {
    let said = |line: &str| settings(line, r#"{"adminTokenFile": "t"}"#).admin_token_file;
    assert_eq!(said(""), Some("conf/t".into()));
    assert_eq!(said("--admin-token-file x"), Some("x".into()));
}
