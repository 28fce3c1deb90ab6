//! A server and a client of gRPC, as far as a proxy can tell.

use std::{error::Error, net::SocketAddr};

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Request, Response};
use portolan::runtime::Tasks;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::oneshot,
};

pub(super) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Answers every call with its name, and with what it heard as `heard-…`.
pub(super) struct GrpcBackend {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    /// Dropping it ends the server.
    _stop: oneshot::Sender<()>,
}

/// A connection.
pub(super) struct Client {
    sender: SendRequest<Bytes>,
    _tasks: Tasks,
}

/// What came of a call.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) trailers: HeaderMap,
}

// === impl GrpcBackend ===

impl GrpcBackend {
    pub(super) fn start(name: &'static str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (stop, mut stopped) = oneshot::channel();
        let serving = async move {
            let mut tasks = Tasks::new();
            // Accepting loses nothing when it is dropped half-way.
            while let Ok((stream, _)) = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = &mut stopped => return,
            } {
                tasks.spawn("connection", async move {
                    // A client that breaks off is its own business.
                    let _ = serve(stream, name).await;
                });
            }
        };
        std::thread::spawn(move || runtime.block_on(serving));
        Self { name, address, _stop: stop }
    }
}

async fn serve(stream: TcpStream, name: &'static str) -> Result<()> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(call) = connection.accept().await {
        let (request, mut reply) = call?;
        let mut response =
            Response::builder().header("content-type", "application/grpc").header("x-backend", name);
        for (key, value) in request.headers() {
            response = response.header(format!("heard-{key}"), value);
        }
        let mut stream = reply.send_response(response.body(())?, false)?;
        let trailers = HeaderMap::from_iter([("grpc-status".parse()?, HeaderValue::from_static("0"))]);
        stream.send_trailers(trailers)?;
    }
    Ok(())
}

// === impl Client ===

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self> {
        let (sender, connection) = h2::client::handshake(TcpStream::connect(address).await?).await?;
        let mut tasks = Tasks::new();
        tasks.spawn("client", async move {
            // What it says is said to whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Self { sender, _tasks: tasks })
    }

    pub(super) async fn call(&mut self, host: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let mut request = Request::post(format!("http://{host}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut sender = self.sender.clone().ready().await?;
        let (response, _) = sender.send_request(request.body(())?, true)?;
        let (head, mut body) = response.await?.into_parts();
        while let Some(data) = body.data().await {
            body.flow_control().release_capacity(data?.len())?;
        }
        let trailers = body.trailers().await?.unwrap_or_default();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, trailers })
    }
}

// === impl Answer ===

impl Answer {
    /// `a 0`, the backend's name and the code; the code alone where Portolan answers, or the status where there is none.
    pub(super) fn shown(&self) -> String {
        let code = self.trailers.get("grpc-status").or_else(|| self.headers.get("grpc-status"));
        let code =
            code.and_then(|code| code.to_str().ok()).map_or_else(|| self.status.to_string(), str::to_owned);
        match self.headers.get("x-backend").and_then(|name| name.to_str().ok()) {
            Some(name) => format!("{name} {code}"),
            None => code,
        }
    }

    /// A field as the backend got it.
    pub(super) fn heard(&self, name: &str) -> Option<&str> {
        self.headers.get(format!("heard-{name}"))?.to_str().ok()
    }
}
