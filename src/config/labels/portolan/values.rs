//! The values of labels: texts that have to parse, and what to say when they do not.

use std::{num::NonZeroU16, sync::Arc};

use super::super::claims::Sticky;
use crate::{
    api::{
        self, HealthUse, HttpPathMatch, HttpRouteMatch, HttpRouteRule, LoadBalancingPolicy, PathMatchType,
    },
    config::{diagnostic::nearest, rules},
    model::{HostPattern, HttpsUse, Scheme},
};

/// A value that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) found: String,
    pub(super) expected: String,
    pub(super) hint: Option<String>,
}

/// More hosts than this in one label are left out.
const MAX_HOSTS: usize = 128;
const MAX_HOST: usize = 253;
const MAX_PATH: usize = 1024;
const MAX_WEIGHT: u32 = 1_000_000;
const MAX_NETWORK: usize = 253;

pub(super) fn boolean(text: &str) -> Result<bool, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(Wrong::new(text, "`true` or `false`").suggest(nearest(text, ["true", "false"]))),
    }
}

/// Hosts with commas (or blanks) in between; a bad one leaves the others.
pub(super) fn hosts(text: &str) -> Vec<Result<HostPattern, Wrong>> {
    let parts =
        || text.split(|letter: char| letter == ',' || letter.is_whitespace()).filter(|part| !part.is_empty());
    let mut hosts: Vec<Result<HostPattern, Wrong>> = parts().take(MAX_HOSTS).map(host).collect();
    if hosts.is_empty() {
        hosts.push(Err(Wrong::new(text, "one or more host names with commas in between")));
    }
    if parts().nth(MAX_HOSTS).is_some() {
        hosts.push(Err(Wrong::new(
            &format!("{} host names", parts().count()),
            &format!("at most {MAX_HOSTS}"),
        )));
    }
    hosts
}

fn host(text: &str) -> Result<HostPattern, Wrong> {
    let wrong = || Wrong::new(text, "a host name such as `shop.example.com` or `*.example.com`");
    if let Some((_, rest)) = text.split_once("://") {
        let name = rest.split(['/', ':']).next().unwrap_or_default();
        return Err(wrong().hint(format!("write the name alone: `{name}`")));
    }
    if let Some((name, _)) = text.split_once('/') {
        return Err(wrong().hint(format!("write the name alone, `{name}`; a path goes into `portolan.path`")));
    }
    if let Some((name, port)) = text.rsplit_once(':')
        && !name.contains(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(
            wrong().hint(format!("write the name alone: `{name}` is served on every port of the Gateway"))
        );
    }
    match HostPattern::parse(text) {
        Ok(pattern) if pattern.to_string().len() <= MAX_HOST => Ok(pattern),
        Ok(_) => Err(wrong().hint(format!("a host name has at most {MAX_HOST} characters"))),
        Err(why) => Err(wrong().hint(why.to_string())),
    }
}

/// A path prefix, without the slash at its end.
pub(super) fn path(text: &str) -> Result<Arc<str>, Wrong> {
    let wrong = || Wrong::new(text, "a path prefix such as `/api`");
    if !text.is_empty() && !text.starts_with('/') && !text.contains("://") {
        return Err(wrong().hint(format!("begin it with a slash: `/{text}`")));
    }
    if text.len() > MAX_PATH {
        return Err(wrong().hint(format!("a path has at most {MAX_PATH} characters")));
    }
    // Documents have the same rules, and only one place says them.
    let one = HttpPathMatch { kind: Some(PathMatchType::PathPrefix), value: Some(text.to_owned()) };
    let matches = vec![HttpRouteMatch { path: Some(one), ..HttpRouteMatch::default() }];
    let mut route = api::HttpRoute::default();
    route.spec.rules = vec![HttpRouteRule { matches, ..HttpRouteRule::default() }];
    match rules::check(&api::Object::HttpRoute(Box::new(route))).into_iter().next() {
        Some(violation) => Err(wrong().hint(violation.message)),
        None => Ok(text.trim_end_matches('/').into()),
    }
}

