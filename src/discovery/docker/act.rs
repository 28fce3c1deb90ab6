//! What is done to a container. Nothing of it is done unless an operator allows it (`--allow-container-actions`).

use std::time::Duration;

use bollard::query_parameters::{
    RemoveContainerOptions, RestartContainerOptions, StartContainerOptions, StopContainerOptions,
};

use super::{
    api::{Api as _, Error},
    engine::Engine,
};
use crate::model::WorkloadId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Start,
    /// By its own signal and within its own grace period.
    Stop,
    Restart,
    /// One that does not run; its volumes stay.
    Remove,
}

// === impl Act ===

impl Act {
    /// The request, as messages name it.
    pub(super) fn request(self) -> &'static str {
        match self {
            Self::Start => "POST /containers/{id}/start",
            Self::Stop => "POST /containers/{id}/stop",
            Self::Restart => "POST /containers/{id}/restart",
            Self::Remove => "DELETE /containers/{id}",
        }
    }

    /// The switch of the usual socket proxies.
    pub(super) fn remedy(request: &str) -> Option<&'static str> {
        let acts = [
            (Self::Start, "ALLOW_START=1"),
            (Self::Stop, "ALLOW_STOP=1"),
            (Self::Restart, "ALLOW_RESTARTS=1"),
            (Self::Remove, "CONTAINERS=1 and POST=1"),
        ];
        acts.into_iter().find(|(act, _)| act.request() == request).map(|(_, remedy)| remedy)
    }
}

// === impl Engine ===

impl Engine {
    /// A container may take as long as its own grace period to stop.
    pub(super) const ACT_TIMEOUT: Duration = Duration::from_mins(15);

    /// Does it, and waits until it is done. What is so already is done.
    pub async fn act(&self, id: &WorkloadId, act: Act) -> Result<(), Error> {
        // Settles the version that is spoken.
        self.version().await?;
        self.call(act.request(), async |client| {
            let client = client.with_timeout(Self::ACT_TIMEOUT);
            let id = &*id.0;
            match act {
                Act::Start => client.start_container(id, None::<StartContainerOptions>).await,
                Act::Stop => client.stop_container(id, None::<StopContainerOptions>).await,
                Act::Restart => client.restart_container(id, None::<RestartContainerOptions>).await,
                Act::Remove => client.remove_container(id, None::<RemoveContainerOptions>).await,
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_socket_proxy_refuses_is_named_with_its_switch() {
        for act in [Act::Start, Act::Stop, Act::Restart, Act::Remove] {
            assert!(Act::remedy(act.request()).is_some(), "{act:?}");
        }
        assert_eq!(Act::remedy("GET /events"), None);
    }
}
