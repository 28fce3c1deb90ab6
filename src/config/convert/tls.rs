//! The TLS of Gateways and their listeners.

use std::sync::Arc;

use super::{Notes, text_or};
use crate::{
    api::{self, FrontendValidationMode},
    config::{diagnostic::nearest, rules::At},
    model::{
        CertificateRefs, ClientValidation, FrontendTls, ListenerTls, ObjectRef, TlsVersion, ValidationMode,
    },
};

/// The option of a listener that names the oldest version that it speaks.
const MIN_VERSION: &str = "portolan.dev/min-version";

/// What a listener says; `namespace` is its Gateway's.
pub(super) fn listener(
    written: &api::ListenerTls,
    namespace: &Arc<str>,
    at: &At<'_>,
    notes: &mut Notes,
) -> ListenerTls {
    let mut minimum = TlsVersion::default();
    let options_at = at.key("options");
    for (key, value) in &written.options {
        let at = options_at.key(key);
        if &**key != MIN_VERSION {
            let hint = nearest(key, [MIN_VERSION]).map(|near| format!(", did you mean `{near}`?"));
            let why = format!("the option is not known{}", hint.unwrap_or_default());
            notes.unsupported(&at, &why);
            continue;
        }
        match &**value {
            "1.2" => {}
            "1.3" => minimum = TlsVersion::Tls13,
            other => notes.unsupported(&at, &format!("`{other}` is not spoken; write `1.2` or `1.3`")),
        }
    }
    let refs = written.certificate_refs.iter().map(|reference| certificate_ref(reference, namespace));
    ListenerTls { certificates: CertificateRefs::Listed(refs.collect()), minimum }
}

/// A reference whose kind is `Secret` where none is written.
pub(super) fn certificate_ref(written: &api::SecretObjectReference, namespace: &Arc<str>) -> ObjectRef {
    ObjectRef {
        group: text_or(written.group.as_deref(), ""),
        kind: text_or(written.kind.as_deref(), "Secret"),
        namespace: text_or(written.namespace.as_deref(), namespace),
        name: (&*written.name).into(),
    }
}

/// What a Gateway says of its clients.
pub(super) fn frontend(written: &api::FrontendTls, namespace: &Arc<str>) -> FrontendTls {
    let validation = |port: &api::FrontendTlsPort| port.validation.as_ref().map(|v| validation(v, namespace));
    FrontendTls {
        default: validation(&written.default_port),
        per_port: written.per_port.iter().map(|one| (one.port.0.get(), validation(&one.tls))).collect(),
    }
}

fn validation(written: &api::FrontendTlsValidation, namespace: &Arc<str>) -> ClientValidation {
    let reference = |reference: &api::ObjectReference| ObjectRef {
        group: (&*reference.group).into(),
        kind: (&*reference.kind).into(),
        namespace: text_or(reference.namespace.as_deref(), namespace),
        name: (&*reference.name).into(),
    };
    ClientValidation {
        authorities: written.ca_certificate_refs.iter().map(reference).collect(),
        mode: match written.mode {
            None | Some(FrontendValidationMode::AllowValidOnly) => ValidationMode::AllowValidOnly,
            Some(FrontendValidationMode::AllowInsecureFallback) => ValidationMode::AllowInsecureFallback,
        },
    }
}
