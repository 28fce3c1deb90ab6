//! `/api/v1/explain`: what becomes of a request, and why everything else did not get it.

mod backends;

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    model::{Allowed, HttpFilter, Report},
    route::{
        Choice, Listener, Request, Rule, Socket, Table,
        explain::{Candidate, Described, Explanation, Verdict},
        path, tells_of_client,
    },
};
use backends::{render_choice, timeouts};

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// `http://shop.example.com/books?page=2`; without a scheme it is `http`.
    pub url: String,
    /// Default `GET`.
    pub method: Option<String>,
    /// `Name: value` in lines.
    pub headers: Option<String>,
}

/// A request to explain, checked.
#[derive(Debug)]
struct Asked {
    method: Method,
    https: bool,
    host: String,
    /// As written in the URL.
    port: Option<u16>,
    path: String,
    query: Option<String>,
    /// As a backend gets them, as far as can be known.
    headers: HeaderMap,
    /// Fields of the question that only a trusted proxy may send.
    told: Vec<HeaderName>,
}

/// What runs, and the time in seconds since 1970.
type Known<'r> = (&'r Report, i64);

/// Candidates that are told of; the rest is a number.
const MOST: usize = 40;

/// The answer as JSON; an error is a question that cannot be answered, in words. `now` is in seconds since 1970.
pub fn explain(
    table: &Table,
    allowed: Allowed,
    (report, now): (&Report, i64),
    query: &Query,
) -> Result<Value, String> {
    let asked = Asked::read(query)?;
    let mut out = json!({"kind": "Explanation", "request": asked.render()});
    let path = match path::canonical_if(&asked.path, allowed) {
        Ok(path) => path,
        Err(refused) => {
            out["answer"] = json!({"status": 400, "why": format!("the path is refused: {refused}")});
            return Ok(out);
        }
    };
    let Some((address, socket, note)) = socket(table, &asked) else {
        out["answer"] = json!({"status": null, "why": nothing_listens(table, &asked)});
        return Ok(out);
    };
    let explanation = socket.explain(&asked.request(&path::decoded(&path)));
    out["socket"] = address.to_string().into();
    let preflight = explanation.preflight_for.as_ref().map(|method| {
        format!("a CORS preflight is answered by the rule of the {method} request that it asks about")
    });
    let note: Vec<String> = note
        .into_iter()
        .chain(preflight)
        .chain(asked.not_believed())
        .chain(asked.left_out(allowed))
        .collect();
    out["note"] = if note.is_empty() { Value::Null } else { note.join("; ").into() };
    out["listeners"] =
        explanation.listeners.iter().map(|(listener, verdict)| render_listener(listener, verdict)).collect();
    out["candidates"] = explanation.candidates.iter().take(MOST).map(render_candidate).collect();
    out["more"] = explanation.candidates.len().saturating_sub(MOST).into();
    out["elsewhere"] = explanation.elsewhere.into();
    out["answer"] = answer(&explanation, (report, now), &asked);
    Ok(out)
}

// === the question ===

