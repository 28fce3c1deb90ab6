//! `ReferenceGrant`: who of other namespaces may refer to objects of this one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, Group, KindName, Namespace, ObjectName};

pub type ReferenceGrant = Document<ReferenceGrantSpec>;

/// Everything in `from` may refer to everything in `to`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceGrantSpec {
    #[schemars(length(min = 1, max = 16))]
    pub from: Vec<ReferenceGrantFrom>,
    #[schemars(length(min = 1, max = 16))]
    pub to: Vec<ReferenceGrantTo>,
}

/// Objects that refer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceGrantFrom {
    pub group: Group,
    pub kind: KindName,
    pub namespace: Namespace,
}

/// Objects of this namespace that are referred to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceGrantTo {
    /// `""` for core kinds.
    pub group: Group,
    pub kind: KindName,
    /// Every name where absent.
    pub name: Option<ObjectName>,
}