pub(super) fn port(text: &str) -> Result<NonZeroU16, Wrong> {
    let wrong = || Wrong::new(text, "a port from 1 to 65535");
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = text.split(['/', ':']).find(|part| part.parse::<NonZeroU16>().is_ok());
        return Err(match number.filter(|_| text.contains(['/', ':'])) {
            Some(_) => wrong().hint("write the port inside the container alone, such as `8080`"),
            None => wrong(),
        });
    }
    text.parse().map_err(|_| wrong())
}

pub(super) fn scheme(text: &str) -> Result<Scheme, Wrong> {
    const SCHEMES: [Scheme; 3] = [Scheme::Http, Scheme::Https, Scheme::H2c];
    let found = SCHEMES.into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        Wrong::new(text, "`http`, `https` or `h2c`").suggest(nearest(text, SCHEMES.map(Scheme::as_str)))
    })
}

pub(super) fn network(text: &str) -> Result<Arc<str>, Wrong> {
    if text.is_empty() || text.len() > MAX_NETWORK || text.contains(char::is_whitespace) {
        return Err(Wrong::new(text, "the name of a network that the container is on"));
    }
    Ok(text.into())
}

pub(super) fn balancing(text: &str) -> Result<LoadBalancingPolicy, Wrong> {
    const POLICIES: [(&str, LoadBalancingPolicy); 6] = [
        ("RoundRobin", LoadBalancingPolicy::RoundRobin),
        ("LeastRequest", LoadBalancingPolicy::LeastRequest),
        ("Random", LoadBalancingPolicy::Random),
        ("RingHash", LoadBalancingPolicy::RingHash),
        ("Maglev", LoadBalancingPolicy::Maglev),
        ("SourceIP", LoadBalancingPolicy::SourceIp),
    ];
    let found = POLICIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, policy)| *policy).ok_or_else(|| {
        let names = POLICIES.map(|(name, _)| name);
        let expected = names.map(|name| format!("`{name}`")).join(", ");
        Wrong::new(text, &format!("one of {expected}")).suggest(nearest(text, names))
    })
}

pub(super) fn sticky(text: &str) -> Result<Sticky, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "cookie" => Ok(Sticky::Cookie),
        "false" => Ok(Sticky::Not),
        _ => Err(Wrong::new(text, "`cookie` or `false`").suggest(nearest(text, ["cookie"]))),
    }
}

/// Where clients of plain HTTP are sent.
pub(super) fn redirect(text: &str) -> Result<HttpsUse, Wrong> {
    if text.eq_ignore_ascii_case("https") {
        return Ok(HttpsUse::Redirect);
    }
    Err(Wrong::new(text, "`https`").suggest(nearest(text, ["https"])))
}

pub(super) fn health(text: &str) -> Result<HealthUse, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "require" => Ok(HealthUse::Require),
        "prefer" => Ok(HealthUse::Prefer),
        _ => {
            let near = nearest(text, ["require", "prefer"]);
            let wrong = Wrong::new(text, "`require` or `prefer`");
            Err(match near {
                None if text.starts_with('/') => wrong.hint("a path goes into `portolan.health.path`"),
                near => wrong.suggest(near),
            })
        }
    }
}

/// A path that answers well as long as the container does.
pub(super) fn health_path(text: &str) -> Result<Arc<str>, Wrong> {
    let is_valid =
        text.starts_with('/') && text.len() <= MAX_PATH && text.parse::<http::uri::PathAndQuery>().is_ok();
    if is_valid { Ok(text.into()) } else { Err(Wrong::new(text, "a path such as `/healthz`")) }
}

pub(super) fn weight(text: &str) -> Result<u32, Wrong> {
    let weight = text.parse().ok().filter(|weight| *weight <= MAX_WEIGHT && !text.starts_with('+'));
    weight.ok_or_else(|| Wrong::new(text, "a whole number from 0 to 1000000"))
}

// === impl Wrong ===

impl Wrong {
    fn new(found: &str, expected: &str) -> Self {
        Self { found: found.to_owned(), expected: expected.to_owned(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn suggest(self, near: Option<&str>) -> Self {
        match near {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None => self,
        }
    }
}
