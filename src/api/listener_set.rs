//! `ListenerSet`: listeners for somebody else's Gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, Group, KindName, Listener, Namespace, ObjectName};

pub type ListenerSet = Document<ListenerSetSpec>;

/// Listeners that are added to a Gateway whose `allowedListeners` says so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerSetSpec {
    pub parent_ref: ParentGatewayReference,
    #[schemars(length(min = 1, max = 64))]
    pub listeners: Vec<Listener>,
}

/// The Gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParentGatewayReference {
    #[schemars(extend("default" = "gateway.networking.k8s.io"))]
    pub group: Option<Group>,
    #[schemars(extend("default" = "Gateway"))]
    pub kind: Option<KindName>,
    pub name: ObjectName,
    /// The `ListenerSet`'s own namespace where absent.
    pub namespace: Option<Namespace>,
}
