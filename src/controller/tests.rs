//! The control side without I/O: from what runs and what is written to what people are told.

mod situations;

use super::*;
use crate::{
    config::files::{File, Update},
    model::{
        Attachment, Health, NetworkMode, Phase, Placement, Problem, Published, Transport, Workload,
        WorkloadId,
    },
    runtime::reflect,
};

/// What there is.
#[derive(Default)]
struct Scene {
    workloads: Vec<Workload>,
    /// The versions of the one document, the last of which is there now.
    documents: Vec<String>,
    /// On the host itself where nothing is said.
    placement: Option<Placement>,
    exposure: crate::config::labels::Exposure,
    /// Why the engine cannot be asked any more.
    lost: Option<crate::discovery::docker::Error>,
    /// Why nothing can be bound.
    unbound: Option<io::Error>,
}

/// Where the implicit Gateway listens in a scene.
const HTTP: ([u8; 4], u16) = ([127, 0, 0, 1], 80);

// === impl Scene ===

impl Scene {
    fn of(workloads: impl IntoIterator<Item = Workload>) -> Self {
        Self { workloads: workloads.into_iter().collect(), ..Self::default() }
    }

    fn written(text: impl Into<String>) -> Self {
        Self { documents: vec![text.into()], ..Self::default() }
    }

    /// With Portolan in a container of its own, on these networks.
    fn beside(mut self, networks: &[&str]) -> Self {
        let own = on(container("portolan"), networks);
        self.placement = Some(Placement::Container {
            id: own.id.clone(),
            networks: own.networks.iter().map(|one| (one.network_id.clone(), one.network.clone())).collect(),
        });
        self.workloads.push(own);
        self
    }

    fn settings(&self) -> Settings {
        Settings {
            http: Some(HTTP.into()),
            https: None,
            hold: Duration::ZERO,
            removal_delay: Duration::from_secs(10),
            labels: LabelSettings { expose_by_default: self.exposure, ..LabelSettings::default() },
            has_files: true,
            engine: Some("unix:///run/docker.sock".into()),
            state_dir: None,
            claim: Claim::default(),
        }
    }

    /// What people are told of it.
    fn report(self) -> Arc<Report> {
        let now = Instant::now();
        let mut world = World::new(self.settings(), now);
        for text in self.documents {
            let file = File::new(text.into_bytes());
            let scan = Scan::from_iter([("shop.yaml".into(), file)]);
            world.apply(Input::Files(Update::Whole(scan)), now);
        }
        let started = self.workloads.into_iter().map(reflect::Event::InitApply);
        let events = std::iter::once(reflect::Event::Init).chain(started);
        for event in events.chain([reflect::Event::InitDone]) {
            world.apply(Input::Docker(Notice::Event(event)), now);
        }
        if let Some(error) = self.lost {
            world.apply(Input::Docker(Notice::Lost { error }), now);
        }
        if let Some(placement) = self.placement {
            world.place(placement);
        }
        if let Some(error) = self.unbound {
            world.note_unbound(BTreeMap::from([(HTTP.into(), words(&error).into())]), now);
        }
        world.refresh();
        let plan = plan::plan(world.snapshot());
        Reporter::default().report(facts(&world, (plan, 1)))
    }
}

/// A running container on the network `bridge` that exposes port 8080. Its id is `id-` and its name.
fn container(name: &str) -> Workload {
    let one = Workload {
        id: WorkloadId(format!("id-{name}").into()),
        name: name.into(),
        hostname: "0123456789ab".into(),
        image: "acme/app".into(),
        created: 1,
        phase: Phase::Running,
        health: Health::Unchecked,
        is_crash_looping: false,
        checks: None,
        labels: BTreeMap::new(),
        exposed: Vec::new(),
        published: Vec::new(),
        network_mode: NetworkMode::Networks,
        networks: Vec::new(),
    };
    exposing(on(one, &["bridge"]), &[8080])
}

/// On these networks; a network's id is `id-` and its name.
fn on(mut one: Workload, networks: &[&str]) -> Workload {
    let last = one.name.bytes().fold(2, |sum: u8, byte| sum.wrapping_add(byte) % 250);
    let attached = |(index, network): (u8, &&str)| Attachment {
        network: (*network).into(),
        network_id: format!("id-{network}").into(),
        ipv4: Some(IpAddr::from([10, 0, index, last.max(2)])),
        ipv6: None,
        gateway: None,
        aliases: Vec::new(),
    };
    one.networks = (0..).zip(networks).map(attached).collect();
    one
}

fn exposing(mut one: Workload, ports: &[u16]) -> Workload {
    let port = |port: &u16| (std::num::NonZeroU16::new(*port).unwrap(), Transport::Tcp);
    one.exposed = ports.iter().map(port).collect();
    one
}

fn labelled(mut one: Workload, labels: &[(&str, &str)]) -> Workload {
    one.labels.extend(labels.iter().map(|(name, value)| ((*name).into(), (*value).into())));
    one
}

#[test]
fn what_becomes_invalid_later_is_known_to_the_plan() {
    let now = Instant::now();
    let mut world = World::new(Scene::default().settings(), now);
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: odd}\ndata: {a: '?'}\n";
    for (text, count) in [("", 0), (secret, 1), ("", 0)] {
        let scan = Scan::from_iter([("shop.yaml".into(), File::new(text.as_bytes()))]);
        world.apply(Input::Files(Update::Whole(scan)), now);
        world.refresh();
        assert_eq!(world.snapshot().refused.len(), count, "{text}");
    }
}
