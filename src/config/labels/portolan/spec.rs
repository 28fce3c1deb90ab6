//! The value of `portolan.route`: a whole `HTTPRouteSpec`, checked like one in a file.

use std::sync::Arc;

use serde_json::Value;

use super::super::claims::Spec;
use crate::{
    api::{self, Recognized},
    config::{check, diagnostic::Diagnostic},
    model::Kind,
};

/// So many faults of one label are told.
const MOST: usize = 8;

/// The spec and what is odd about it, or what is wrong with it.
pub(super) fn read(text: &str) -> Result<(Spec, Vec<Diagnostic>), Vec<Diagnostic>> {
    let kind = Kind::HttpRoute;
    let Recognized::Known(definition) = api::recognize(kind.api_version(), kind.as_str()) else {
        return Err(Vec::new());
    };
    let few = |mut diagnostics: Vec<Diagnostic>| {
        diagnostics.truncate(MOST);
        diagnostics
    };
    match check::check_spec(definition, text).map_err(few)? {
        (api::Object::HttpRoute(route), odd) => Ok((Spec::new(route.spec), few(odd))),
        (_, odd) => Err(odd),
    }
}

// === impl Spec ===

impl Spec {
    fn new(spec: api::HttpRouteSpec) -> Self {
        let mut plain = serde_json::to_value(&spec).unwrap_or_default();
        if let Value::Object(fields) = &mut plain {
            fields.remove("hostnames");
        }
        Self { spec: Arc::new(spec), canonical: plain.to_string().into() }
    }
}
