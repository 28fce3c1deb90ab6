//! One value of a flag, a variable or a `ControllerConfig` field, from text. Each error says what is expected.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{CheckFormat, DiffFormat, ExplainFormat, GetFormat};
use crate::{
    app::settings::{AccessLogFormat, AdminAddress, Dialect, LogFormat},
    config::labels::Template,
    model::{Host, Oddity},
};

/// A value, or `off`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Switch<T> {
    Off,
    On(T),
}

/// An engine's URL; whether TLS is spoken is decided with the other settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineUrl {
    Unix(PathBuf),
    Tcp { host: String, port: Option<u16>, scheme: EngineScheme },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineScheme {
    /// `tcp://`: TLS if there are certificates.
    Tcp,
    /// `http://`: never TLS.
    Http,
    /// `https://`: always TLS.
    Https,
}

/// Where a client finds the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAddress {
    /// `host` is a name or an address, IPv6 without brackets.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
    /// The same variable tells the server not to listen.
    Off,
}

/// The host names of a container, with `{name}` and so on in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTemplates(pub Vec<String>);

/// Why a text is not a value. The flag and the text are named by whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// No duration is longer: timers of the runtime end there.
const MAX_DURATION: Duration = Duration::from_hours(24 * 365);

/// `0.0.0.0:80`, `[::]:80`, `:80`, `80` or `off`.
pub fn listen(text: &str) -> Result<Switch<SocketAddr>, Invalid> {
    socket_address(text, Ipv4Addr::UNSPECIFIED)
}

/// `127.0.0.1:9080`, `:9080`, `9080` (both on the loopback address), `unix:/run/portolan.sock` or `off`.
pub fn admin(text: &str) -> Result<Switch<AdminAddress>, Invalid> {
    if let Some(path) = unix_path(text) {
        return Ok(Switch::On(AdminAddress::Unix(path?)));
    }
    Ok(match socket_address(text, Ipv4Addr::LOCALHOST)? {
        Switch::Off => Switch::Off,
        Switch::On(address) => Switch::On(AdminAddress::Tcp(address)),
    })
}

/// Where to ask: everything that [`admin`] takes, and host names; `http://` may stand in front.
pub fn server_address(text: &str) -> Result<ServerAddress, Invalid> {
    let text = text.strip_prefix("http://").map_or(text, |rest| rest.trim_end_matches('/'));
    match admin(text) {
        Ok(Switch::Off) => return Ok(ServerAddress::Off),
        Ok(Switch::On(AdminAddress::Unix(path))) => return Ok(ServerAddress::Unix(path)),
        Ok(Switch::On(AdminAddress::Tcp(address))) => {
            // What a server binds to is not always what one can connect to.
            let ip = match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
                ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
            };
            return Ok(ServerAddress::Tcp { host: ip.to_string(), port: address.port() });
        }
        Err(_) => {}
    }
    let named = text.rsplit_once(':').and_then(|(host, port)| {
        let host = Host::parse(host).ok()?;
        Some(ServerAddress::Tcp { host: host.as_str().to_owned(), port: port_number(port)? })
    });
    named.ok_or_else(|| Invalid("expected HOST:PORT, :PORT, PORT or unix:PATH".to_owned()))
}

/// `unix:///var/run/docker.sock`, an absolute path, `tcp://host[:port]`, `http://…`, `https://…` or `off`.
pub fn engine(text: &str) -> Result<Switch<EngineUrl>, Invalid> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(Switch::Off);
    }
    if let Some(path) = unix_path(text) {
        return Ok(Switch::On(EngineUrl::Unix(path?)));
    }
    if text.starts_with('/') {
        return Ok(Switch::On(EngineUrl::Unix(text.into())));
    }
    let expected = || Invalid("expected unix:///PATH, tcp://HOST:PORT or off".to_owned());
    let (scheme, rest) = text.split_once("://").ok_or_else(expected)?;
    let scheme = match scheme {
        "tcp" => EngineScheme::Tcp,
        "http" => EngineScheme::Http,
        "https" => EngineScheme::Https,
        "ssh" => {
            let hint = "forward the socket with `ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`";
            return Err(Invalid(format!("an engine over ssh is not supported; {hint}")));
        }
        "npipe" => return Err(Invalid("named pipes are not supported".to_owned())),
        _ => return Err(expected()),
    };
    let (host, port) = split_authority(rest.trim_end_matches('/')).ok_or_else(expected)?;
    Ok(Switch::On(EngineUrl::Tcp { host, port, scheme }))
}

/// A directory or `off`.
pub fn directory(text: &str) -> Result<Switch<PathBuf>, Invalid> {
    Ok(if text.eq_ignore_ascii_case("off") { Switch::Off } else { Switch::On(text.into()) })
}

/// `500ms`, `10s`, `1m`, `1h30m`: the durations of the Gateway API; `0` needs no unit.
pub fn duration(text: &str) -> Result<Duration, Invalid> {
    const EXPECTED: &str = "expected a duration such as 500ms, 10s, 1m or 1h30m";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    for _ in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at(letters);
        let number: u64 = number.parse().map_err(|_| Invalid(EXPECTED.to_owned()))?;
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "" => return Err(Invalid(format!("the unit is missing: did you mean `{text}s`?"))),
            _ => return Err(Invalid(EXPECTED.to_owned())),
        };
        let part = number.checked_mul(millis).map(Duration::from_millis);
        let sum = part.and_then(|part| total.checked_add(part)).filter(|sum| *sum <= MAX_DURATION);
        total = sum.ok_or_else(|| Invalid("longer than a year".to_owned()))?;
        rest = behind;
        if rest.is_empty() {
            return Ok(total);
        }
    }
    Err(Invalid(EXPECTED.to_owned()))
}