impl Asked {
    fn read(query: &Query) -> Result<Self, String> {
        let text = query.url.trim();
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = full.parse().map_err(|error| format!("`{text}` is not a URL: {error}"))?;
        let https = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            other => return Err(format!("`{}` is not a scheme of HTTP", other.unwrap_or_default())),
        };
        let method = query.method.as_deref().unwrap_or("GET");
        let method = method.parse().map_err(|_| format!("`{method}` is not a method"))?;
        let mut headers = HeaderMap::new();
        for line in
            query.headers.as_deref().unwrap_or_default().lines().filter(|line| !line.trim().is_empty())
        {
            let (name, value) =
                line.split_once(':').ok_or_else(|| format!("`{line}` is not `Name: value`"))?;
            let name =
                HeaderName::try_from(name.trim()).map_err(|_| format!("`{name}` is not a header's name"))?;
            let value =
                HeaderValue::try_from(value.trim()).map_err(|_| format!("`{name}` has no valid value"))?;
            headers.append(name, value);
        }
        // What a stranger says of itself chooses no route.
        let told: Vec<HeaderName> =
            headers.keys().filter(|name| tells_of_client(name.as_str())).cloned().collect();
        for name in &told {
            headers.remove(name);
        }
        // As a client does: what it says it wants is the host, wherever it connects to.
        let said = headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        let host = said.as_deref().or_else(|| uri.host()).unwrap_or_default();
        let host = if host.starts_with('[') { host } else { host.split(':').next().unwrap_or_default() };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let port = uri.port_u16();
        let scheme = if https { "https" } else { "http" };
        headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme));
        let (usual, shown) = (if https { 443 } else { 80 }, &host);
        headers.insert("x-forwarded-port", HeaderValue::from(port.unwrap_or(usual)));
        if let Ok(host) = HeaderValue::try_from(shown) {
            headers.insert("x-forwarded-host", host);
        }
        Ok(Self {
            told,
            method,
            https,
            host,
            port,
            path: if uri.path().is_empty() { "/".to_owned() } else { uri.path().to_owned() },
            query: uri.query().map(str::to_owned),
            headers,
        })
    }

    fn request<'a>(&'a self, path: &'a str) -> Request<'a> {
        Request {
            host: &self.host,
            path,
            query: self.query.as_deref(),
            method: &self.method,
            headers: &self.headers,
        }
    }

    /// Which fields of the question do not count, in words.
    fn not_believed(&self) -> Option<String> {
        let names: Vec<String> = self.told.iter().map(|name| format!("`{name}`")).collect();
        (!names.is_empty()).then(|| {
            format!(
                "{} counts only from an address of `trustedProxies`; this is what happens to anybody else's request",
                names.join(", ")
            )
        })
    }

    /// Which fields no backend gets, in words.
    fn left_out(&self, allowed: Allowed) -> Option<String> {
        if !allowed.leaves_out_underscores(&self.headers) {
            return None;
        }
        let odd = self.headers.keys().filter(|name| name.as_str().contains('_'));
        let names: Vec<String> = odd.map(|name| format!("`{name}`")).collect();
        (!names.is_empty()).then(|| {
            format!(
                "no backend gets {} without `--allow underscore`: CGI takes `_` for `-`",
                names.join(", ")
            )
        })
    }

    fn is_preflight(&self) -> bool {
        self.request("").asked_for_by_preflight().is_some()
    }

    fn default_port(&self) -> u16 {
        if self.https { 443 } else { 80 }
    }

    fn render(&self) -> Value {
        json!({
            "method": self.method.as_str(),
            "scheme": if self.https { "https" } else { "http" },
            "host": self.host,
            "port": self.port.unwrap_or_else(|| self.default_port()),
            "path": self.path,
            "query": self.query,
        })
    }
}

/// The socket that takes such a request. Where the URL names no port and nothing listens on the usual one, a socket
/// that speaks the scheme; then with a note.
fn socket<'t>(table: &'t Table, asked: &Asked) -> Option<(SocketAddr, &'t Socket, Option<String>)> {
    let wanted = asked.port.unwrap_or_else(|| asked.default_port());
    let speaks = |socket: &Socket| socket.listeners().any(|listener| listener.tls.is_some() == asked.https);
    let all = || table.sockets().filter_map(|address| Some((*address, table.socket(address)?)));
    let on_port = all().filter(|(address, _)| address.port() == wanted);
    // All addresses of both families take what no other does.
    let best =
        on_port.min_by_key(|(address, _)| (!address.ip().is_unspecified(), address.is_ipv4(), *address));
    if let Some((address, socket)) = best {
        let scheme = if asked.https { "plaintext" } else { "TLS" };
        let note =
            (!speaks(socket)).then(|| format!("port {wanted} speaks {scheme}, which the URL does not say"));
        return Some((address, socket, note));
    }
    if asked.port.is_some() {
        return None;
    }
    let (address, socket) = all().find(|(_, socket)| speaks(socket))?;
    let note = format!("nothing listens on port {wanted}; this is what port {} does with it", address.port());
    Some((address, socket, Some(note)))
}

