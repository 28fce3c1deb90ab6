//! Why a request goes where it goes: the lookup of [`Socket::find`] replayed, with a sentence for everyone who lost.

use std::{collections::BTreeMap, fmt, sync::Arc};

use http::Method;

use super::{Found, Listener, Request, Rule, Socket, index::Place, matching, table::Entry};
use crate::model::{HeaderMatch, HttpMatch, PathMatch, QueryMatch, ValueMatch};

/// All that was considered for one request.
#[derive(Debug)]
pub struct Explanation<'t> {
    /// The listeners of the socket, with the reason for and against each.
    pub listeners: Vec<(&'t Listener, Verdict)>,
    /// The matches that the chosen listener has for this host: first the winner, then those that lost to it, then those
    /// that do not fit.
    pub candidates: Vec<Candidate<'t>>,
    /// How many matches the chosen listener has for other hosts.
    pub elsewhere: usize,
    /// For a CORS preflight that goes where the request goes which it asks about: the method of that.
    pub preflight_for: Option<Method>,
}

/// One match of a rule.
#[derive(Debug)]
pub struct Candidate<'t> {
    pub rule: &'t Arc<Rule>,
    /// The most specific of its hostnames that takes the host; `*` where it has none.
    pub hostname: String,
    pub matches: &'t HttpMatch,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Wins,
    /// Fits too, but another comes first, because of this.
    Loses(String),
    /// The first condition that does not hold.
    Differs(String),
}

/// A match, as a person says it: `PathPrefix /api, method GET, header x-env: test`.
pub struct Described<'m>(pub &'m HttpMatch);

// === impl Socket ===

impl Socket {
    /// Explains what becomes of `request`. Looks at every match of the chosen listener: for people, not for traffic.
    pub fn explain(&self, request: &Request<'_>) -> Explanation<'_> {
        let chosen = match self.find(request) {
            Found::Rule { listener, .. } | Found::NoRoute { listener } => Some(listener),
            Found::NoListener => None,
        };
        let listeners = self.listeners.iter().map(|(place, listener)| {
            let verdict = match chosen {
                Some(chosen) if std::ptr::eq(chosen, &raw const **listener) => Verdict::Wins,
                Some(_) if place.takes(request.host) => {
                    Verdict::Loses("a more specific hostname comes first".into())
                }
                Some(_) | None => {
                    Verdict::Differs(format!("its hostname `{place}` does not take `{}`", request.host))
                }
            };
            (&**listener, verdict)
        });
        let asked = request.asked_for_by_preflight();
        let preflight_for = asked.filter(|method| {
            chosen
                .is_some_and(|listener| std::ptr::eq(listener.first_for_preflight(request, method).1, method))
        });
        let request = &Request { method: preflight_for.as_ref().unwrap_or(request.method), ..*request };
        let (candidates, elsewhere) =
            chosen.map_or_else(Default::default, |listener| listener.explain(request));
        Explanation { listeners: listeners.collect(), candidates, elsewhere, preflight_for }
    }
}

// === impl Listener ===

impl Listener {
    /// Every hostname that its routes have, as written; `*` for any.
    pub fn hostnames(&self) -> impl Iterator<Item = String> {
        self.hosts.iter().map(|(place, _)| place.to_string())
    }

    fn explain(&self, request: &Request<'_>) -> (Vec<Candidate<'_>>, usize) {
        let places = self.places(request.host);
        let place_of = |entry: &Arc<Entry>| {
            places.iter().find(|(known, _)| Arc::ptr_eq(known, entry)).map(|(_, place)| *place)
        };
        // In order of precedence, as traffic has it.
        let tried = self.hosts.candidates(request.host).flat_map(|routes| routes.candidates(request.path));
        let mut fitting: Vec<(&Arc<Entry>, Place<'_>)> = Vec::new();
        for entry in tried.filter(|entry| mismatch(&entry.matches, request).is_none()) {
            if !fitting.iter().any(|(known, _)| Arc::ptr_eq(known, entry)) {
                fitting.extend(place_of(entry).map(|place| (entry, place)));
            }
        }
        let mut candidates = Vec::new();
        for (index, (entry, place)) in fitting.iter().enumerate() {
            let verdict = match fitting.first() {
                Some((winner, first)) if index > 0 => {
                    Verdict::Loses(why_first((winner, first), (entry, place)).to_owned())
                }
                Some(_) | None => Verdict::Wins,
            };
            candidates.push(Candidate::new(entry, *place, verdict));
        }
        for (entry, place) in &places {
            if let Some(why) = mismatch(&entry.matches, request) {
                candidates.push(Candidate::new(entry, *place, Verdict::Differs(why)));
            }
        }
        (candidates, self.matches.saturating_sub(places.len()))
    }

    /// The entries that have a hostname which takes `host`, in order of precedence, with the most specific such.
    fn places(&self, host: &str) -> Vec<(&Arc<Entry>, Place<'_>)> {
        let mut places: Vec<(&Arc<Entry>, Place<'_>)> = Vec::new();
        let mut known: BTreeMap<*const Entry, usize> = BTreeMap::new();
        for (place, routes) in self.hosts.iter().filter(|(place, _)| place.takes(host)) {
            for entry in &routes.entries {
                let at = *known.entry(Arc::as_ptr(entry)).or_insert(places.len());
                match places.get_mut(at) {
                    Some((_, best)) if place.rank() > best.rank() => *best = place,
                    Some(_) => {}
                    None => places.push((entry, place)),
                }
            }
        }
        places.sort_by(|(one, _), (other, _)| one.order.cmp(&other.order));
        places
    }
}

// === impl Candidate ===

impl<'t> Candidate<'t> {
    fn new(entry: &'t Arc<Entry>, place: Place<'t>, verdict: Verdict) -> Self {
        let hostname = place.to_string();
        Self { rule: &entry.rule, hostname, matches: &entry.matches, verdict }
    }
}

// === impl Place ===

impl Place<'_> {
    fn takes(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name.as_str() == host,
            Self::Below(suffix) => host
                .strip_suffix(suffix.as_str())
                .is_some_and(|front| front.len() > 1 && front.ends_with('.')),
            Self::Anywhere => true,
        }
    }

