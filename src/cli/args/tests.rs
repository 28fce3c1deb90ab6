//! What can be typed, and what is said about what cannot.

use std::{ffi::OsString, time::Duration};

use super::*;
use crate::app::settings::AdminAddress;

fn read(line: &str) -> Result<Args, clap::Error> {
    Args::read(line.split_whitespace().map(OsString::from))
}

fn run(line: &str) -> RunArgs {
    let Command::Run(args) = read(&format!("portolan run {line}")).unwrap().command else { panic!("{line}") };
    *args
}

/// The message without its footer.
fn refusal(line: &str) -> String {
    let text = read(line).unwrap_err().to_string();
    text.split("\n\n").next().unwrap().to_owned()
}

#[test]
fn listen_addresses_have_short_forms() {
    for (text, expected) in [
        ("0.0.0.0:80", Some("0.0.0.0:80")),
        ("[::]:8443", Some("[::]:8443")),
        (":8080", Some("0.0.0.0:8080")),
        ("8080", Some("0.0.0.0:8080")),
        ("localhost:81", Some("127.0.0.1:81")),
        ("127.0.0.1:0", Some("127.0.0.1:0")),
        ("off", None),
        ("OFF", None),
    ] {
        let expected = expected.map_or(Switch::Off, |address: &str| Switch::On(address.parse().unwrap()));
        assert_eq!(parse::listen(text), Ok(expected), "{text}");
    }
    for text in ["", ":", "80.", "+80", "65536", "example.com:80", "1.2.3.4", "[::1]", ":-1", "0.0.0.0:80x"] {
        assert!(parse::listen(text).is_err(), "{text}");
    }
    let message = parse::listen("10.0.0.1").unwrap_err().to_string();
    assert_eq!(
        message,
        "the port is missing: expected ADDRESS:PORT, :PORT, PORT or off, such as 0.0.0.0:8080"
    );
}

#[test]
fn the_admin_api_is_on_the_loopback_address_unless_told() {
    let tcp = |text: &str| Switch::On(AdminAddress::Tcp(text.parse().unwrap()));
    for (text, expected) in [
        (":9080", tcp("127.0.0.1:9080")),
        ("9080", tcp("127.0.0.1:9080")),
        ("0.0.0.0:9080", tcp("0.0.0.0:9080")),
        ("unix:/run/p.sock", Switch::On(AdminAddress::Unix("/run/p.sock".into()))),
        ("unix:///run/p.sock", Switch::On(AdminAddress::Unix("/run/p.sock".into()))),
        ("unix:p.sock", Switch::On(AdminAddress::Unix("p.sock".into()))),
        ("off", Switch::Off),
    ] {
        assert_eq!(parse::admin(text), Ok(expected), "{text}");
    }
    assert!(parse::admin("unix:").is_err());
}

#[test]
fn a_client_asks_where_a_server_listens_and_knows_names() {
    let tcp = |host: &str, port| ServerAddress::Tcp { host: host.to_owned(), port };
    for (text, expected) in [
        ("0.0.0.0:9080", tcp("127.0.0.1", 9080)),
        ("[::]:9080", tcp("::1", 9080)),
        ("9080", tcp("127.0.0.1", 9080)),
        ("portolan:9080", tcp("portolan", 9080)),
        ("http://portolan.example.com:80/", tcp("portolan.example.com", 80)),
        ("unix:/run/p.sock", ServerAddress::Unix("/run/p.sock".into())),
        ("off", ServerAddress::Off),
    ] {
        assert_eq!(parse::server_address(text), Ok(expected), "{text}");
    }
    for text in ["portolan", "a b:80", "https://a:80", "a:b", ":"] {
        assert!(parse::server_address(text).is_err(), "{text}");
    }
}