/// A duration after which something is done again: at least a second.
pub fn interval(text: &str) -> Result<Duration, Invalid> {
    let interval = duration(text)?;
    if interval < Duration::from_secs(1) {
        return Err(Invalid("the shortest interval is 1s".to_owned()));
    }
    Ok(interval)
}

pub fn workers(text: &str) -> Result<NonZeroUsize, Invalid> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= 1024);
    number.ok_or_else(|| Invalid("expected a number from 1 to 1024".to_owned()))
}

/// A level, or directives: targets with levels, separated by commas.
pub fn log_level(text: &str) -> Result<String, Invalid> {
    let is_level = !text.is_empty() && text.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let is_directives = text.contains('=') && tracing_subscriber::EnvFilter::try_new(text).is_ok();
    if is_level || is_directives {
        return Ok(text.to_owned());
    }
    let expected = "expected error, warn, info, debug, trace, or directives such as portolan=debug";
    Err(Invalid(expected.to_owned()))
}

/// Host name templates separated by commas, or `off`.
pub fn host_templates(text: &str) -> Result<Switch<HostTemplates>, Invalid> {
    if text.is_empty() || text.eq_ignore_ascii_case("off") {
        return Ok(Switch::Off);
    }
    let template = |one: &str| {
        let one = one.trim();
        Template::parse(one).map(|_| one.to_owned()).map_err(|error| Invalid(error.to_string()))
    };
    let templates: Result<Vec<_>, _> = text.split(',').map(template).collect();
    templates.map(|templates| Switch::On(HostTemplates(templates)))
}

pub fn log_format() -> impl TypedValueParser<Value = LogFormat> {
    choice([("text", LogFormat::Text), ("json", LogFormat::Json)])
}

pub fn access_log_format() -> impl TypedValueParser<Value = AccessLogFormat> {
    choice([("text", AccessLogFormat::Text), ("json", AccessLogFormat::Json), ("off", AccessLogFormat::Off)])
}

pub fn dialect() -> impl TypedValueParser<Value = Dialect> {
    choice([
        ("traefik", Dialect::Traefik),
        ("nginx-proxy", Dialect::NginxProxy),
        ("caddy", Dialect::Caddy),
        ("docker-flow", Dialect::DockerFlow),
    ])
}

pub fn oddity() -> impl TypedValueParser<Value = Oddity> {
    choice([("encoded-slash", Oddity::EncodedSlash), ("underscore", Oddity::Underscore)])
}

pub fn check_format() -> impl TypedValueParser<Value = CheckFormat> {
    choice([("text", CheckFormat::Text), ("json", CheckFormat::Json), ("github", CheckFormat::Github)])
}

pub fn diff_format() -> impl TypedValueParser<Value = DiffFormat> {
    choice([("text", DiffFormat::Text), ("json", DiffFormat::Json)])
}

pub fn explain_format() -> impl TypedValueParser<Value = ExplainFormat> {
    choice([("text", ExplainFormat::Text), ("json", ExplainFormat::Json)])
}

pub fn listing_format() -> impl TypedValueParser<Value = GetFormat> {
    choice([
        ("table", GetFormat::Table),
        ("wide", GetFormat::Wide),
        ("json", GetFormat::Json),
        ("yaml", GetFormat::Yaml),
    ])
}

/// One of some words, each of which stands for a value.
fn choice<T, const N: usize>(words: [(&'static str, T); N]) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(words.map(|(word, _)| word)).try_map(move |chosen| {
        let found = words.iter().find(|(word, _)| *word == chosen);
        found.map(|(_, value)| *value).ok_or_else(|| Invalid("unknown word".to_owned()))
    })
}

fn socket_address(text: &str, default: Ipv4Addr) -> Result<Switch<SocketAddr>, Invalid> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(Switch::Off);
    }
    let text =
        text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    let port_only = port_number(text.strip_prefix(':').unwrap_or(&text));
    let address = port_only.map(|port| SocketAddr::new(default.into(), port)).or_else(|| text.parse().ok());
    address.map(Switch::On).ok_or_else(|| {
        let without_port = text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let missing = if without_port { "the port is missing: " } else { "" };
        Invalid(format!("{missing}expected ADDRESS:PORT, :PORT, PORT or off, such as 0.0.0.0:8080"))
    })
}

/// `Some` if the text is meant as a unix socket.
fn unix_path(text: &str) -> Option<Result<PathBuf, Invalid>> {
    let rest = text.strip_prefix("unix:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    Some(if path.is_empty() {
        Err(Invalid("the path is missing behind `unix:`".to_owned()))
    } else {
        Ok(path.into())
    })
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_authority(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if !host.contains(':') {
        Host::parse(host).ok()?;
    }
    let port = match port {
        Some(port) => Some(port_number(port).filter(|port| *port != 0)?),
        None => None,
    };
    Some((host.to_owned(), port))
}

/// Digits only: `parse` would take a sign.
fn port_number(text: &str) -> Option<u16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

// === impl ServerAddress ===

/// As `--admin` has it.
impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Off => f.write_str("off"),
        }
    }
}

// === impl Switch ===

impl<T> From<Switch<T>> for Option<T> {
    fn from(switch: Switch<T>) -> Self {
        match switch {
            Switch::Off => None,
            Switch::On(value) => Some(value),
        }
    }
}
