//! The address and port of a container, and every reason not to have one.

use super::*;

/// Where a request goes when its backend is the container `web` of this world.
fn found(placement: &Placement, reference: &str, mut things: Vec<Thing>) -> String {
    things.extend([edge().into(), route("r").to(service_ref(reference)).into()]);
    let mut snapshot = assembled(things);
    snapshot.settings.placement = placement.clone();
    plan(&snapshot).leads_to("a.test")
}

/// The same with a network label.
fn found_on(placement: &Placement, network: &str, things: Vec<Thing>) -> String {
    let target = EndpointTarget::ContainerNamed { name: "web".into(), network: Some(network.into()) };
    let mut all: Vec<Thing> = vec![backend("labelled").endpoint(endpoint(target)).into()];
    all.extend(things);
    found(placement, "labelled", all)
}

/// Portolan in the container `portolan` on these networks, and that container.
fn inside(networks: &[(&str, &str)]) -> (Placement, Workload) {
    let mut own = container("portolan").on(networks);
    for attachment in &mut own.networks {
        attachment.gateway = Some(ip("172.30.0.1"));
    }
    let networks = own.networks.iter().map(|one| (one.network_id.clone(), one.network.clone())).collect();
    (Placement::Container { id: own.id.clone(), networks }, own)
}

fn remote() -> Placement {
    Placement::Remote { address: ip("192.0.2.10") }
}

// === ports ===

#[test]
fn the_port_is_the_one_asked_for_else_the_only_one_else_80() {
    for (exposed, reference, port) in [
        (&[8080][..], "web", 8080),
        (&[80], "web", 80),
        (&[80, 9000], "web", 80),
        (&[8080, 9000], "web:9000", 9000),
        (&[], "web:3000", 3000),
        (&[80], "web:3000", 3000),
    ] {
        let web = container("web").exposing(exposed).on(&[("n", "10.0.0.2")]);
        assert_eq!(found(&Placement::Host, reference, vec![web.into()]), format!("10.0.0.2:{port}"));
    }
}

#[test]
fn other_transports_are_no_ports() {
    let mut web = container("web").exposing(&[8080]).on(&[("n", "10.0.0.2")]);
    web.exposed.extend([(port(53), Transport::Udp), (port(80), Transport::Sctp)]);
    assert_eq!(found(&Placement::Host, "web", vec![web.into()]), "10.0.0.2:8080");
}

#[test]
fn a_container_without_a_port_says_how_to_name_one() {
    assert_eq!(
        found(&Placement::Host, "web", vec![container("web").exposing(&[]).into()]),
        "empty: 1 unreachable (NoPort: container `web` exposes no TCP port; name it with the label `portolan.port=8080` \
         (the port inside the container), or `EXPOSE` it in the image)"
    );
}

#[test]
fn several_ports_without_80_are_ambiguous() {
    assert_eq!(
        found(&Placement::Host, "web", vec![container("web").exposing(&[8080, 9000]).into()]),
        "empty: 1 unreachable (AmbiguousPort: container `web` exposes the TCP ports 8080, 9000; choose one with the label \
         `portolan.port=8080`)"
    );
}

// === states ===

