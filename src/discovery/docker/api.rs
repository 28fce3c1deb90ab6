//! The four questions that are asked of an engine, all of them reads.

use std::{fmt, str::FromStr, sync::Arc};

use futures::{future::BoxFuture, stream::BoxStream};

use super::{
    inspect::{Inspected, Sighting},
    signal::Signal,
};
use crate::model::WorkloadId;

/// An engine, or a test's script of one.
pub trait Api: Send + Sync + 'static {
    /// `GET /version`: settles the API version, and shows that the engine answers.
    fn version(&self) -> BoxFuture<'static, Result<Version, Error>>;

    /// `GET /containers/json?all=1`.
    fn list(&self) -> BoxFuture<'static, Result<Vec<Sighting>, Error>>;

    /// `GET /containers/{id}/json`; `None` if there is no such container.
    fn inspect(&self, id: &WorkloadId) -> BoxFuture<'static, Result<Option<Inspected>, Error>>;

    /// `GET /events`, with those that the engine still remembers from `since` on, in nanoseconds since 1970.
    fn events(&self, since: i128) -> BoxStream<'static, Result<Happening, Error>>;
}

/// A version of the Engine API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
}

/// An event that concerns a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    pub id: WorkloadId,
    pub action: Action,
    /// `timeNano`, by the engine's clock.
    pub time: i128,
}

/// What happened to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A signal was sent to it; `None` if the engine does not say which.
    Kill(Option<Signal>),
    Die,
    Pause,
    Destroy,
    /// Anything else: only an inspection tells.
    Other,
}

/// Why an engine could not be asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("the engine at `{endpoint}` cannot be reached: {}", root(source))]
    Unreachable { endpoint: Arc<str>, source: Arc<bollard::errors::Error> },
    #[error("`{request}` had no answer within {seconds} s")]
    Timeout { request: &'static str, seconds: u64 },
    /// A filtering socket proxy does not let the request through.
    #[error("`{request}` is refused by the socket proxy; allow `{allow}`")]
    Refused { request: &'static str, allow: &'static str },
    #[error("`{request}` failed with status {status}: {message}")]
    Status { request: &'static str, status: u16, message: Arc<str> },
    #[error("the answer to `{request}` cannot be read: {message}")]
    Unreadable { request: &'static str, message: Arc<str> },
    #[error("the engine ended the event stream")]
    Ended,
}

/// The innermost cause: the layers above it only say that a request failed.
fn root(error: &bollard::errors::Error) -> String {
    if let bollard::errors::Error::SocketNotFoundError(_) = error {
        // bollard looks before it connects; the words are the system's, so that a loss is told once.
        return std::io::Error::from_raw_os_error(2).to_string();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

// === impl Version ===

impl Version {
    /// The newest version whose answers this program was written for.
    pub const NEWEST: Self = Self { major: 1, minor: 53 };

    /// The version to speak with an engine that offers `minimum..=newest`. Beyond what we know the engine's oldest is the best
    /// guess: fields that are read here have been the same since 1.24.
    pub fn settle(minimum: Option<Self>, newest: Self) -> Self {
        newest.min(Self::NEWEST.max(minimum.unwrap_or(newest)))
    }
}

/// `1.41`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Ok(Self { major: major.parse()?, minor: minor.parse()? })
    }
}

// === impl Error ===

impl Error {
    /// The engine's own status, if it gave one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Refused { .. }
            | Self::Unreadable { .. }
            | Self::Ended => None,
        }
    }

    /// What an operator can do about it, where the words do not say so.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { source, .. } if root(source).contains("Permission denied") => {
                Some("let this process open the socket: run it as root, or in the socket's group (`docker`)")
            }
            Self::Unreachable { .. } => Some("start the engine, or say where it is with `--docker`"),
            Self::Timeout { .. } => Some("the engine is stuck or overloaded: its own log says why"),
            Self::Refused { .. } | Self::Status { .. } | Self::Unreadable { .. } | Self::Ended => None,
        }
    }

    /// Whether it concerns one answer and not the engine: the rest goes on.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Status { .. } | Self::Unreadable { .. } => true,
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Ended => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn the_newest_version_that_both_know_is_spoken() {
        for (minimum, newest, settled) in [
            (Some("1.12"), "1.41", "1.41"),
            (None, "1.24", "1.24"),
            (Some("1.24"), "1.52", "1.52"),
            (Some("1.44"), "1.60", "1.53"),
            (Some("1.55"), "1.60", "1.55"),
            (Some("1.44"), "2.0", "1.53"),
        ] {
            let found = Version::settle(minimum.map(version), version(newest));
            assert_eq!(found.to_string(), settled, "for {minimum:?} to {newest}");
        }
    }

    #[test]
    fn a_refusal_names_the_endpoint_and_the_remedy() {
        let error = Error::Refused { request: "GET /events", allow: "EVENTS=1" };
        assert_eq!(error.to_string(), "`GET /events` is refused by the socket proxy; allow `EVENTS=1`");
    }
}
