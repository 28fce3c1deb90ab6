//! How long it takes to plan and compile the world, and how much memory that needs: `cargo bench --bench plan`.
//!
//! Two worlds: routes of files that share some services, and containers of which each brings a route and a backend of
//! its own, as labels and default names do. A number as argument bounds the size.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails by ending, and its output is its result"
)]

use std::{collections::BTreeMap, net::IpAddr, net::Ipv4Addr, num::NonZeroU16, sync::Arc, time::Duration};

use portolan::{
    model::{
        Addresses, AllowedRoutes, Attachment, Backend, BackendRef, Endpoint, EndpointTarget, FromNamespaces,
        FrontendTls, Gateway, Health, HostPattern, HttpMatch, HttpRoute, HttpRule, Kind, Listener,
        ListenerTls, Meta, NetworkMode, Origin, ParentRef, PathMatch, Phase, Protocol, Resource, ResourceId,
        Scheme, Snapshot, Timeouts, Transport, Workload, WorkloadId,
    },
    plan::plan,
};
use tokio::time::Instant;

/// What the binary has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
const ROUNDS: usize = 10;

/// Routes of files share this many services of this many containers each.
const SERVICES: usize = 100;
const REPLICAS: usize = 3;

fn main() {
    let most = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(usize::MAX);
    println!(
        "{:<12} {:>8} {:>10} {:>10} {:>10} {:>10}",
        "world", "routes", "plan ms", "cpu ms", "world MB", "plan MB"
    );
    for size in SIZES.into_iter().filter(|size| *size <= most) {
        measure("files", size, files);
        measure("containers", size, containers);
    }
}

fn measure(name: &str, size: usize, world: fn(usize) -> Snapshot) {
    let empty = resident();
    let snapshot = world(size);
    let filled = resident();
    let result = plan(&snapshot);
    let planned = resident();
    assert_eq!(result.statuses.len(), snapshot.resources.len());
    let (mut times, mut cpu_times) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (start, cpu_start) = (Instant::now(), cpu_time());
        let again = plan(&snapshot);
        times.push(start.elapsed());
        cpu_times.push(cpu_time().saturating_sub(cpu_start));
        assert!(again == result, "equal input gave another plan");
    }
    println!(
        "{name:<12} {size:>8} {:>10.1} {:>10.1} {:>10.1} {:>10.1}",
        median(times),
        median(cpu_times),
        megabytes(filled.saturating_sub(empty)),
        megabytes(planned.saturating_sub(filled)),
    );
}

/// In milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// The time that this thread has been running on a core: what other programs do does not count.
fn cpu_time() -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(spent.split(' ').next().and_then(|spent| spent.parse().ok()).unwrap_or_default())
}

#[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or_default() * 4096
}

// === worlds ===

fn files(routes: usize) -> Snapshot {
    let mut world = Snapshot::default();
    add(&mut world, Resource::Gateway(Arc::new(gateway())));
    for index in 0..routes {
        let reference = reference("", "Service", &format!("service-{}", index % SERVICES));
        let host = format!("host-{index}.example.com");
        let mut route = route(&format!("route-{index}"), &host, reference);
        route.parents.push(ParentRef {
            group: "gateway.networking.k8s.io".into(),
            kind: "Gateway".into(),
            namespace: "default".into(),
            name: "edge".into(),
            section: None,
            port: None,
        });
        add(&mut world, Resource::HttpRoute(Arc::new(route)));
    }
    for index in 0..SERVICES * REPLICAS {
        let mut replica = container(index);
        let service = format!("service-{}", index % SERVICES);
        replica.labels.insert("com.docker.compose.project".into(), "default".into());
        replica.labels.insert("com.docker.compose.service".into(), service.into());
        world.workloads.insert(replica.id.clone(), Arc::new(replica));
    }
    world
}

