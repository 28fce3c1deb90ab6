//! What is said of each object: the standard's conditions.

use std::sync::Arc;

use super::ParentRef;

/// The status of one object, without times: the controller adds those when a condition changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub conditions: Vec<Condition>,
    /// Routes: one entry per parent. Policies: one per Gateway that they are about.
    pub parents: Vec<ParentStatus>,
    /// Gateways and sets of listeners: one entry per listener.
    pub listeners: Vec<ListenerStatus>,
    /// Gateways: how many sets add their listeners.
    pub attached_sets: Option<u32>,
    /// Gateways: the addresses that are served, such as `0.0.0.0:80`.
    pub addresses: Vec<String>,
    /// Certificates, and Secrets that hold one: what is in it.
    pub certificate: Option<CertificateStatus>,
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateStatus {
    /// DNS names, wildcards as `*.example.com`.
    pub names: Vec<String>,
    /// In seconds since 1970.
    pub not_before: i64,
    /// In seconds since 1970.
    pub not_after: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `Accepted`, `ResolvedRefs`, `Programmed`, …
    pub kind: &'static str,
    pub truth: Truth,
    pub reason: &'static str,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    True,
    False,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentStatus {
    pub parent: ParentRef,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerStatus {
    pub name: Arc<str>,
    pub attached_routes: u32,
    /// Group and kind pairs.
    pub supported_kinds: Vec<(Arc<str>, Arc<str>)>,
    pub conditions: Vec<Condition>,
}

// === impl Status ===

impl Status {
    /// Whether nothing refuses it: no `Accepted` condition, of its own or of a parent, is false.
    pub fn is_accepted(&self) -> bool {
        let own = self.conditions.iter();
        let parents = self.parents.iter().flat_map(|parent| &parent.conditions);
        !own.chain(parents).any(|condition| condition.kind == "Accepted" && condition.truth == Truth::False)
    }
}

// === impl Condition ===

impl Condition {
    pub fn yes(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, truth: Truth::True, reason, message: message.into() }
    }

    pub fn no(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, truth: Truth::False, reason, message: message.into() }
    }
}

// === impl Truth ===

impl Truth {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}
