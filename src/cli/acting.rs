//! Actions at the running controller: the token that they need, and what their answers mean.

use std::{fmt, path::Path, time::Duration};

use anyhow::Context as _;
use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    args::{ServerArgs, actions::TokenArgs},
    client::{Client, refused},
    exit::{Advised, Exit},
    progress::Progress,
};
use crate::admin::TokenFile;

/// A controller, and the right to act.
#[derive(Clone, Debug)]
pub struct Acting {
    client: Client,
}

/// An answer that says no, in the controller's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: StatusCode,
    pub reason: String,
    pub message: String,
}

/// How a container is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub id: String,
    pub name: String,
    pub phase: String,
    pub health: String,
    pub is_draining: bool,
    pub in_flight: u64,
}

/// What is under way at containers that are drained, when it is not waited for any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emptied {
    Empty,
    /// So many requests are left.
    Late(u64),
    /// One of them is not drained any more: it stopped, or somebody took the drain back.
    Ended(Look),
}

/// Between two questions.
pub const PAUSE: Duration = Duration::from_millis(100);

/// A container may take as long as its own grace period to stop.
const PATIENCE: Duration = Duration::from_mins(16);

// === impl Acting ===

impl Acting {
    /// Reads the token; without one only the controller can say that it is missing.
    pub async fn new(server: &ServerArgs, token: &TokenArgs) -> anyhow::Result<Self> {
        let client = Client::new(server.admin.clone()).patient(PATIENCE);
        let client = match &token.admin_token_file {
            Some(path) => client.with_token(&read(path).await?),
            None => client,
        };
        Ok(Self { client })
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Asks for something to be done: `drain`, `drain?force=true`, `stop`, ….
    pub async fn ask(
        &self,
        method: Method,
        container: &str,
        verb: &str,
    ) -> anyhow::Result<Result<Value, Refused>> {
        let container = utf8_percent_encode(container, NON_ALPHANUMERIC);
        let path = format!("/api/v1/containers/{container}/{verb}");
        let answer = self.client.ask(method, &path, String::new()).await?;
        let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        if answer.status == StatusCode::OK {
            return Ok(Ok(body));
        }
        match (body["reason"].as_str(), body["message"].as_str()) {
            (Some(reason), Some(message)) => {
                let (reason, message) = (reason.to_owned(), message.to_owned());
                Ok(Err(Refused { status: answer.status, reason, message }))
            }
            _ => Err(refused(&answer)),
        }
    }

    /// How it is; `None` where there is no such container.
    pub async fn look(&self, container: &str) -> anyhow::Result<Option<Look>> {
        match self.ask(Method::GET, container, "drain").await? {
            Ok(answer) => Ok(Some(Look::of(&answer))),
            Err(refused) if refused.status == StatusCode::NOT_FOUND => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }

    /// Waits until nothing is under way at any of these, which are drained.
    pub async fn empty(
        &self,
        containers: &[String],
        timeout: Duration,
        progress: &mut Progress,
    ) -> anyhow::Result<Emptied> {
        let until = Instant::now() + timeout;
        loop {
            let mut left = 0;
            for container in containers {
                match self.look(container).await? {
                    Some(look) if look.is_draining => left += look.in_flight,
                    Some(look) => return Ok(Emptied::Ended(look)),
                    None => {
                        let (id, phase) = (container.clone(), "gone".to_owned());
                        return Ok(Emptied::Ended(Look { name: id.clone(), id, phase, ..Look::default() }));
                    }
                }
            }
            let now = Instant::now();
            match left {
                0 => return Ok(Emptied::Empty),
                left if now >= until => return Ok(Emptied::Late(left)),
                left => progress.wait(&format!("waiting for {}", requests(left))),
            }
            tokio::time::sleep(PAUSE.min(until - now)).await;
        }
    }
}

async fn read(path: &Path) -> anyhow::Result<String> {
    TokenFile(path.to_owned()).read().await.context("`--admin-token-file` cannot be used")
}

/// `1 request under way`.
pub fn requests(number: u64) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} request{plural} under way")
}

// === impl Look ===

impl Look {
    pub fn of(answer: &Value) -> Self {
        let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        Self {
            id: text("id"),
            name: text("container"),
            phase: text("phase"),
            health: text("health"),
            is_draining: answer["draining"] == true,
            in_flight: answer["inFlight"].as_u64().unwrap_or_default(),
        }
    }
}

// === impl Refused ===

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What the state of a container forbids is a no; what this controller or token does not allow is trouble.
impl From<Refused> for anyhow::Error {
    fn from(refused: Refused) -> Self {
        let exit = match refused.status {
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => Exit::No,
            _ => Exit::Trouble,
        };
        let hint = match refused.status {
            StatusCode::UNAUTHORIZED => {
                "name the file of the token with `--admin-token-file` or `PORTOLAN_ADMIN_TOKEN_FILE`"
            }
            _ => "",
        };
        Advised { message: refused.message, hint: hint.to_owned(), exit }.into()
    }
}
