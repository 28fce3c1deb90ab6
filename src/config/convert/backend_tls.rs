//! TLS towards backends: `BackendTLSPolicy`, and what a `Backend` says itself.

use std::sync::Arc;

use super::{Notes, policy_target, tls::certificate_ref};
use crate::{
    api::{self, BackendTlsPolicySpec, LocalObjectReference, SubjectAltName},
    config::rules::{self, At},
    model::{AuthorityRefs, BackendTls, BackendTlsPolicy, Host, HostPattern, Meta, ObjectRef, SubjectName},
};

pub(super) fn policy(
    spec: &BackendTlsPolicySpec,
    meta: Meta,
    at: &At<'_>,
    notes: &mut Notes,
) -> BackendTlsPolicy {
    let validation = &spec.validation;
    let validation_at = at.key("validation");
    let hostname_at = validation_at.key("hostname");
    let authorities = match &validation.well_known_ca_certificates {
        Some(known) => {
            let at = validation_at.key("wellKnownCACertificates");
            if &**known == "System" {
                AuthorityRefs::System
            } else {
                // Listed, and empty: nothing is believed.
                notes.unsupported(&at, &format!("only `System` is supported, not `{known}`"));
                AuthorityRefs::Listed(Vec::new())
            }
        }
        None => AuthorityRefs::Listed(authorities(&validation.ca_certificate_refs, &meta)),
    };
    let options = at.key("options");
    for key in spec.options.keys() {
        notes.unsupported(&options.key(key), "the option is not known");
    }
    let tls = BackendTls {
        hostname: host(&validation.hostname, &hostname_at, notes),
        authorities,
        names: names(&validation.subject_alt_names, &validation_at.key("subjectAltNames"), notes),
        client: None,
    };
    let targets = spec.target_refs.iter().map(policy_target).collect();
    BackendTlsPolicy { meta, targets, tls, unsupported: notes.take_unsupported() }
}

/// What a `Backend` says itself.
pub(super) fn of_backend(
    written: &api::BackendTls,
    meta: &Meta,
    at: &At<'_>,
    notes: &mut Notes,
) -> BackendTls {
    let hostname = written.hostname.as_ref();
    let authorities = if written.insecure_skip_verify == Some(true) {
        AuthorityRefs::Anyone
    } else if written.ca_certificate_refs.is_empty() {
        AuthorityRefs::System
    } else {
        AuthorityRefs::Listed(authorities(&written.ca_certificate_refs, meta))
    };
    BackendTls {
        hostname: hostname.and_then(|hostname| host(hostname, &at.key("hostname"), notes)),
        authorities,
        names: names(&written.subject_alt_names, &at.key("subjectAltNames"), notes),
        client: written
            .client_certificate_ref
            .as_ref()
            .map(|reference| certificate_ref(reference, &meta.id.namespace)),
    }
}

fn host(text: &str, at: &At<'_>, notes: &mut Notes) -> Option<Host> {
    notes.found.take(at, rules::host(text))
}

fn authorities(written: &[LocalObjectReference], meta: &Meta) -> Vec<ObjectRef> {
    let reference = |reference: &LocalObjectReference| ObjectRef {
        group: (&*reference.group).into(),
        kind: (&*reference.kind).into(),
        namespace: meta.id.namespace.clone(),
        name: (&*reference.name).into(),
    };
    written.iter().map(reference).collect()
}

fn names(written: &[SubjectAltName], at: &At<'_>, notes: &mut Notes) -> Vec<SubjectName> {
    let mut names = Vec::new();
    for (index, name) in written.iter().enumerate() {
        let at = at.index(index);
        if let Some(hostname) = &name.hostname {
            let pattern: Option<HostPattern> =
                notes.found.take(&at.key("hostname"), rules::host_pattern(hostname));
            names.extend(pattern.map(SubjectName::Host));
        }
        names.extend(name.uri.as_deref().map(|uri| SubjectName::Uri(Arc::from(uri))));
    }
    names
}