#[test]
fn engines_are_named_as_the_docker_command_does() {
    let tcp = |host: &str, port, scheme| Switch::On(EngineUrl::Tcp { host: host.to_owned(), port, scheme });
    for (text, expected) in [
        ("unix:///var/run/docker.sock", Switch::On(EngineUrl::Unix("/var/run/docker.sock".into()))),
        ("/run/docker.sock", Switch::On(EngineUrl::Unix("/run/docker.sock".into()))),
        ("tcp://engine:2375", tcp("engine", Some(2375), parse::EngineScheme::Tcp)),
        ("tcp://engine", tcp("engine", None, parse::EngineScheme::Tcp)),
        ("tcp://[::1]:2375/", tcp("::1", Some(2375), parse::EngineScheme::Tcp)),
        ("https://10.0.0.1:2376", tcp("10.0.0.1", Some(2376), parse::EngineScheme::Https)),
        ("http://proxy:2375", tcp("proxy", Some(2375), parse::EngineScheme::Http)),
        ("off", Switch::Off),
    ] {
        assert_eq!(parse::engine(text), Ok(expected), "{text}");
    }
    for text in [
        "",
        "unix://",
        "engine:2375",
        "ssh://root@host",
        "npipe:////./pipe/x",
        "ftp://a",
        "tcp://",
        "tcp://a:0",
    ] {
        assert!(parse::engine(text).is_err(), "{text}");
    }
}

