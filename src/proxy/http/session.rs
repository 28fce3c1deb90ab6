//! Sessions: a client comes back to the endpoint that it was at. Nothing is remembered here: the client carries the
//! endpoint's id, which is the same after a new table and a restart, and tells a stranger nothing.
//!
//! An id is made of the endpoint's name and port, not of its address: a container that was recreated gets its clients back.
//! Only where one name stands for several endpoints (a host name with many addresses, a backend that is referred to twice) is
//! it made of the address too.
//! Where a session has an end, id and end are signed: a client could write another end.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::SystemTime,
};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    model::{Session, SessionCarrier},
    route::{self, Address, Target},
};

/// Makes the ids of endpoints. Equal secrets make equal ids.
#[derive(Clone, Debug)]
pub struct SessionKey(hmac::Key);

/// What a rule says of sessions, with its endpoints by id.
pub(in crate::proxy) struct Sessions {
    policy: Arc<Session>,
    key: SessionKey,
    homes: BTreeMap<u64, Home>,
    /// What a client of each endpoint carries.
    ids: BTreeMap<Home, u64>,
}

/// An endpoint of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::proxy) struct Home {
    /// The position of the backend reference.
    pub(in crate::proxy) choice: usize,
    pub(in crate::proxy) address: Address,
}

/// What a client carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token {
    id: u64,
    end: Option<End>,
}

/// When a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    /// In seconds since 1970.
    until: u64,
    /// That we have said so.
    signature: u64,
}

// === impl SessionKey ===

impl SessionKey {
    /// In bytes.
    pub const LENGTH: usize = 32;

    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// A key that nobody else has, so that sessions end with the process.
    pub fn random() -> Self {
        Self::new(&Self::secret())
    }

    /// A new secret.
    pub fn secret() -> [u8; Self::LENGTH] {
        let mut secret = [0; Self::LENGTH];
        // The library's generator aborts rather than fails; the system's chance would stand in for it.
        if aws_lc_rs::rand::fill(&mut secret).is_err() {
            for piece in secret.chunks_exact_mut(8) {
                piece.copy_from_slice(&RandomState::new().hash_one(0_u8).to_ne_bytes());
            }
        }
        secret
    }

    fn id(&self, endpoint: &route::Endpoint) -> u64 {
        let port = match &endpoint.address {
            Address::Tcp(address) => address.port(),
            Address::Unix(_) => 0,
        };
        self.sign(&format!("{}:{port}", endpoint.name))
    }

    /// The id of one of many endpoints with one name; `number` of them have its address too and come before it.
    fn id_among(&self, endpoint: &route::Endpoint, number: usize) -> u64 {
        self.sign(&format!("{}\0{}\0{number}", endpoint.name, endpoint.address))
    }

    /// An end of a session at the endpoint with this id. No name begins with a zero: what is signed here is never an id.
    fn end(&self, id: u64, until: u64) -> End {
        End { until, signature: self.sign(&format!("\0{id:016x}-{until:x}")) }
    }

