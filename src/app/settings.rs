//! What `app` is told: plain values that have been checked, wherever they were written.
//!
//! `cli` resolves them from flags, environment and `ControllerConfig`; `demo` and the tests write them down.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    num::{NonZeroU16, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use crate::{
    config::labels::Template,
    discovery::docker,
    model::{Allowed, Cidr},
};

/// Everything that `run` needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Files and directories of documents; none means no file source.
    pub config: Vec<PathBuf>,
    /// The engine; `None` turns Docker off. One that does not answer is tried for ever.
    pub docker: Option<Engine>,
    /// Where the implicit Gateway listens for HTTP.
    pub http: Option<SocketAddr>,
    /// Where the implicit Gateway listens for HTTPS.
    pub https: Option<SocketAddr>,
    pub admin: Option<AdminAddress>,
    /// The file of the token that actions need; without one there are none.
    pub admin_token_file: Option<PathBuf>,
    /// Whether actions may start and stop containers.
    pub allow_container_actions: bool,
    /// The last known state; `None` keeps none.
    pub state_dir: Option<PathBuf>,
    /// Threads of the data plane.
    pub workers: NonZeroUsize,
    pub log: LogSettings,
    pub access_log: AccessLogSettings,
    /// Label dialects of others that are read too; sorted, none twice.
    pub compat: Vec<Dialect>,
    /// How long a request waits for an endpoint where its route has none.
    pub hold: Duration,
    /// How long a route stays after its last endpoint went.
    pub removal_delay: Duration,
    /// How long connections are still accepted after SIGTERM.
    pub drain_delay: Duration,
    /// How long work under way may take to end.
    pub drain_timeout: Duration,
    /// Host names of containers without labels, with `{name}`, `{service}` and `{project}`. One whose words a
    /// container lacks is left out for it.
    pub default_host_templates: Vec<String>,
    pub expose_by_default: bool,
    /// Peers whose `X-Forwarded-…` headers are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Ports on which connections have to begin with a PROXY header.
    pub proxy_protocol: Vec<NonZeroU16>,
    /// What requests may hold that is refused, or left out, otherwise.
    pub allowed: Allowed,
    /// How often the engine is listed in full.
    pub resync: Duration,
}

/// How the engine is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    Unix(PathBuf),
    /// `host` is a name or an address, IPv6 without brackets.
    Tcp {
        host: String,
        port: u16,
        tls: Option<EngineTls>,
    },
}

/// A directory with `ca.pem`, `cert.pem` and `key.pem`, as the docker command has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineTls {
    pub cert_path: PathBuf,
}

/// Where the admin API listens, or is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    pub format: LogFormat,
    /// `info`, or directives such as `portolan=debug,hyper=warn`.
    pub level: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessLogSettings {
    pub format: AccessLogFormat,
    /// A file that lines are added to; standard output where absent.
    pub path: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLogFormat {
    #[default]
    Text,
    Json,
    Off,
}

/// Whose labels are read beside Portolan's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    Traefik,
    NginxProxy,
    Caddy,
    DockerFlow,
}

// === impl Settings ===

impl Settings {
    pub const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80);
    pub const HTTPS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 443);
    pub const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9080);
    pub const DOCKER_SOCKET: &'static str = "/var/run/docker.sock";
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            config: Vec::new(),
            docker: Some(Engine::Unix(Self::DOCKER_SOCKET.into())),
            http: Some(Self::HTTP),
            https: Some(Self::HTTPS),
            admin: Some(AdminAddress::Tcp(Self::ADMIN)),
            admin_token_file: None,
            allow_container_actions: false,
            state_dir: None,
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            log: LogSettings::default(),
            access_log: AccessLogSettings::default(),
            compat: Vec::new(),
            hold: Duration::from_secs(5),
            removal_delay: Duration::from_secs(10),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            default_host_templates: Template::DEFAULTS.map(str::to_owned).to_vec(),
            expose_by_default: true,
            trusted_proxies: Vec::new(),
            proxy_protocol: Vec::new(),
            allowed: Allowed::NOTHING,
            resync: Duration::from_mins(1),
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::default(), level: "info".to_owned() }
    }
}

// === impl Engine ===

/// As `DOCKER_HOST` has it.
impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

impl Engine {
    /// The same for the source that watches it.
    pub fn endpoint(&self) -> docker::Endpoint {
        match self {
            Self::Unix(path) => docker::Endpoint::Unix(path.clone()),
            Self::Tcp { host, port, tls } => {
                let address =
                    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
                match tls {
                    None => docker::Endpoint::Tcp(address),
                    Some(tls) => docker::Endpoint::Tls { address, certificates: tls.cert_path.clone() },
                }
            }
        }
    }
}

// === impl AdminAddress ===

/// As `--admin` has it.
impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