#[test]
fn durations_are_those_of_the_gateway_api() {
    for (text, millis) in
        [("500ms", 500), ("10s", 10_000), ("1m", 60_000), ("1h30m", 5_400_000), ("0s", 0), ("0", 0)]
    {
        assert_eq!(parse::duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in
        ["", "s", "-1s", "1.5s", "1d", "1 s", "1s ", "1h1h1h1h1h", "99999999999999999999s", "9999999h"]
    {
        assert!(parse::duration(text).is_err(), "{text}");
    }
    assert_eq!(parse::duration("5").unwrap_err().to_string(), "the unit is missing: did you mean `5s`?");
}

#[test]
fn host_templates_have_known_words_and_make_host_names() {
    let templates = parse::host_templates("{name}.localhost, {service}.{project}.test").unwrap();
    let expected = ["{name}.localhost".to_owned(), "{service}.{project}.test".to_owned()];
    assert_eq!(templates, Switch::On(parse::HostTemplates(expected.to_vec())));
    assert_eq!(parse::host_templates("off"), Ok(Switch::Off));
    assert_eq!(parse::host_templates(""), Ok(Switch::Off));
    let message = parse::host_templates("{nam}.test").unwrap_err().to_string();
    assert_eq!(message, "`{nam}` in `{nam}.test` is not known, did you mean `{name}`?");
    assert!(parse::host_templates("{name.test").is_err());
    assert!(parse::host_templates("web.test").is_err());
    assert!(parse::host_templates("{name}..test").is_err());
    assert!(parse::host_templates("{name}}.test").is_err());
}

#[test]
fn a_log_level_is_a_level_or_directives() {
    for text in ["info", "WARN", "off", "portolan=debug", "info,hyper=trace"] {
        assert!(parse::log_level(text).is_ok(), "{text}");
    }
    for text in ["loud", "", "portolan", "portolan=loud", "info,"] {
        assert!(parse::log_level(text).is_err(), "{text}");
    }
}

#[test]
fn lists_are_given_by_commas_or_by_repeating() {
    let args = run(
        "--compat traefik,caddy --compat nginx-proxy --trusted-proxies 10.0.0.0/8,::1 --config a --config b",
    );
    assert_eq!((args.compat.len(), args.trusted_proxies.len(), args.config.len()), (3, 2, 2));
}

#[test]
fn a_flag_that_says_yes_or_no_needs_an_equals_sign() {
    assert_eq!(run("--expose-by-default=false").expose_by_default, Some(false));
    assert_eq!(run("--expose-by-default").expose_by_default, Some(true));
    assert_eq!(run("").expose_by_default, None);
}

#[test]
fn a_refusal_names_the_flag_the_value_and_what_is_expected() {
    insta::assert_snapshot!(
        [
            refusal("portolan run --http 1.2.3.4"),
            refusal("portolan run --hold 5"),
            refusal("portolan run --compat treafik"),
            refusal("portolan run --trusted-proxies 10.0.0.0/40"),
            refusal("portolan run --docker ssh://host"),
            refusal("portolan run --workers 0"),
            refusal("portolan run --log-level portolan=loud"),
            refusal("portolan check -o yaml"),
            refusal("portolan chek"),
        ]
        .join("\n"),
        @r###"
    error: invalid value '1.2.3.4' for '--http <ADDR|off>': the port is missing: expected ADDRESS:PORT, :PORT, PORT or off, such as 0.0.0.0:8080
    error: invalid value '5' for '--hold <DURATION>': the unit is missing: did you mean `5s`?
    error: invalid value 'treafik' for '--compat <LIST>'
      [possible values: traefik, nginx-proxy, caddy, docker-flow]
    error: invalid value '10.0.0.0/40' for '--trusted-proxies <LIST>': `/40` is not a prefix length of 10.0.0.0: 0 to 32
    error: invalid value 'ssh://host' for '--docker <URL|off>': an engine over ssh is not supported; forward the socket with `ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`
    error: invalid value '0' for '--workers <N>': expected a number from 1 to 1024
    error: invalid value 'portolan=loud' for '--log-level <LEVEL>': expected error, warn, info, debug, trace, or directives such as portolan=debug
    error: invalid value 'yaml' for '--output <FORMAT>'
      [possible values: text, json, github]
    error: unrecognized subcommand 'chek'
    "###
    );
}

#[test]
fn every_flag_of_run_has_a_variable_and_a_field() {
    let schema = crate::api::schema("ControllerConfig").unwrap().to_string();
    for flag in run_flags().get_arguments() {
        let name = flag.get_long().unwrap();
        // Not a setting: what to do now.
        if name == "take-over" {
            continue;
        }
        let variable = flag.get_env().unwrap_or_else(|| panic!("--{name} has no variable")).to_str().unwrap();
        assert_eq!(variable, format!("PORTOLAN_{}", name.to_uppercase().replace('-', "_")));
        let mut words = name.split('-');
        let mut field = words.next().unwrap().to_owned();
        field.extend(words.map(|word| word[..1].to_uppercase() + &word[1..]));
        // One flag is the field of a field.
        let field = if field == "accessLogPath" { "accessLog" } else { &field };
        assert!(schema.contains(&format!("\"{field}\"")), "ControllerConfig has no field for --{name}");
    }
}

#[test]
fn help_is_short_and_has_examples() {
    let help = |line: &str| read(line).unwrap_err().to_string();
    insta::assert_snapshot!(help("portolan --help"), @r###"
    An ingress controller for Docker: the Kubernetes Gateway API without Kubernetes

    Usage: portolan <COMMAND>

    Commands:
      run          Start the controller and the proxy
      check        Validate files and print what is wrong with them
      diff         Show what files would change about the running controller
      get          Show what the running controller knows, as tables or documents
      describe     Show everything about one object: spec, origin, conditions, endpoints, recent events
      explain      Show which listener, route, rule and endpoint a request gets, and why not the others
      drain        Take a container out of service without breaking off a request
      rollout      Replace the containers of a Compose service by new ones, without losing a request
      schema       Print the JSON Schemas of the documents
      demo         Try it out: a proxy, three small backends and a directory of routes to edit
      health       Ask a running controller whether it is well
      completions  Print a completion script for a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Examples:
      portolan demo                       see it work, with nothing else installed
      portolan run --config routes/       serve containers, and the routes of a directory
      portolan check routes/              find mistakes before they are served
      portolan diff routes/               see what a change would do
      portolan get routes                 what is served, and what is not

    Exit status: 0 yes or done, 1 no (invalid, not found, not ready), 2 usage, input or output
    "###);
    insta::assert_snapshot!(help("portolan get --help"), @r###"
    Show what the running controller knows, as tables or documents

    Usage: portolan get [OPTIONS] <KIND> [NAME]

    Arguments:
      <KIND>  gateways, routes, backends, endpoints, certificates, containers, events, or a kind
      [NAME]  Only this one; NAMESPACE/NAME works too

    Options:
      -n, --namespace <NAMESPACE>  Only this namespace
      -o, --output <FORMAT>        How it is printed [default: table] [possible values: table, wide,
                                   json, yaml]
      -w, --watch                  Keep printing what changes, until interrupted
          --admin <ADDRESS>        The admin API of the running controller: HOST:PORT or unix:PATH [env:
                                   PORTOLAN_ADMIN] [default: 127.0.0.1:9080]
      -h, --help                   Print help

    Examples:
      portolan get routes                 all routes of all namespaces
      portolan get containers             the URLs of each container, or why it has none
      portolan get route shop/books -o yaml
                                          one route as a document, with status and origin
      portolan get endpoints -n shop -w   follow the endpoints of one namespace
    "###);
    for command in ["run", "check", "describe", "drain", "rollout", "schema", "demo", "health", "completions"]
    {
        let help = help(&format!("portolan {command} --help"));
        assert!(help.contains("Examples:"), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}