    fn sign(&self, text: &str) -> u64 {
        let tag = hmac::sign(&self.0, text.as_bytes());
        tag.as_ref().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

// === impl Sessions ===

impl Sessions {
    /// `None` where the rule does not keep clients at their endpoints.
    pub(in crate::proxy) fn new(key: &SessionKey, rule: &route::Rule) -> Option<Self> {
        let policy = rule.session.clone()?;
        let choices = || rule.backends.choices().iter().enumerate();
        // A weight of 0 keeps new clients away; those who are there stay (GEP-1619, "Traffic Splitting").
        let choices = choices()
            .filter(|(_, choice)| choice.weight > 0)
            .chain(choices().filter(|(_, choice)| choice.weight == 0));
        let endpoints: Vec<(usize, &route::Endpoint)> = choices
            .filter_map(|(index, choice)| match &choice.target {
                Target::Backend(backend) => {
                    Some(backend.endpoints.iter().map(move |endpoint| (index, endpoint)))
                }
                Target::Invalid(_) => None,
            })
            .flatten()
            .collect();
        let mut namesakes: BTreeMap<u64, usize> = BTreeMap::new();
        for (_, endpoint) in &endpoints {
            *namesakes.entry(key.id(endpoint)).or_default() += 1;
        }
        let (mut homes, mut ids) = (BTreeMap::new(), BTreeMap::new());
        let mut met: BTreeMap<(&str, &Address), usize> = BTreeMap::new();
        for (choice, endpoint) in endpoints {
            let number = met.entry((&endpoint.name, &endpoint.address)).or_default();
            let (by_name, among) = (key.id(endpoint), key.id_among(endpoint, *number));
            *number += 1;
            let home = Home { choice, address: endpoint.address.clone() };
            // Whoever was here when there were more of that name, or fewer, is still at home.
            homes.entry(by_name).or_insert_with(|| home.clone());
            homes.insert(among, home.clone());
            ids.insert(home, if namesakes.get(&by_name) == Some(&1) { by_name } else { among });
        }
        Some(Self { policy, key: key.clone(), homes, ids })
    }

    /// Where the client of a request was, if that is still there.
    pub(super) fn home(&self, headers: &HeaderMap) -> Option<&Home> {
        self.home_at(headers, seconds(SystemTime::now()))
    }

    fn home_at(&self, headers: &HeaderMap, now: u64) -> Option<&Home> {
        let token = match &self.policy.carrier {
            SessionCarrier::Header(name) => Token::parse(headers.get(name)?.to_str().ok()?)?,
            SessionCarrier::Cookie { name, .. } => {
                let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
                lines
                    .flat_map(|line| line.split(';'))
                    .filter_map(|pair| pair.trim().split_once('='))
                    .filter(|(given, _)| *given == &**name)
                    .find_map(|(_, value)| Token::parse(value))?
            }
        };
        let is_over =
            self.policy.lifetime.is_some_and(|lifetime| !self.lasts(token, now, lifetime.as_secs()));
        if is_over { None } else { self.homes.get(&token.id) }
    }

    /// Whether a session that may last so many seconds is under way. A token without an end is of a time when the rule had
    /// none, and one with a later end of another rule.
    fn lasts(&self, token: Token, now: u64, lifetime: u64) -> bool {
        token.end.is_some_and(|end| {
            let ours = self.key.end(token.id, end.until).signature.to_be_bytes();
            let is_ours = verify_slices_are_equal(&ours, &end.signature.to_be_bytes()).is_ok();
            is_ours && now < end.until && end.until - now <= lifetime.max(1)
        })
    }

    /// Tells a client that was elsewhere, or nowhere, what to carry from now on.
    pub(in crate::proxy) fn greet(
        &self,
        home: Option<&Home>,
        (choice, address): (usize, &Address),
        scheme: &str,
        answer: &mut HeaderMap,
    ) {
        let here = Home { choice, address: address.clone() };
        if home != Some(&here)
            && let Some(id) = self.ids.get(&here)
            && let Some((name, value)) = self.grant(*id, seconds(SystemTime::now()), scheme)
        {
            answer.append(name, value);
        }
    }

    fn grant(&self, id: u64, now: u64, scheme: &str) -> Option<(HeaderName, HeaderValue)> {
        let lifetime = self.policy.lifetime.map(|lifetime| lifetime.as_secs().max(1));
        let token = Token { id, end: lifetime.map(|lifetime| self.key.end(id, now + lifetime)) };
        let (name, value) = match &self.policy.carrier {
            SessionCarrier::Header(name) => (name.clone(), token.to_string()),
            SessionCarrier::Cookie { name, path, is_permanent } => {
                let secure = if scheme == "https" { "; Secure" } else { "" };
                let age = lifetime.filter(|_| *is_permanent).map(|age| format!("; Max-Age={age}"));
                let age = age.unwrap_or_default();
                let value = format!("{name}={token}; Path={path}; HttpOnly; SameSite=Lax{secure}{age}");
                (header::SET_COOKIE, value)
            }
        };
        Some((name, HeaderValue::try_from(value).ok()?))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

// === impl Token ===

impl Token {
    fn parse(text: &str) -> Option<Self> {
        let hex = |text: &str| {
            let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
            u64::from_str_radix(text, 16).ok().filter(|_| is_hex)
        };
        let (id, end) = match text.split_once('-') {
            Some((id, end)) => {
                let (until, signature) = end.split_once('-')?;
                (id, Some(End { until: hex(until)?, signature: hex(signature)? }))
            }
            None => (text, None),
        };
        Some(Self { id: hex(id)?, end })
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.id)?;
        self.end.map_or(Ok(()), |End { until, signature }| write!(f, "-{until:x}-{signature:016x}"))
    }
}