#[test]
fn only_a_container_that_runs_and_is_healthy_gets_requests() {
    let check = "`docker inspect --format '{{json .State.Health}}' web` shows what the check answered";
    for (phase, health, why) in [
        (
            Phase::Created,
            Health::Unchecked,
            "1 down (NotStarted: container `web` has not been started; `docker start web` starts it)"
                .to_owned(),
        ),
        (
            Phase::Paused,
            Health::Healthy,
            "1 paused (Paused: container `web` is paused; `docker unpause web` lets it serve again)"
                .to_owned(),
        ),
        (
            Phase::Restarting,
            Health::Unchecked,
            "1 down (Restarting: container `web` is being restarted; `docker logs web` shows why it ends)".to_owned(),
        ),
        (
            Phase::Terminating,
            Health::Healthy,
            "1 terminating (Terminating: container `web` has been told to stop; `docker start web` starts it again once it has \
             ended)"
                .to_owned(),
        ),
        (
            Phase::Exited,
            Health::Unchecked,
            "1 down (Exited: container `web` has exited; `docker start web` starts it)".to_owned(),
        ),
        (
            Phase::Dead,
            Health::Unchecked,
            "1 down (Dead: container `web` is dead or being removed; `docker rm --force web` removes what is left of it)".to_owned(),
        ),
        (Phase::Gone, Health::Healthy, "1 down (Removed: container `web` has been removed; `docker run --name web …`, or `docker compose up --detach` where \
             Compose made it, makes it again)"
                .to_owned()),
        (
            Phase::Running,
            Health::Starting,
            format!(
                "1 starting (Starting: container `web` is starting: its HEALTHCHECK has not succeeded yet; {check})"
            ),
        ),
        (
            Phase::Running,
            Health::Unhealthy,
            format!("1 unhealthy (Unhealthy: container `web` is unhealthy: its HEALTHCHECK fails; {check})"),
        ),
    ] {
        let web = container("web").phase(phase).health(health);
        assert_eq!(found(&Placement::Host, "web", vec![web.into()]), format!("empty: {why}"));
    }
    for health in [Health::Unchecked, Health::Healthy] {
        let web = container("web").health(health).on(&[("n", "10.0.0.2")]);
        assert_eq!(found(&Placement::Host, "web", vec![web.into()]), "10.0.0.2:80");
    }
}

#[test]
fn a_container_that_cannot_stay_up_is_told_apart_from_one_that_is_restarted() {
    let web = Workload { is_crash_looping: true, ..container("web").phase(Phase::Restarting) };
    let why = "container `web` keeps ending within seconds of its start, and the engine keeps restarting it";
    let told = format!("empty: 1 down (CrashLooping: {why}; `docker logs web` shows why it ends)");
    assert_eq!(found(&Placement::Host, "web", vec![web.into()]), told);
}

#[test]
fn a_port_that_is_missing_is_told_before_the_health_check_ends() {
    let web = container("web").exposing(&[]).health(Health::Starting);
    assert!(found(&Placement::Host, "web", vec![web.into()]).starts_with("empty: 1 unreachable (NoPort"));
}

// === networks ===

#[test]
fn on_the_host_the_first_network_with_an_address_counts() {
    let web = container("web").on(&[("a", ""), ("b", "10.0.2.2"), ("c", "10.0.3.2")]);
    assert_eq!(found(&Placement::Host, "web", vec![web.into()]), "10.0.2.2:80");
    let six = container("web").on(&[("a", "2001:db8::2")]);
    assert_eq!(found(&Placement::Host, "web", vec![six.into()]), "[2001:db8::2]:80");
    let mut both = container("web").on(&[("a", "10.0.2.2")]);
    both.networks[0].ipv6 = Some(ip("2001:db8::2"));
    assert_eq!(found(&Placement::Host, "web", vec![both.into()]), "10.0.2.2:80");
}

#[test]
fn on_the_host_a_published_port_is_the_last_resort() {
    for (host_ip, expected) in [
        ("0.0.0.0", "127.0.0.1:8000"),
        ("127.0.0.1", "127.0.0.1:8000"),
        ("192.0.2.10", "192.0.2.10:8000"),
        ("::", "[::1]:8000"),
        ("::1", "[::1]:8000"),
    ] {
        let web = container("web").on(&[("odd", "")]).publishing(80, host_ip, 8000);
        assert_eq!(found(&Placement::Host, "web", vec![web.into()]), expected, "{host_ip}");
    }
    let other_port = container("web").on(&[("odd", "")]).publishing(81, "0.0.0.0", 8000);
    let mut udp = container("web").on(&[("odd", "")]).publishing(80, "0.0.0.0", 8000);
    udp.published[0].transport = Transport::Udp;
    for web in [other_port, udp] {
        assert_eq!(
            found(&Placement::Host, "web", vec![web.into()]),
            "empty: 1 unreachable (NoAddress: container `web` has no address on `odd`; attach it to a bridge or overlay \
             network, or publish its port)"
        );
    }
}

#[test]
fn beside_other_containers_only_a_shared_network_counts() {
    let (placement, own) = inside(&[("back", "10.0.2.9"), ("front", "10.0.3.9"), ("ingress", "10.0.0.9")]);
    let web = container("web").on(&[
        ("a", "10.0.1.2"),
        ("front", "10.0.3.2"),
        ("ingress", "10.0.0.2"),
        ("z", "10.0.4.2"),
    ]);
    assert_eq!(found(&placement, "web", vec![own.into(), web.into()]), "10.0.3.2:80");
}

