//! Asks the running controller.

use std::{io, time::Duration};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use super::{args::ServerAddress, exit::Advised};
use crate::runtime::tasks::Tasks;

/// Where the controller answers.
#[derive(Clone, Debug)]
pub struct Client {
    address: ServerAddress,
    /// What actions show.
    token: Option<HeaderValue>,
    /// How long an answer that is read to its end may take.
    patience: Duration,
}

/// An answer that was read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// An answer that is read line by line.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// The connection, which reads for the body.
    _tasks: Tasks,
}

/// How long the head of an answer, and each list, may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// More than this is not a list that we would have made.
const MAX_BODY: usize = 1 << 30;

/// Runs what a command does on this thread.
pub fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(future)
}

/// A path with its query, each part escaped.
pub fn list_path(plural: &str, query: &[(&str, Option<&str>)]) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let mut path = format!("/api/v1/{plural}");
    let mut mark = '?';
    for (name, value) in query {
        if let Some(value) = value {
            path.push(mark);
            path.push_str(name);
            path.push('=');
            path.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
            mark = '&';
        }
    }
    path
}

// === impl Client ===

impl Client {
    pub fn new(address: ServerAddress) -> Self {
        Self { address, token: None, patience: TIMEOUT }
    }

    /// Shows this token with every request.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = HeaderValue::try_from(format!("Bearer {token}")).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        self
    }

    /// Waits longer for answers.
    #[must_use]
    pub fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Reads an answer to its end, whatever its status.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask(Method::GET, path, String::new()).await
    }

    /// Sends JSON and reads the answer to its end, whatever its status.
    pub async fn post(&self, path: &str, body: String) -> anyhow::Result<Answer> {
        self.ask(Method::POST, path, body).await
    }

    /// Asks and reads the answer to its end, whatever its status.
    pub async fn ask(&self, method: Method, path: &str, body: String) -> anyhow::Result<Answer> {
        let reading = async {
            let (status, body, _tasks) = self.send(method, path, body).await?;
            let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| self.broken(error))?;
            Ok(Answer { status, body: body.to_bytes() })
        };
        tokio::time::timeout(self.patience, reading).await.map_err(|_| self.slow())?
    }

    /// The objects of a list.
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.get(path).await?;
        if answer.status != StatusCode::OK {
            return Err(refused(&answer));
        }
        let mut list: Value = serde_json::from_slice(&answer.body).map_err(|error| self.broken(error))?;
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            Some(_) | None => Err(self.broken(io::Error::other("the answer is not a list"))),
        }
    }

    /// An answer that does not end by itself.
    pub async fn lines(&self, path: &str) -> anyhow::Result<Lines> {
        let sending = tokio::time::timeout(TIMEOUT, self.send(Method::GET, path, String::new()));
        let (status, body, tasks) = sending.await.map_err(|_| self.slow())??;
        if status != StatusCode::OK {
            let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| self.broken(error))?;
            return Err(refused(&Answer { status, body: body.to_bytes() }));
        }
        Ok(Lines { body, buffer: BytesMut::new(), _tasks: tasks })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> anyhow::Result<(StatusCode, Incoming, Tasks)> {
        match &self.address {
            ServerAddress::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                self.exchange(stream, self.request(method, path, &format!("{host}:{port}"), body)?).await
            }
            ServerAddress::Unix(socket) => {
                let request = self.request(method, path, "localhost", body)?;
                self.exchange(UnixStream::connect(socket).await, request).await
            }
            ServerAddress::Off => {
                let hint = "name its address with `--admin`, or start the controller with one";
                Err(Advised::new("the admin API is turned off (`--admin off` or `PORTOLAN_ADMIN=off`)", hint)
                    .into())
            }
        }
    }

    async fn exchange(
        &self,
        stream: io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<(StatusCode, Incoming, Tasks)> {
        let stream = stream.map_err(|error| self.unreachable(error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(error))?;
        let mut tasks = Tasks::new();
        tasks.spawn("admin connection", async move {
            // What goes wrong here is told by the answer's end.
            let _ = connection.await;
        });
        let response = sender.send_request(request).await.map_err(|error| self.broken(error))?;
        Ok((response.status(), response.into_body(), tasks))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        host: &str,
        body: String,
    ) -> http::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        request.header(header::CONTENT_TYPE, "application/json").body(Full::from(body))
    }

    fn unreachable(&self, error: io::Error) -> anyhow::Error {
        let hint = if error.kind() == io::ErrorKind::PermissionDenied {
            "the socket is for the controller's own user: run as that user"
        } else {
            "is `portolan run` running there? name another address with `--admin` or `PORTOLAN_ADMIN`"
        };
        let message = format!("nothing answers at `{}`", self.address);
        anyhow::Error::new(error).context(Advised::new(message, hint))
    }

    fn broken(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> anyhow::Error {
        let hint = "does something else than Portolan listen there?";
        let message = format!("what answers at `{}` is not understood", self.address);
        anyhow::Error::from_boxed(error.into()).context(Advised::new(message, hint))
    }

    fn slow(&self) -> anyhow::Error {
        anyhow::anyhow!("`{}` did not answer within {} s", self.address, self.patience.as_secs())
    }
}

/// The words of an answer that says no.
pub(super) fn refused(answer: &Answer) -> anyhow::Error {
    let status = answer.status;
    let words = serde_json::from_slice::<Value>(&answer.body)
        .ok()
        .and_then(|body| Some(body.get("message")?.as_str()?.to_owned()));
    match words {
        Some(words) => anyhow::anyhow!("the controller refuses ({status}): {words}"),
        None => anyhow::anyhow!("the controller refuses ({status})"),
    }
}

// === impl Lines ===

impl Lines {
    /// The next line as JSON; `None` when the controller has ended the stream.
    pub async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            anyhow::ensure!(self.buffer.len() <= MAX_BODY, "a line of the answer does not end");
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame.context("the controller went away")?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_escaped() {
        let path =
            list_path("routes", &[("namespace", None), ("name", Some("a&b c/ü")), ("watch", Some("true"))]);
        assert_eq!(path, "/api/v1/routes?name=a%26b%20c%2F%C3%BC&watch=true");
        assert_eq!(list_path("routes", &[("name", None)]), "/api/v1/routes");
    }

    #[test]
    fn silence_is_told_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let client = Client::new(ServerAddress::Unix(directory.path().join("none.sock")));
        let error = block_on(client.get("/healthz")).unwrap_err();
        let advised = error.downcast_ref::<Advised>().unwrap();
        assert!(advised.message.starts_with("nothing answers at `unix:"), "{advised:?}");
        assert!(advised.hint.contains("`PORTOLAN_ADMIN`"), "{advised:?}");
    }
}
