//! Portolan's `Certificate`: from files, from an ACME server, or self-signed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, Duration, Hostname, filter::SecretReference};

pub type Certificate = Document<CertificateSpec>;

/// A certificate and its key; exactly one of `files`, `secretRef`, `acme` and `selfSigned`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateSpec {
    /// The names in it; needed unless it comes from files or a `Secret`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("uniqueItems" = true))]
    pub hostnames: Vec<Hostname>,
    pub files: Option<CertificateFiles>,
    /// A `Secret` of the type `kubernetes.io/tls`.
    pub secret_ref: Option<SecretReference>,
    pub acme: Option<Acme>,
    pub self_signed: Option<SelfSigned>,
}

/// PEM files; read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The certificate and its chain.
    #[schemars(length(min = 1, max = 4096))]
    pub certificate: String,
    #[schemars(length(min = 1, max = 4096))]
    pub key: String,
}

/// An order at an ACME server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Acme {
    /// The directory's URL; Let's Encrypt where absent.
    #[schemars(length(min = 1, max = 2048), regex(pattern = "^https://"))]
    pub server: Option<String>,
    #[schemars(length(min = 3, max = 320))]
    pub email: Option<String>,
    #[schemars(extend("default" = "HTTP-01"))]
    pub challenge: Option<AcmeChallenge>,
    /// For `DNS-01`.
    pub dns: Option<AcmeDns>,
    #[schemars(extend("default" = "ECDSA-P256"))]
    pub key_type: Option<KeyType>,
    /// How long before the end it is renewed; a third of its life where absent.
    pub renew_before: Option<Duration>,
}

/// How control of a name is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AcmeChallenge {
    #[default]
    #[serde(rename = "HTTP-01")]
    Http01,
    #[serde(rename = "TLS-ALPN-01")]
    TlsAlpn01,
    #[serde(rename = "DNS-01")]
    Dns01,
}

/// Who sets DNS records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcmeDns {
    #[schemars(length(min = 1, max = 63))]
    pub provider: String,
    /// The provider's credentials.
    pub secret_ref: Option<SecretReference>,
}

/// The kind of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KeyType {
    #[default]
    #[serde(rename = "ECDSA-P256")]
    EcdsaP256,
    #[serde(rename = "ECDSA-P384")]
    EcdsaP384,
    #[serde(rename = "RSA-2048")]
    Rsa2048,
    #[serde(rename = "RSA-4096")]
    Rsa4096,
}

/// Made here, for development.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelfSigned {
    #[schemars(extend("default" = "2160h"))]
    pub valid_for: Option<Duration>,
}