#[test]
fn networks_are_compared_by_id() {
    let (placement, own) = inside(&[("front", "10.0.3.9")]);
    let mut web = container("web").on(&[("front", "10.0.3.2")]);
    web.networks[0].network_id = "another".into();
    assert!(
        found(&placement, "web", vec![own.clone().into(), web.clone().into()]).contains("NoSharedNetwork")
    );
    web.networks[0].network = "renamed".into();
    web.networks[0].network_id = "id-front".into();
    assert_eq!(found(&placement, "web", vec![own.into(), web.into()]), "10.0.3.2:80");
}

#[test]
fn without_a_shared_network_both_sides_and_the_remedy_are_named() {
    let (placement, own) = inside(&[("bridge", "172.17.0.9"), ("front", "10.0.3.9")]);
    let web = container("web").on(&[("a", "10.0.1.2"), ("b", "10.0.2.2")]);
    assert_eq!(
        found(&placement, "web", vec![own.into(), web.clone().into()]),
        "empty: 1 unreachable (NoSharedNetwork: container `web` is on `a`, `b`, Portolan on `bridge`, `front`; `docker \
         network connect front web`)"
    );
    // The default bridge cannot be joined under a name, so Portolan has to come.
    let (placement, own) = inside(&[("bridge", "172.17.0.9")]);
    assert!(
        found(&placement, "web", vec![own.into(), web.clone().into()])
            .ends_with("; `docker network connect a portolan`)")
    );
    let (placement, own) = inside(&[]);
    assert!(
        found(&placement, "web", vec![own.into(), web.into()])
            .ends_with("is on `a`, `b`, Portolan on no network; `docker network connect a portolan`)")
    );
}

#[test]
fn without_a_shared_network_a_port_published_on_the_gateway_will_do() {
    let (placement, own) = inside(&[("front", "10.0.3.9")]);
    for (host_ip, expected) in [
        ("0.0.0.0", Some("172.30.0.1:8000")),
        ("172.30.0.1", Some("172.30.0.1:8000")),
        ("127.0.0.1", None),
        ("::", None),
    ] {
        let web = container("web").on(&[("a", "10.0.1.2")]).publishing(80, host_ip, 8000);
        let found = found(&placement, "web", vec![own.clone().into(), web.into()]);
        match expected {
            Some(expected) => assert_eq!(found, expected),
            None => assert!(found.contains("NoSharedNetwork"), "{found}"),
        }
    }
}

#[test]
fn the_network_that_a_label_names_is_used() {
    let web =
        || container("web").in_compose("shop", "web").on(&[("a", "10.0.1.2"), ("shop_front", "10.0.3.2")]);
    for network in ["shop_front", "front", "id-shop_front"] {
        assert_eq!(found_on(&Placement::Host, network, vec![web().into()]), "10.0.3.2:80", "{network}");
    }
    let (placement, own) = inside(&[("a", "10.0.1.9"), ("shop_front", "10.0.3.9")]);
    assert_eq!(found_on(&placement, "front", vec![own.into(), web().into()]), "10.0.3.2:80");
}

#[test]
fn a_network_that_a_label_names_has_to_be_there() {
    let web = || container("web").on(&[("a", "10.0.1.2"), ("b", "")]);
    assert_eq!(
        found_on(&Placement::Host, "front", vec![web().into()]),
        "empty: 1 unreachable (NoSuchNetwork: container `web` is not on network `front`, but on `a`, `b`; correct the label \
         `portolan.network`, or `docker network connect front web`)"
    );
    assert!(
        found_on(&Placement::Host, "front", vec![container("web").on(&[]).into()])
            .contains("is not on network `front`, but on no network")
    );
    assert!(
        found_on(&Placement::Host, "b", vec![web().into()])
            .contains("NoAddress: container `web` has no address")
    );
    // It is there, but Portolan is not: Portolan has to join what was asked for.
    let (placement, own) = inside(&[("front", "10.0.3.9")]);
    assert_eq!(
        found_on(&placement, "a", vec![own.into(), web().into()]),
        "empty: 1 unreachable (NoSharedNetwork: container `web` is on `a`, `b`, Portolan on `front`; `docker network connect \
         a portolan`)"
    );
}

