//! Where an engine listens, as `DOCKER_HOST` and its companions say.

use std::{
    fmt,
    net::{IpAddr, ToSocketAddrs as _, UdpSocket},
    path::PathBuf,
};

/// An engine's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket, opened by its path for each connection: a restarted engine makes a new one.
    Unix(PathBuf),
    /// `host:port`, in the clear.
    Tcp(String),
    /// `host:port` over TLS; the folder holds `ca.pem`, `cert.pem` and `key.pem`.
    Tls { address: String, certificates: PathBuf },
}

/// The variables by which every Docker client finds its engine. The command line reads them.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `DOCKER_HOST`.
    pub host: Option<String>,
    /// `DOCKER_TLS_VERIFY`: any value but an empty one means yes.
    pub tls_verify: Option<String>,
    /// `DOCKER_CERT_PATH`.
    pub cert_path: Option<PathBuf>,
    /// `HOME`, for the default of `DOCKER_CERT_PATH`: `~/.docker`.
    pub home: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    #[error("`{scheme}://` is not a way to reach an engine here; use `unix://`, `tcp://` or `https://`")]
    Scheme { scheme: String },
    #[error("`{text}` names no engine; write `unix:///path/to/docker.sock` or `tcp://host:port`")]
    Address { text: String },
    #[error(
        "TLS to the engine needs a folder with `ca.pem`, `cert.pem` and `key.pem`; set `DOCKER_CERT_PATH`"
    )]
    NoCertificates,
}

/// Where the engine is, seen from this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locality {
    /// On this machine.
    Local,
    /// On another machine.
    Remote(IpAddr),
}

// === impl Endpoint ===

impl Endpoint {
    pub const DEFAULT_SOCKET: &'static str = "/var/run/docker.sock";

    /// What `docker` itself would connect to.
    pub fn from_environment(environment: &Environment) -> Result<Self, InvalidEndpoint> {
        let tls = environment.tls_verify.as_deref().is_some_and(|value| !value.is_empty());
        let home = || environment.home.as_ref().map(|home| home.join(".docker"));
        let certificates =
            environment.cert_path.clone().filter(|path| !path.as_os_str().is_empty()).or_else(home);
        let host = environment.host.as_deref().map(str::trim).filter(|host| !host.is_empty());
        let Some(host) = host else { return Ok(Self::Unix(Self::DEFAULT_SOCKET.into())) };
        let (scheme, address) = host.split_once("://").unwrap_or(("tcp", host));
        let address = address.trim_end_matches('/');
        let invalid = || InvalidEndpoint::Address { text: host.to_owned() };
        match scheme {
            _ if address.is_empty() => Err(invalid()),
            "unix" if address.starts_with('/') => Ok(Self::Unix(address.into())),
            "unix" => Err(invalid()),
            "tcp" | "http" | "https" => {
                if address.contains(['/', '@']) {
                    return Err(invalid());
                }
                if !tls && scheme != "https" {
                    return Ok(Self::Tcp(with_port(address, 2375)));
                }
                let certificates = certificates.ok_or(InvalidEndpoint::NoCertificates)?;
                Ok(Self::Tls { address: with_port(address, 2376), certificates })
            }
            other => Err(InvalidEndpoint::Scheme { scheme: other.to_owned() }),
        }
    }

    /// Finds out on which machine the engine is. It may ask the resolver: not for an async thread that others wait for.
    /// `None` if the name does not resolve.
    pub fn locality(&self) -> Option<Locality> {
        let address = match self {
            Self::Unix(_) => return Some(Locality::Local),
            Self::Tcp(address) | Self::Tls { address, .. } => address,
        };
        let address = address.to_socket_addrs().ok()?.next()?.ip();
        // Only addresses of this machine can be bound.
        let ours = address.is_loopback() || UdpSocket::bind((address, 0)).is_ok();
        Some(if ours { Locality::Local } else { Locality::Remote(address) })
    }
}

fn with_port(address: &str, port: u16) -> String {
    let host_ends = address.rfind(']').unwrap_or(0);
    let has_port = address[host_ends..].contains(':');
    if has_port { address.to_owned() } else { format!("{address}:{port}") }
}

/// As `DOCKER_HOST` would be written.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls { address, .. } => write!(f, "https://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, tls: &str) -> Result<String, InvalidEndpoint> {
        let environment = Environment {
            host: Some(host.to_owned()),
            tls_verify: Some(tls.to_owned()),
            cert_path: None,
            home: Some("/home/anna".into()),
        };
        Endpoint::from_environment(&environment).map(|endpoint| endpoint.to_string())
    }

    #[test]
    fn docker_host_is_read_as_docker_reads_it() {
        for (host, tls, expected) in [
            ("", "1", "unix:///var/run/docker.sock"),
            ("unix:///run/user/1000/docker.sock", "", "unix:///run/user/1000/docker.sock"),
            ("tcp://10.0.0.7", "", "tcp://10.0.0.7:2375"),
            ("tcp://10.0.0.7:1234/", "", "tcp://10.0.0.7:1234"),
            ("tcp://10.0.0.7", "1", "https://10.0.0.7:2376"),
            ("tcp://[::1]", "0", "https://[::1]:2376"),
            ("tcp://[::1]:99", "", "tcp://[::1]:99"),
            ("https://engine", "", "https://engine:2376"),
            ("http://socket-proxy:2375", "", "tcp://socket-proxy:2375"),
            ("socket-proxy:2375", "", "tcp://socket-proxy:2375"),
        ] {
            assert_eq!(endpoint(host, tls).as_deref(), Ok(expected), "{host}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_would() {
        for (host, words) in [
            ("ssh://anna@engine", "`ssh://` is not a way"),
            ("unix://docker.sock", "write `unix:///path"),
            ("tcp://", "names no engine"),
            ("tcp://engine:2375/v1.41", "names no engine"),
        ] {
            let error = endpoint(host, "").unwrap_err().to_string();
            assert!(error.contains(words), "{host}: {error}");
        }
        let nowhere = Environment { host: Some("https://engine".to_owned()), ..Environment::default() };
        assert_eq!(Endpoint::from_environment(&nowhere), Err(InvalidEndpoint::NoCertificates));
    }

    #[test]
    fn an_engine_on_this_machine_is_local() {
        let local = |endpoint: Endpoint| endpoint.locality();
        assert_eq!(local(Endpoint::Unix("/run/x.sock".into())), Some(Locality::Local));
        assert_eq!(local(Endpoint::Tcp("127.0.0.1:2375".to_owned())), Some(Locality::Local));
        let far = "192.0.2.7".parse().unwrap();
        assert_eq!(local(Endpoint::Tcp("192.0.2.7:2375".to_owned())), Some(Locality::Remote(far)));
    }
}
