//! What references to certificates and authorities lead to.

use std::sync::Arc;

use super::{
    grants::{Grants, Target},
    words,
};
use crate::model::{
    Certificate, CertificateRefs, CertificateSource, CertifiedKey, Der, Kind, ObjectRef, Resource,
    ResourceId, Snapshot,
};

/// Resolves references to certificates.
pub(super) struct Certificates<'a> {
    snapshot: &'a Snapshot,
    grants: Grants<'a>,
}

/// Why a reference cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    /// A reason of the standard for `ResolvedRefs: False`.
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The references of one field that can be used, and why the others cannot.
pub(super) type Resolved<T> = (Vec<T>, Vec<Unusable>);

// === impl Certificates ===

impl<'a> Certificates<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, grants: Grants::new(snapshot) }
    }

    /// The certificates of a listener of `gateway`.
    pub(super) fn of_listener(
        &self,
        gateway: &ResourceId,
        refs: &CertificateRefs,
    ) -> Resolved<Arc<CertifiedKey>> {
        match refs {
            CertificateRefs::Every => (self.every(), Vec::new()),
            CertificateRefs::Listed(refs) => {
                separate(refs.iter().map(|reference| self.certificate(gateway, reference)))
            }
        }
    }

    /// Every certificate that can be used, those of Portolan's own kind first.
    fn every(&self) -> Vec<Arc<CertifiedKey>> {
        let of_kind = |kind: Kind| {
            let resources = self.snapshot.resources.range(ResourceId::first(kind)..);
            resources.take_while(move |(id, _)| id.kind == kind)
        };
        let made = of_kind(Kind::Certificate).filter_map(|(_, resource)| {
            let Resource::Certificate(certificate) = resource else { return None };
            self.issued(certificate).ok()
        });
        let held = of_kind(Kind::Secret).filter_map(|(_, resource)| {
            let Resource::Secret(secret) = resource else { return None };
            secret.certificate.clone()
        });
        let mut all: Vec<Arc<CertifiedKey>> = Vec::new();
        for certificate in made.chain(held) {
            // A Certificate may stand for a Secret.
            if !all.contains(&certificate) {
                all.push(certificate);
            }
        }
        all
    }

    /// What a `certificateRefs` entry of `from` leads to: a `Secret`, or Portolan's own `Certificate`.
    pub(super) fn certificate(
        &self,
        from: &ResourceId,
        reference: &ObjectRef,
    ) -> Result<Arc<CertifiedKey>, Unusable> {
        let invalid = |message| Unusable { reason: "InvalidCertificateRef", message };
        let ObjectRef { group, kind, namespace, name } = reference;
        let kind = match (&**group, &**kind) {
            ("", "Secret") => Kind::Secret,
            ("portolan.dev", "Certificate") => Kind::Certificate,
            (group, kind) => {
                let group = words::group(group);
                return Err(invalid(format!(
                    "certificateRef `{name}` has kind `{kind}` of group `{group}`; it must be `Secret`, or `Certificate` \
                     of group `portolan.dev`"
                )));
            }
        };
        self.is_permitted(from, reference)?;
        let id = ResourceId { kind, namespace: namespace.clone(), name: name.clone() };
        match self.snapshot.resources.get(&id) {
            Some(Resource::Secret(secret)) => secret.certificate.clone().ok_or_else(|| {
                invalid(format!(
                    "{id} has the type `{}` and so no certificate; write `type: kubernetes.io/tls`",
                    secret.kind
                ))
            }),
            Some(Resource::Certificate(certificate)) => {
                self.issued(certificate).map_err(|why| invalid(format!("{id} cannot be used: {why}")))
            }
            Some(_) | None => Err(invalid(self.absent(&id))),
        }
    }

    /// The certificate that an object of Portolan's own kind stands for.
    pub(super) fn issued(&self, certificate: &Certificate) -> Result<Arc<CertifiedKey>, String> {
        let id = &certificate.meta.id;
        match &certificate.source {
            CertificateSource::Acme => Err("ACME is not served yet".into()),
            CertificateSource::Secret(name) => {
                let secret =
                    ResourceId { kind: Kind::Secret, namespace: id.namespace.clone(), name: name.clone() };
                match self.snapshot.resources.get(&secret) {
                    Some(Resource::Secret(found)) => found.certificate.clone().ok_or_else(|| {
                        format!("{secret} has the type `{}`, not `kubernetes.io/tls`", found.kind)
                    }),
                    Some(_) | None => Err(self.absent(&secret)),
                }
            }
            CertificateSource::Files { .. } | CertificateSource::SelfSigned { .. } => {
                let issued = self.snapshot.issued.get(id);
                match issued.map(|issued| (&issued.good, &issued.problem)) {
                    Some((Some(good), _)) => Ok(good.clone()),
                    Some((None, Some(problem))) => Err(problem.to_string()),
                    Some((None, None)) | None => Err("it is being read".into()),
                }
            }
        }
    }

    /// Why there is no such object.
    fn absent(&self, id: &ResourceId) -> String {
        match self.snapshot.refused.get(id) {
            Some(why) => format!("{id} is not valid ({why})"),
            None => format!("there is no {id}"),
        }
    }

    /// The authorities that `caCertificateRefs` of `from` lead to.
    pub(super) fn authorities(&self, from: &ResourceId, refs: &[ObjectRef]) -> Resolved<Der> {
        let (found, unusable) = separate(refs.iter().map(|reference| self.authority(from, reference)));
        let mut all: Vec<Der> = found.iter().flat_map(|authorities| authorities.iter().cloned()).collect();
        all.sort();
        all.dedup();
        (all, unusable)
    }

    fn authority(&self, from: &ResourceId, reference: &ObjectRef) -> Result<Arc<[Der]>, Unusable> {
        let ObjectRef { group, kind, namespace, name } = reference;
        if (&**group, &**kind) != ("", "ConfigMap") {
            let group = words::group(group);
            let message = format!(
                "caCertificateRef `{name}` has kind `{kind}` of group `{group}`; it must be `ConfigMap` of group `\"\"`"
            );
            return Err(Unusable { reason: "InvalidCACertificateKind", message });
        }
        self.is_permitted(from, reference)?;
        let id = ResourceId { kind: Kind::ConfigMap, namespace: namespace.clone(), name: name.clone() };
        let invalid = |message| Unusable { reason: "InvalidCACertificateRef", message };
        match self.snapshot.resources.get(&id) {
            Some(Resource::ConfigMap(map)) => {
                map.authorities.clone().map_err(|why| invalid(format!("{id} cannot be used: {why}")))
            }
            Some(_) | None => Err(invalid(self.absent(&id))),
        }
    }

    fn is_permitted(&self, from: &ResourceId, reference: &ObjectRef) -> Result<(), Unusable> {
        let ObjectRef { group, kind, namespace, name } = reference;
        if *namespace == from.namespace || self.grants.permit(from, Target { group, kind, namespace, name }) {
            return Ok(());
        }
        let message = format!(
            "{kind} `{namespace}/{name}` is in another namespace than {from}, and no ReferenceGrant in namespace \
             `{namespace}` lets {}s of `{}` refer to it: write one there",
            from.kind, from.namespace
        );
        Err(Unusable { reason: "RefNotPermitted", message })
    }
}

fn separate<T>(results: impl Iterator<Item = Result<T, Unusable>>) -> Resolved<T> {
    let (mut good, mut unusable) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(found) => good.push(found),
            Err(why) => unusable.push(why),
        }
    }
    (good, unusable)
}

/// The reason of the first, and the words of all.
pub(super) fn summed_up(unusable: &[Unusable]) -> Option<(&'static str, String)> {
    let first = unusable.first()?;
    Some((first.reason, words::joined(unusable.iter().map(|why| why.message.clone()))))
}