#[test]
fn from_another_machine_only_published_ports_count() {
    let web = |host_ip: &str| container("web").on(&[("a", "10.0.1.2")]).publishing(80, host_ip, 8000);
    assert_eq!(found(&remote(), "web", vec![web("0.0.0.0").into()]), "192.0.2.10:8000");
    assert_eq!(found(&remote(), "web", vec![web("192.0.2.10").into()]), "192.0.2.10:8000");
    assert_eq!(found_on(&remote(), "a", vec![web("0.0.0.0").into()]), "192.0.2.10:8000");
    let six = Placement::Remote { address: ip("2001:db8::10") };
    assert_eq!(found(&six, "web", vec![web("::").into()]), "[2001:db8::10]:8000");
    let remedy = "publish it for all addresses (`-p 80`), or run Portolan beside the engine";
    assert_eq!(
        found(&remote(), "web", vec![container("web").into()]),
        format!(
            "empty: 1 unreachable (NotPublished: the engine is on another machine (192.0.2.10) and container `web` does not \
             publish its port 80; {remedy})"
        )
    );
    assert_eq!(
        found(&remote(), "web", vec![web("127.0.0.1").into()]),
        format!(
            "empty: 1 unreachable (NotPublished: the engine is on another machine (192.0.2.10) and container `web` publishes \
             its port 80 only on 127.0.0.1; {remedy})"
        )
    );
}

// === network modes ===

#[test]
fn the_hosts_network_is_the_hosts_address() {
    let web = || Thing::from(container("web").mode(NetworkMode::Host));
    assert_eq!(found(&Placement::Host, "web", vec![web()]), "127.0.0.1:80");
    assert_eq!(found(&remote(), "web", vec![web()]), "192.0.2.10:80");
    let (placement, own) = inside(&[("front", "10.0.3.9")]);
    assert_eq!(found(&placement, "web:8080", vec![own.clone().into(), web()]), "172.30.0.1:8080");
    let mut internal = own;
    internal.networks[0].gateway = None;
    assert_eq!(
        found(&placement, "web", vec![internal.into(), web()]),
        "empty: 1 unreachable (NoGateway: container `web` is on the host's network, and none of Portolan's networks leads to \
         the host; attach Portolan's container to a network with a gateway, such as a bridge network)"
    );
    assert!(
        found(&Placement::Host, "web", vec![container("web").exposing(&[]).mode(NetworkMode::Host).into()])
            .contains("NoPort")
    );
}

#[test]
fn no_network_is_no_address() {
    assert_eq!(
        found(&Placement::Host, "web", vec![container("web").mode(NetworkMode::None).into()]),
        "empty: 1 unreachable (NoNetwork: container `web` has no network (`network_mode: none`); recreate it without that, \
         on a network that Portolan can reach)"
    );
}

/// A container that uses the network of another.
fn guest(name: &str, of: &str) -> Workload {
    container(name).mode(NetworkMode::Container(WorkloadId(of.into())))
}

#[test]
fn a_shared_network_is_that_of_its_owner() {
    let owner = || container("owner").on(&[("front", "10.0.3.2")]).publishing(80, "0.0.0.0", 8000);
    let things = || vec![guest("web", "id-middle").into(), guest("middle", "owner").into(), owner().into()];
    assert_eq!(found(&Placement::Host, "web", things()), "10.0.3.2:80");
    assert_eq!(found_on(&Placement::Host, "front", things()), "10.0.3.2:80");
    assert_eq!(found(&remote(), "web", things()), "192.0.2.10:8000");
    let (placement, own) = inside(&[("back", "10.0.2.9")]);
    let mut shut = things();
    shut.push(own.into());
    assert_eq!(found(&placement, "web", shut), "172.30.0.1:8000");
    let host = vec![guest("web", "id-h").into(), container("h").mode(NetworkMode::Host).into()];
    assert_eq!(found(&Placement::Host, "web", host), "127.0.0.1:80");
}

