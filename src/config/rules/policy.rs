//! Rules of `BackendTLSPolicy`, and of what a `Backend` shares with it.

use super::{At, Found, filters};
use crate::api::{BackendTlsPolicySpec, PolicyTargetReference, SubjectAltName, SubjectAltNameType};

pub(super) fn check(spec: &BackendTlsPolicySpec, at: &At<'_>, found: &mut Found) {
    check_targets(&spec.target_refs, &at.key("targetRefs"), found);
    let at = at.key("validation");
    let validation = &spec.validation;
    found.exactly_one(
        &at,
        &[
            ("caCertificateRefs", !validation.ca_certificate_refs.is_empty()),
            ("wellKnownCACertificates", validation.well_known_ca_certificates.is_some()),
        ],
    );
    check_names(&validation.subject_alt_names, &at.key("subjectAltNames"), found);
}

/// The same target twice needs a section of its own each time.
fn check_targets(targets: &[PolicyTargetReference], at: &At<'_>, found: &mut Found) {
    for (index, target) in targets.iter().enumerate() {
        let clash = targets[..index].iter().any(|earlier| {
            (&earlier.group, &earlier.kind, &earlier.name) == (&target.group, &target.kind, &target.name)
                && (earlier.section_name.is_none()
                    || target.section_name.is_none()
                    || earlier.section_name == target.section_name)
        });
        if clash {
            found.expected(
                &at.index(index),
                format!("the target `{}` is there more than once", target.name),
                "another `sectionName` each time",
            );
        }
    }
}

pub(super) fn check_names(names: &[SubjectAltName], at: &At<'_>, found: &mut Found) {
    for (index, name) in names.iter().enumerate() {
        let is_host = name.kind == SubjectAltNameType::Hostname;
        let kind = if is_host { "Hostname" } else { "URI" };
        let fields = [("hostname", is_host, name.hostname.is_some()), ("uri", !is_host, name.uri.is_some())];
        filters::check_union(kind, fields, &at.index(index), found);
    }
}
