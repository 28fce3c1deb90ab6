//! The kinds of text that documents are made of: names, hosts, groups, headers, durations. Each knows its limits for
//! the schema; a value made in code is not checked.

use std::{fmt, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Declares text types: their lengths and pattern belong to the schema.
macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $name:ident: $min:literal..=$max:literal $(, $pattern:expr)?;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!({
                    "type": "string",
                    "description": concat!($($doc),+).trim(),
                    "maxLength": $max,
                });
                if $min > 0 {
                    schema.insert("minLength".to_owned(), $min.into());
                }
                $(schema.insert("pattern".to_owned(), $pattern.into());)?
                schema
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

/// A lower-case DNS name (RFC 1123).
const DNS1123: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

texts! {
    /// The name of an object: a lower-case DNS name, unique for its kind and namespace.
    Name: 1..=253, DNS1123;
    /// The name of another object.
    ObjectName: 1..=253;
    /// A namespace; a Compose project and a Swarm stack are namespaces, so `_` is allowed.
    Namespace: 1..=63, r"^[a-z0-9]([-_a-z0-9]*[_a-z0-9])?$";
    /// An API group; empty for the core kinds `Service`, `Secret` and `ConfigMap`.
    Group: 0..=253, r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    /// The kind of another object: letters, digits and `-`.
    KindName: 1..=63, "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$";
    /// The name of a listener, rule or port: lower-case letters, digits, `-` and `.`.
    SectionName: 1..=253, DNS1123;
    /// A lower-case DNS name; its first label may be `*`, which stands for one or more labels.
    Hostname: 1..=253, r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    /// A lower-case DNS name without a wildcard.
    PreciseHostname: 1..=253, DNS1123;
    /// A DNS name as containers and networks have them: in any case, `_` allowed.
    DnsName: 1..=254, r"^[a-zA-Z0-9_]([-_a-zA-Z0-9]*[_a-zA-Z0-9])?(\.[a-zA-Z0-9_]([-_a-zA-Z0-9]*[_a-zA-Z0-9])?)*\.?$";
    /// The name of an HTTP header; its case does not count.
    HeaderName: 1..=256, "^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$";
    /// The name of a query parameter: letters, digits and ``!#$%&'*+-.^_`|~``; its case counts.
    QueryParamName: 1..=256, "^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$";
    /// The value of an HTTP header; no line breaks or other control characters.
    HeaderValue: 1..=4096, r"^[^\u0000-\u0008\u000a-\u001f\u007f]*$";
    /// A length of time such as `500ms`, `10s` or `1h30m`: up to four whole numbers of up to five digits, each followed by `h`, `m`, `s` or `ms`.
    Duration: 1..=32, r"^([0-9]{1,5}(h|m|s|ms)){1,4}$";
    /// Who owns the Gateways of a class: a domain, a slash and a path, such as `portolan.dev/controller`.
    ControllerName: 1..=253, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$";
    /// What an address is: `IPAddress`, `Hostname`, `NamedAddress`, or a domain, a slash and a path.
    AddressType: 1..=253, r"^(Hostname|IPAddress|NamedAddress|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+)$";
    /// What a listener speaks: `HTTP`, `HTTPS`, `TLS`, `TCP`, `UDP`, or a domain, a slash and a name.
    ProtocolType: 1..=255, r"^([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]+)$";
    /// `*`, or a scheme and a host, such as `https://*.example.com:8443`.
    CorsOrigin: 1..=253, r"(^\*$)|(^(http(s)?)://(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)";
    /// A URI with scheme and authority, such as `spiffe://example.com/web`.
    AbsoluteUri: 1..=253, r"^(([^:/?#]+):)(//([^/?#]*))([^?#]*)(\?([^#]*))?(#(.*))?";
    /// `System`, or a domain, a slash and a name.
    WellKnownCaCertificates: 1..=253, r"^(System|([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]))$";
    /// The key of an annotation or option: an optional domain and slash, then a name.
    AnnotationKey: 1..=253, r"^(([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*)/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$";
    /// The value of an option or annotation.
    AnnotationValue: 0..=4096;
    /// The key of an entry in a `Secret` or `ConfigMap`: letters, digits, `-`, `_` and `.`.
    DataKey: 1..=253, "^[-._a-zA-Z0-9]+$";
}