fn containers(count: usize) -> Snapshot {
    let mut world = Snapshot::default();
    add(&mut world, Resource::Gateway(Arc::new(gateway())));
    for index in 0..count {
        let container = container(index);
        let target = EndpointTarget::Container { id: container.id.clone(), network: None };
        add(
            &mut world,
            Resource::Backend(Arc::new(Backend {
                meta: meta(Kind::Backend, &container.name),
                endpoints: vec![Endpoint { target, port: None, weight: 1, scheme: Scheme::Http }],
                policy: Arc::default(),
                tls: portolan::model::BackendTls::default(),
                unsupported: Vec::new(),
            })),
        );
        let reference = reference("portolan.dev", "Backend", &container.name);
        let mut route = route(&container.name, &format!("{}.docker.localhost", container.name), reference);
        route.hostnames.push(HostPattern::parse(&format!("{}.localhost", container.name)).unwrap());
        route.attaches_anywhere = true;
        route.uses_default_gateways = true;
        add(&mut world, Resource::HttpRoute(Arc::new(route)));
        world.workloads.insert(container.id.clone(), Arc::new(container));
    }
    world
}

fn add(world: &mut Snapshot, resource: Resource) {
    world.resources.insert(resource.meta().id.clone(), resource);
}

fn meta(kind: Kind, name: &str) -> Meta {
    Meta {
        id: ResourceId::new(kind, "default", name),
        origin: Origin::BuiltIn("bench"),
        created: None,
        generation: 1,
    }
}

fn gateway() -> Gateway {
    let allowed = AllowedRoutes { namespaces: FromNamespaces::All, kinds: None };
    Gateway {
        meta: meta(Kind::Gateway, "edge"),
        class: "portolan".into(),
        addresses: Addresses::All,
        listeners: vec![Listener {
            name: "http".into(),
            hostname: None,
            port: port(80),
            protocol: Protocol::Http,
            allowed,
            tls: ListenerTls::default(),
            unsupported: Vec::new(),
        }],
        allowed_listeners: FromNamespaces::None,
        is_default: true,
        frontend: FrontendTls::default(),
        client: None,
        unsupported_addresses: Vec::new(),
        unsupported_parameters: None,
    }
}

fn route(name: &str, host: &str, reference: BackendRef) -> HttpRoute {
    let everything = HttpMatch {
        path: PathMatch::Prefix("".into()),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    };
    HttpRoute {
        meta: meta(Kind::HttpRoute, name),
        parents: Vec::new(),
        uses_default_gateways: false,
        https: portolan::model::HttpsUse::default(),
        attaches_anywhere: false,
        hostnames: vec![HostPattern::parse(host).unwrap()],
        rules: vec![HttpRule {
            name: None,
            matches: vec![everything],
            filters: Vec::new(),
            backends: vec![reference],
            timeouts: Timeouts::default(),
            retry: None,
            session: None,
            unsupported: Vec::new(),
            unsupported_backends: BTreeMap::new(),
        }],
        unsupported: Vec::new(),
    }
}

fn reference(group: &str, kind: &str, name: &str) -> BackendRef {
    BackendRef {
        group: group.into(),
        kind: kind.into(),
        namespace: "default".into(),
        name: name.into(),
        port: None,
        weight: 1,
        filters: Vec::new(),
    }
}

fn container(index: usize) -> Workload {
    let address = Ipv4Addr::from_bits(0x0a00_0002 + u32::try_from(index).unwrap());
    Workload {
        id: WorkloadId(format!("{index:064x}").into()),
        name: format!("container-{index}").into(),
        hostname: format!("{index:012x}").into(),
        image: "acme/app:1".into(),
        created: 1,
        phase: Phase::Running,
        health: Health::Healthy,
        is_crash_looping: false,
        checks: None,
        labels: BTreeMap::new(),
        exposed: vec![(port(8080), Transport::Tcp)],
        published: Vec::new(),
        network_mode: NetworkMode::Networks,
        networks: vec![Attachment {
            network: "front".into(),
            network_id: "id-front".into(),
            ipv4: Some(IpAddr::V4(address)),
            ipv6: None,
            gateway: None,
            aliases: vec![format!("{index:012x}").into()],
        }],
    }
}

fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}
