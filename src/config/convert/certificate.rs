//! `Secret`, `ConfigMap` and `Certificate`: what holds certificates.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Notes;
use crate::{
    api::{self, CertificateSpec},
    config::{
        pem::{self, Part},
        rules::{self, At, Found},
    },
    model::{Certificate, CertificateSource, ConfigMap, Der, Meta, Origin, Secret},
};

/// The type of a Secret that holds a certificate.
const TLS: &str = "kubernetes.io/tls";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";

/// How long a certificate that is made is valid where nothing is written.
const VALID_FOR: Duration = Duration::from_hours(2160);

pub(super) fn secret(written: &api::Secret, meta: Meta, found: &mut Found) -> Secret {
    let kind = written.kind.as_deref().unwrap_or("Opaque");
    let certificate = (kind == TLS)
        .then(|| {
            let (text, key) = (secret_bytes(written, CERTIFICATE), secret_bytes(written, KEY));
            // Without both the rules have refused it.
            let result = pem::certified_key(&text?.1, &key?.1);
            result.map_err(|fault| refuse(written, &fault, found)).ok().map(Arc::new)
        })
        .flatten();
    Secret { meta, kind: kind.into(), certificate }
}

fn refuse(written: &api::Secret, fault: &pem::Fault, found: &mut Found) {
    let key = match fault.part {
        Part::Certificate => CERTIFICATE,
        Part::Key => KEY,
    };
    let field = secret_bytes(written, key).map_or("data", |(field, _)| field);
    let root = At::ROOT;
    found.add(&root.key(field).key(key), fault.message.clone());
}

/// The value of a key, and the field that it is in.
fn secret_bytes(written: &api::Secret, key: &str) -> Option<(&'static str, Vec<u8>)> {
    let of = |values: &std::collections::BTreeMap<api::DataKey, api::SecretText>| {
        values.iter().find(|(name, _)| &***name == key).map(|(_, value)| value.expose().to_owned())
    };
    if let Some(text) = of(&written.string_data) {
        return Some(("stringData", text.into_bytes()));
    }
    Some(("data", decoded(&of(&written.data)?)?))
}

/// Base64 with line breaks.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let joined: String = text.split(['\r', '\n']).collect();
    STANDARD.decode(joined).ok()
}

pub(super) fn config_map(written: &api::ConfigMap, meta: Meta) -> ConfigMap {
    let text = written.data.iter().find(|(key, _)| &***key == AUTHORITIES);
    let binary = written.binary_data.iter().find(|(key, _)| &***key == AUTHORITIES);
    let bytes =
        text.map(|(_, text)| text.as_bytes().to_vec()).or_else(|| binary.and_then(|(_, text)| decoded(text)));
    let authorities = match bytes {
        None => Err(format!("it has no key `{AUTHORITIES}`")),
        Some(bytes) => pem::authorities(&bytes).map_err(|why| format!("`{AUTHORITIES}`: {why}")),
    };
    ConfigMap { meta, authorities: authorities.map(Arc::<[Der]>::from).map_err(Into::into) }
}

pub(super) fn certificate(
    written: &CertificateSpec,
    meta: Meta,
    at: &At<'_>,
    notes: &mut Notes,
) -> Certificate {
    let source = if let Some(files) = &written.files {
        CertificateSource::Files {
            certificate: beside(&meta, &files.certificate).into(),
            key: beside(&meta, &files.key).into(),
        }
    } else if let Some(reference) = &written.secret_ref {
        if reference.key.is_some() {
            let at = at.key("secretRef");
            notes.unsupported(&at.key("key"), "the keys of a certificate are `tls.crt` and `tls.key`");
        }
        CertificateSource::Secret((&*reference.name).into())
    } else if let Some(made) = &written.self_signed {
        let hostnames = at.key("hostnames");
        let names = written.hostnames.iter().enumerate();
        let names = names
            .filter_map(|(index, name)| notes.found.take(&hostnames.index(index), rules::host_pattern(name)));
        let names = names.collect();
        let valid_for = made.valid_for.as_deref().and_then(|text| {
            let at = at.key("selfSigned");
            notes.found.take(&at.key("validFor"), rules::duration(text))
        });
        CertificateSource::SelfSigned { names, valid_for: valid_for.unwrap_or(VALID_FOR) }
    } else {
        CertificateSource::Acme
    };
    Certificate { meta, source, unsupported: notes.take_unsupported() }
}

/// A relative path begins at the folder of the document.
fn beside(meta: &Meta, path: &str) -> PathBuf {
    match &meta.origin {
        Origin::File { path: document, .. } => {
            Path::new(&**document).parent().unwrap_or(Path::new("")).join(path)
        }
        Origin::Container { .. } | Origin::BuiltIn(_) => PathBuf::from(path),
    }
}