fn nothing_listens(table: &Table, asked: &Asked) -> String {
    let port = asked.port.unwrap_or_else(|| asked.default_port());
    let sockets: Vec<String> = table.sockets().map(ToString::to_string).collect();
    let there = if sockets.is_empty() {
        "nothing at all is listened on".to_owned()
    } else {
        format!("there is {}", sockets.join(", "))
    };
    format!("nothing listens on port {port}: {there}")
}

// === the answer ===

fn render_listener(listener: &Listener, verdict: &Verdict) -> Value {
    let (word, why) = words(verdict);
    json!({"name": listener.name, "port": listener.port.get(), "verdict": word, "why": why})
}

fn render_candidate(candidate: &Candidate<'_>) -> Value {
    let (word, why) = words(&candidate.verdict);
    json!({
        "route": candidate.rule.route,
        "rule": candidate.rule.rule,
        "hostname": candidate.hostname,
        "match": Described(candidate.matches).to_string(),
        "verdict": word,
        "why": why,
    })
}

fn words(verdict: &Verdict) -> (&'static str, &str) {
    match verdict {
        Verdict::Wins => ("wins", ""),
        Verdict::Loses(why) => ("loses", why),
        Verdict::Differs(why) => ("differs", why),
    }
}

fn answer(explanation: &Explanation<'_>, known: Known<'_>, asked: &Asked) -> Value {
    let winner = explanation.candidates.iter().find(|candidate| candidate.verdict == Verdict::Wins);
    if let Some(winner) = winner {
        return served(winner.rule, known, asked);
    }
    let chosen = explanation.listeners.iter().find(|(_, verdict)| *verdict == Verdict::Wins);
    let why = match chosen {
        None => format!("no listener of this port takes the host `{}`", asked.host),
        Some((listener, _)) if explanation.candidates.is_empty() => {
            let near = nearest(listener, &asked.host).map(|near| format!("; the nearest is `{near}`"));
            format!(
                "no route of listener `{}` has the host `{}`{}",
                listener.name,
                asked.host,
                near.unwrap_or_default()
            )
        }
        Some((listener, _)) => {
            format!(
                "listener `{}` has routes for `{}`, but none fits the rest of the request",
                listener.name, asked.host
            )
        }
    };
    json!({"status": 404, "why": why})
}

fn nearest(listener: &Listener, host: &str) -> Option<String> {
    let close = |name: &String| strsim::jaro_winkler(name, host);
    listener.hostnames().filter(|name| close(name) > 0.8).max_by(|a, b| close(a).total_cmp(&close(b)))
}

fn served(rule: &Arc<Rule>, known: Known<'_>, asked: &Asked) -> Value {
    const PREFLIGHT: &str = "a CORS filter answers preflights";
    let mut out = json!({"route": rule.route, "rule": rule.rule});
    if let Some(reason) = &rule.invalid {
        out["status"] = 500.into();
        out["why"] = (&**reason).into();
        return out;
    }
    let is_answered = |filters: &[HttpFilter]| {
        asked.is_preflight() && filters.iter().any(|filter| matches!(filter, HttpFilter::Cors(_)))
    };
    if is_answered(&rule.filters) {
        out["status"] = 204.into();
        out["why"] = PREFLIGHT.into();
        return out;
    }
    let redirects = |filters: &[HttpFilter]| {
        filters.iter().find_map(|filter| {
            if let HttpFilter::Redirect(redirect) = filter { Some(redirect.status.as_u16()) } else { None }
        })
    };
    if let Some(status) = redirects(&rule.filters) {
        out["status"] = status.into();
        out["why"] = "the rule redirects".into();
        return out;
    }
    let choices = rule.backends.choices();
    if choices.iter().all(|choice| choice.weight == 0) {
        out["status"] = 500.into();
        out["why"] = "the rule has no backend of weight above 0".into();
    }
    let render = |choice: &Choice| {
        let mut out = render_choice(choice, known);
        if is_answered(&choice.filters) {
            out["status"] = 204.into();
            out["why"] = PREFLIGHT.into();
        }
        out
    };
    out["backends"] = choices.iter().map(render).collect();
    out["timeouts"] = timeouts(rule);
    out
}