#[test]
fn a_shared_network_is_joined_by_its_owner() {
    let (placement, own) = inside(&[("back", "10.0.2.9")]);
    let owner = container("owner").on(&[("front", "10.0.3.2")]);
    assert_eq!(
        found(&placement, "web", vec![own.into(), guest("web", "id-owner").into(), owner.into()]),
        "empty: 1 unreachable (NoSharedNetwork: container `web` is on `front`, Portolan on `back`; `docker network connect \
         back owner`)"
    );
}

#[test]
fn an_owner_that_is_not_there_takes_its_network_along() {
    assert_eq!(
        found(&Placement::Host, "web", vec![guest("web", "gone").into()]),
        "empty: 1 unreachable (NetworkOwnerMissing: container `web` uses the network of container `gone`, which is gone; \
         start that container again, then recreate `web`)"
    );
    for phase in [Phase::Created, Phase::Exited, Phase::Dead, Phase::Restarting] {
        assert_eq!(
            found(
                &Placement::Host,
                "web",
                vec![guest("web", "id-owner").into(), container("owner").phase(phase).into()]
            ),
            "empty: 1 unreachable (NetworkOwnerMissing: container `web` uses the network of container `owner`, which does \
             not run; `docker start owner`, then `docker restart web`)"
        );
    }
    let paused = container("owner").on(&[("n", "10.0.0.2")]).phase(Phase::Paused);
    assert_eq!(
        found(&Placement::Host, "web", vec![guest("web", "id-owner").into(), paused.into()]),
        "10.0.0.2:80"
    );
    let circle = vec![guest("web", "id-other").into(), guest("other", "id-web").into()];
    assert_eq!(
        found(&Placement::Host, "web", circle),
        "empty: 1 unreachable (NetworkOwnerMissing: container `web` uses the network of a container that uses another's, and \
         so on without end; give one of them a network of its own)"
    );
    assert!(found(&Placement::Host, "web", vec![guest("web", "id-web").into()]).contains("without end"));
}

// === past the proxy ===

#[test]
fn a_port_that_is_also_published_on_the_host_is_a_warning() {
    let forwarded = |host: &str, inside: u16| Published {
        port: port(inside),
        transport: Transport::Tcp,
        host_ip: ip(host),
        host_port: port(18080),
    };
    let said = |published: Published, placement: Placement| {
        let mut web = container("web").exposing(&[8080]).on(&[("n", "10.0.0.2")]);
        web.published = vec![published];
        let mut world = world![edge(), route("r").to(service_ref("web")), web];
        world.settings.placement = placement;
        let web = plan(&world).workload("web");
        assert!(web.routed);
        web.problems.iter().map(ToString::to_string).collect::<Vec<String>>()
    };
    let told = said(forwarded("0.0.0.0", 8080), Placement::Host);
    let words = "port 8080 of container `web` is also published on the host at 0.0.0.0:18080: clients may bypass the proxy there";
    assert!(
        told.len() == 1 && told[0].contains(words) && told[0].contains("-p 127.0.0.1:18080:8080"),
        "{told:?}"
    );
    assert_eq!(said(forwarded("127.0.0.1", 8080), Placement::Host), [""; 0], "nobody else gets there");
    assert_eq!(said(forwarded("0.0.0.0", 9090), Placement::Host), [""; 0], "another port");
    assert_eq!(said(forwarded("0.0.0.0", 8080), remote()), [""; 0], "it is the only way there");
}

#[test]
fn the_rhythm_of_a_check_that_is_waited_for_is_told() {
    let checks = Some(CheckTimes { interval: 30, last: 1_000 });
    for (health, state, words) in [
        (
            Health::Starting,
            EndpointState::Starting,
            "its HEALTHCHECK has not succeeded yet; it runs every 30 s",
        ),
        (Health::Unhealthy, EndpointState::Unhealthy, "its HEALTHCHECK fails; it runs every 30 s"),
    ] {
        let web = Workload { checks, ..container("web").health(health).on(&[("n", "10.0.0.2")]) };
        let plan = plan(&world![edge(), route("r").to(service_ref("web")), web]);
        let said = plan.route_says("r", "Ready");
        assert!(said.contains(words) && said.contains(&format!("1 {}", state.as_str())), "{said}");
        let endpoint = &plan.backends["default/web"].endpoints[0];
        assert_eq!((endpoint.state, endpoint.checks), (state, checks));
    }
}
