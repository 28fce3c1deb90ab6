//! Three small servers that say who they are: in text for `curl`, in colour for a browser.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::runtime::tasks::Tasks;

/// One of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flavour {
    pub name: &'static str,
    /// As CSS has it.
    colour: &'static str,
    /// How long it takes to answer.
    delay: Duration,
}

/// At most so many connections to each at once: they are for one person.
const MAX_CONNECTIONS: usize = 256;

pub const ALL: [Flavour; 3] = [
    Flavour { name: "blue", colour: "#2563eb", delay: Duration::ZERO },
    Flavour { name: "green", colour: "#16a34a", delay: Duration::ZERO },
    Flavour { name: "amber", colour: "#d97706", delay: Duration::from_millis(700) },
];

/// Starts all three on free ports of the loopback address; they run as long as `tasks`.
pub async fn start(tasks: &mut Tasks) -> io::Result<[SocketAddr; 3]> {
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 3];
    for (flavour, address) in ALL.into_iter().zip(&mut addresses) {
        let listener = TcpListener::bind(*address).await?;
        *address = listener.local_addr()?;
        tasks.spawn(flavour.name, serve(listener, flavour));
    }
    Ok(addresses)
}

async fn serve(listener: TcpListener, flavour: Flavour) {
    let mut connections = Tasks::new();
    loop {
        // Nothing is lost by the arm that does not win.
        tokio::select! {
            _ = connections.ended() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn("demo connection", converse(stream, flavour));
                }
            }
        }
    }
}

async fn converse(stream: TcpStream, flavour: Flavour) {
    let answer = move |request: Request<Incoming>| async move {
        tokio::time::sleep(flavour.delay).await;
        Ok::<_, Infallible>(flavour.answer(&request))
    };
    // A connection that breaks is none of our business.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
}

// === impl Flavour ===

impl Flavour {
    fn answer<B>(self, request: &Request<B>) -> Response<Full<Bytes>> {
        let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        let (kind, body) = if accepts.is_some_and(|accept| accept.contains("text/html")) {
            ("text/html; charset=utf-8", self.page())
        } else {
            ("text/plain; charset=utf-8", self.text(request))
        };
        let mut response = Response::new(Full::from(body));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Who answers, and what of the request got here.
    fn text<B>(self, request: &Request<B>) -> String {
        let header = |name| {
            let value = request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
            value.unwrap_or("-").to_owned()
        };
        format!("{}   {} {} for {}\n", self.name, request.method(), request.uri().path(), header("host"))
    }

    /// A page that asks again and again, and draws a square for each answer.
    fn page(self) -> String {
        let colours: Vec<_> =
            ALL.iter().map(|flavour| format!("{:?}:{:?}", flavour.name, flavour.colour)).collect();
        include_str!("page.html")
            .replace("{{name}}", self.name)
            .replace("{{colour}}", self.colour)
            .replace("{{colours}}", &format!("{{{}}}", colours.join(",")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_a_page_and_others_get_text() {
        let request = |accept: &str| {
            Request::get("/a").header("host", "demo.localhost").header("accept", accept).body(()).unwrap()
        };
        let kind = |accept: &str| ALL[0].answer(&request(accept)).headers()[header::CONTENT_TYPE].clone();
        assert_eq!(kind("text/html,*/*"), "text/html; charset=utf-8");
        assert_eq!(kind("*/*"), "text/plain; charset=utf-8");
        assert_eq!(ALL[1].text(&request("*/*")), "green   GET /a for demo.localhost\n");
        assert!(!ALL[2].page().contains("{{"), "{}", ALL[2].page());
    }
}