    /// The more specific, the greater.
    fn rank(&self) -> (u8, usize) {
        match self {
            Self::Exact(_) => (2, 0),
            Self::Below(suffix) => (1, suffix.as_str().len()),
            Self::Anywhere => (0, 0),
        }
    }
}

/// The first rule of precedence by which one match comes before another that fits too.
fn why_first(winner: (&Entry, &Place<'_>), loser: (&Entry, &Place<'_>)) -> &'static str {
    let (won, lost) = (&winner.0.matches, &loser.0.matches);
    let kind = |path: &PathMatch| match path {
        PathMatch::Exact(_) => 0,
        PathMatch::Regex(_) => 1,
        PathMatch::Prefix(_) | PathMatch::Method(_) => 2,
    };
    if winner.1.rank() != loser.1.rank() {
        return "a more specific hostname comes first";
    }
    match (kind(&won.path), kind(&lost.path)) {
        (0, 1..) => return "an exact path comes first",
        (1, 2) => return "a regular expression comes before a prefix",
        _ => {}
    }
    if let (PathMatch::Prefix(won), PathMatch::Prefix(lost)) = (&won.path, &lost.path)
        && won.len() != lost.len()
    {
        return "a longer prefix comes first";
    }
    if won.method.is_some() != lost.method.is_some() {
        return "a match that names the method comes first";
    }
    if won.headers.len() != lost.headers.len() {
        return "more header conditions come first";
    }
    if won.query.len() != lost.query.len() {
        return "more query conditions come first";
    }
    if winner.0.rule.route == loser.0.rule.route {
        return "the earlier rule of a route comes first";
    }
    "documents come before labels, then the older route, then the first by name"
}

/// The first condition of a match that a request does not meet, as a sentence.
fn mismatch(matches: &HttpMatch, request: &Request<'_>) -> Option<String> {
    let path = request.path;
    let wrong_path = match &matches.path {
        PathMatch::Exact(exact) => (path != &**exact).then(|| format!("the path `{path}` is not `{exact}`")),
        PathMatch::Prefix(prefix) => {
            let fits =
                path.strip_prefix(&**prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            let shown = if prefix.is_empty() { "/" } else { prefix };
            (!fits).then(|| format!("the path `{path}` is not below `{shown}`"))
        }
        PathMatch::Regex(pattern) => (!pattern.matches(path))
            .then(|| format!("the path `{path}` does not match the expression `{}`", pattern.as_str())),
        PathMatch::Method(method) => (!PathMatch::is_method(method, path))
            .then(|| format!("the path `{path}` does not name the gRPC method `{method}`")),
    };
    if wrong_path.is_some() {
        return wrong_path;
    }
    if let Some(method) = &matches.method
        && method != request.method
    {
        return Some(format!("the method is `{}`, not `{method}`", request.method));
    }
    let header = matches.headers.iter().find(|header| !matching::header(header, request.headers));
    if let Some(HeaderMatch { name, value }) = header {
        let found = match request.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes())) {
            Some(found) => format!("is `{found}`"),
            None => "is not there".to_owned(),
        };
        return Some(format!("the header `{name}` {found}, which is not {}", Wanted(value)));
    }
    let param = matches.query.iter().find(|param| !matching::query(param, request.query));
    param.map(|QueryMatch { name, value }| format!("the query parameter `{name}` is not {}", Wanted(value)))
}

struct Wanted<'v>(&'v ValueMatch);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ValueMatch::Exact(value) => write!(f, "`{value}`"),
            ValueMatch::MediaType(media) => write!(f, "`{media}`"),
            ValueMatch::Regex(pattern) => write!(f, "a match of `{}`", pattern.as_str()),
        }
    }
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.path {
            PathMatch::Exact(path) => write!(f, "path {path}")?,
            PathMatch::Prefix(prefix) if prefix.is_empty() => f.write_str("prefix /")?,
            PathMatch::Prefix(prefix) => write!(f, "prefix {prefix}")?,
            PathMatch::Regex(pattern) => write!(f, "expression {}", pattern.as_str())?,
            PathMatch::Method(method) => write!(f, "gRPC method {method}")?,
        }
        if let Some(method) = &self.0.method {
            write!(f, ", method {method}")?;
        }
        let value = |value: &ValueMatch| match value {
            ValueMatch::Exact(value) => value.to_string(),
            ValueMatch::MediaType(media) => (*media).to_owned(),
            ValueMatch::Regex(pattern) => format!("~{}", pattern.as_str()),
        };
        for header in &self.0.headers {
            write!(f, ", header {}: {}", header.name, value(&header.value))?;
        }
        for param in &self.0.query {
            write!(f, ", query {}={}", param.name, value(&param.value))?;
        }
        Ok(())
    }
}
