//! What is told in each situation that users of proxies beside Docker get into: its reason, the cause, and what to do.
//!
//! The rows are the situations for which other proxies are known to be silent or wrong, as far as one engine has them.

use super::*;
use crate::{
    config::labels::Exposure,
    discovery::docker::{Error, recorded},
    model::{CheckTimes, Condition, Truth},
};

struct Row {
    what: &'static str,
    scene: Scene,
    about: About,
    reason: &'static str,
    cause: &'static str,
    remedy: &'static str,
}

/// Of what something is told.
enum About {
    Container(&'static str),
    /// A condition of an object.
    Condition(Kind, &'static str, &'static str),
    Listener,
    Source,
    Document,
}

use About::{Container, Document, Listener, Source};

/// Everything that is told of something: reason, and words with the hint.
fn told(report: &Report, about: &About) -> Vec<(&'static str, String)> {
    let problem = |problem: &Problem| {
        let hint = problem.hint.as_deref().unwrap_or_default();
        (problem.reason, format!("{}: {}; {hint}", problem.origin, problem.message))
    };
    let condition = |condition: &Condition| (condition.reason, condition.message.clone());
    match about {
        Container(name) => {
            let mut of_name = report.containers.values().filter(|one| &*one.workload.name == *name);
            let container = of_name.next().unwrap_or_else(|| panic!("no container `{name}`"));
            let left_alone = container.left_alone.iter().map(|why| (why.reason, why.message.clone()));
            container.problems.iter().map(problem).chain(left_alone).collect()
        }
        About::Condition(kind, name, of) => {
            let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
            let id = ResourceId::new(*kind, namespace, name);
            let object = report.objects.get(&id).unwrap_or_else(|| panic!("no {id}"));
            let parents = object.status.parents.iter().flat_map(|parent| &parent.conditions);
            let all = object.status.conditions.iter().chain(parents);
            all.filter(|one| one.kind == *of).map(condition).collect()
        }
        Listener => {
            let listeners = report.of_kind(Kind::Gateway).flat_map(|gateway| &gateway.status.listeners);
            let conditions = listeners.flat_map(|listener| &listener.conditions);
            conditions.filter(|one| one.truth == Truth::False).map(condition).collect()
        }
        Source => {
            let lost = report.sources.iter().filter(|source| !source.connected);
            lost.map(|source| ("", source.message.clone())).collect()
        }
        Document => report.problems.iter().map(problem).collect(),
    }
}

#[track_caller]
fn hold(rows: Vec<Row>) {
    let mut wrong = Vec::new();
    for Row { what, scene, about, reason, cause, remedy } in rows {
        let told = told(&scene.report(), &about);
        let is_it = |(found, words): &(&str, String)| {
            *found == reason && words.contains(cause) && words.contains(remedy)
        };
        if !told.iter().any(is_it) {
            wrong.push(format!("{what}: {reason}, `{cause}`, `{remedy}` is not among {told:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A row about the container `web`.
fn web(what: &'static str, web: Workload, said: (&'static str, &'static str, &'static str)) -> Row {
    let (reason, cause, remedy) = said;
    Row { what, scene: Scene::of([web]), about: Container("web"), reason, cause, remedy }
}

fn beside(web: Workload, networks: &[&str]) -> Scene {
    Scene::of([web]).beside(networks)
}

fn in_phase(phase: Phase) -> Workload {
    Workload { phase, ..container("web") }
}

fn in_health(health: Health) -> Workload {
    let checks = Some(CheckTimes { interval: 7, last: 1 });
    Workload { health, checks, ..container("web") }
}

fn row(
    what: &'static str,
    scene: Scene,
    about: About,
    said: (&'static str, &'static str, &'static str),
) -> Row {
    let (reason, cause, remedy) = said;
    Row { what, scene, about, reason, cause, remedy }
}

#[test]
fn a_container_that_is_not_running_says_what_it_does_and_how_it_runs_again() {
    let seen = |name: &'static str, said: (&'static str, &'static str, &'static str)| {
        row(name, Scene::of([recorded(name).workload]), Container(name), said)
    };
    hold(vec![
        web(
            "told to stop",
            in_phase(Phase::Terminating),
            ("Terminating", "has been told to stop", "`docker start web`"),
        ),
        web("stopped", in_phase(Phase::Exited), ("Exited", "has exited", "`docker start web`")),
        web(
            "restarting",
            in_phase(Phase::Restarting),
            ("Restarting", "is being restarted", "`docker logs web`"),
        ),
        seen("crash", ("CrashLooping", "keeps ending within seconds of its start", "`docker logs crash`")),
        seen("paused", ("Paused", "is paused", "`docker unpause paused`")),
        seen("created", ("NotStarted", "has not been started", "`docker start created`")),
        web(
            "removing or dead",
            in_phase(Phase::Dead),
            ("Dead", "dead or being removed", "`docker rm --force web`"),
        ),
        web("removed", in_phase(Phase::Gone), ("Removed", "has been removed", "`docker run --name web …`")),
        web(
            "drained",
            in_phase(Phase::Draining),
            ("Draining", "no new requests", "`portolan drain --cancel web`"),
        ),
    ]);
}

#[test]
fn a_container_that_is_not_healthy_says_what_its_check_found_and_when_it_runs_again() {
    let replica = |name: &str, health| labelled(Workload { health, ..container(name) }, &[("app", "pair")]);
    let pair = |states: [Health; 2]| {
        let backend = "apiVersion: portolan.dev/v1alpha1\nkind: Backend\nmetadata: {name: pair}\nspec:\n  endpoints: \
                       [{docker: {selector: {app: pair}}, port: 8080}]\n";
        let replicas = [replica("one", states[0]), replica("two", states[1])];
        Scene { documents: vec![backend.into()], ..Scene::of(replicas) }
    };
    let ready = || About::Condition(Kind::Backend, "pair", "Ready");
    hold(vec![
        web(
            "starting",
            in_health(Health::Starting),
            ("Starting", "has not succeeded yet; it runs every 7 s", "`docker inspect --format"),
        ),
        web(
            "unhealthy",
            in_health(Health::Unhealthy),
            ("Unhealthy", "its HEALTHCHECK fails; it runs every 7 s", "`docker inspect --format"),
        ),
        row(
            "all of a backend's are unhealthy",
            pair([Health::Unhealthy, Health::Unhealthy]),
            ready(),
            (
                "NoReadyEndpoint",
                "2 unhealthy (Unhealthy: container `one` is unhealthy",
                "`docker inspect --format",
            ),
        ),
        row(
            "some of a backend's are",
            pair([Health::Healthy, Health::Unhealthy]),
            ready(),
            ("Ready", "1 of 2 endpoints are ready, 1 unhealthy", ""),
        ),
        row(
            "a backend without any container",
            Scene { workloads: Vec::new(), ..pair([Health::Healthy; 2]) },
            ready(),
            ("NoReadyEndpoint", "no endpoint fits", "start a container that it selects"),
        ),
    ]);
}

#[test]
fn a_container_that_cannot_be_reached_says_which_networks_there_are_and_the_command() {
    let asking = |network| labelled(container("web"), &[("portolan.network", network)]);
    hold(vec![
        row(
            "Portolan on another network",
            beside(on(container("web"), &["back"]), &["front"]),
            Container("web"),
            (
                "NoSharedNetwork",
                "container `web` is on `back`, Portolan on `front`",
                "`docker network connect front web`",
            ),
        ),
        row(
            "Portolan on the default network only",
            beside(on(container("web"), &["back"]), &["bridge"]),
            Container("web"),
            ("NoSharedNetwork", "Portolan on `bridge`", "`docker network connect back portolan`"),
        ),
        row(
            "a label's network that Portolan is not on",
            beside(on(asking("back"), &["back", "front"]), &["front"]),
            Container("web"),
            ("NoSharedNetwork", "Portolan on `front`", "`docker network connect back portolan`"),
        ),
        web(
            "a label's network that the container is not on",
            asking("front"),
            (
                "NoSuchNetwork",
                "is not on network `front`, but on `bridge`",
                "correct the label `portolan.network`, or `docker network connect front web`",
            ),
        ),
        web(
            "no network at all",
            on(container("web"), &[]),
            ("NoAddress", "is on no network", "publish its port"),
        ),
    ]);
}

#[test]
fn a_container_with_another_kind_of_network_says_which_and_the_way_out() {
    let mode = |network_mode| Workload { network_mode, networks: Vec::new(), ..container("web") };
    let sharing = |id: &str| mode(NetworkMode::Container(WorkloadId(id.into())));
    let remote = Scene {
        placement: Some(Placement::Remote { address: IpAddr::from([192, 0, 2, 1]) }),
        ..Scene::of([container("web")])
    };
    let stopped = Workload { phase: Phase::Exited, ..container("owner") };
    let with_owner = Scene::of([sharing("id-owner"), stopped]);
    hold(vec![
        web(
            "network_mode none",
            mode(NetworkMode::None),
            ("NoNetwork", "`network_mode: none`", "recreate it without that"),
        ),
        row(
            "the host's network, which Portolan has no way to",
            beside(mode(NetworkMode::Host), &["front"]),
            Container("web"),
            (
                "NoGateway",
                "is on the host's network",
                "attach Portolan's container to a network with a gateway",
            ),
        ),
        web(
            "the network of a container that is gone",
            sharing("id-lost"),
            ("NetworkOwnerMissing", "`id-lost`, which is gone", "then recreate `web`"),
        ),
        row(
            "the network of a container that has stopped",
            with_owner,
            Container("web"),
            (
                "NetworkOwnerMissing",
                "`owner`, which does not run",
                "`docker start owner`, then `docker restart web`",
            ),
        ),
        row(
            "an engine on another machine",
            remote,
            Container("web"),
            ("NotPublished", "does not publish its port 8080", "publish it for all addresses (`-p 8080`)"),
        ),
    ]);
}

#[test]
fn a_port_that_is_not_clear_says_which_there_are_and_the_label() {
    let published = Published {
        port: std::num::NonZeroU16::new(8080).unwrap(),
        transport: Transport::Tcp,
        host_ip: IpAddr::from([0, 0, 0, 0]),
        host_port: std::num::NonZeroU16::new(18080).unwrap(),
    };
    let host = Workload { network_mode: NetworkMode::Host, networks: Vec::new(), ..container("web") };
    hold(vec![
        web(
            "no EXPOSE",
            exposing(container("web"), &[]),
            ("NoPort", "exposes no TCP port", "the label `portolan.port=8080`"),
        ),
        web(
            "no EXPOSE on the host's network",
            exposing(host, &[]),
            ("NoPort", "exposes no TCP port", "the label `portolan.port=8080`"),
        ),
        web(
            "several ports",
            exposing(container("web"), &[8080, 9000]),
            ("AmbiguousPort", "exposes the TCP ports 8080, 9000", "`portolan.port=8080`"),
        ),
        web(
            "published on the host too",
            Workload { published: vec![published], ..container("web") },
            ("PublishedPort", "clients may bypass the proxy", "`-p 127.0.0.1:18080:8080`"),
        ),
    ]);
}

#[test]
fn what_is_left_alone_says_why_and_how_it_would_not_be() {
    let one_off = labelled(container("web"), &[("com.docker.compose.oneoff", "True")]);
    let only_enabled = Scene { exposure: Exposure::Enabled, ..Scene::of([container("web")]) };
    let with_labels = labelled(container("web"), &[("portolan.host", "shop.test")]);
    let labels_only = Scene { exposure: Exposure::Enabled, ..Scene::of([with_labels]) };
    hold(vec![
        web(
            "a one-off of Compose",
            one_off,
            ("OneOff", "`docker compose run` made it", "`docker compose up`"),
        ),
        web(
            "disabled by its label",
            labelled(container("web"), &[("portolan.enable", "false")]),
            ("Disabled", "`portolan.enable` is `false`", "recreate it without"),
        ),
        row(
            "not exposed by default",
            only_enabled,
            Container("web"),
            ("NotEnabled", "not exposed by default", "`portolan.enable=true`"),
        ),
        row(
            "labels that have no effect",
            labels_only,
            Container("web"),
            ("NotEnabled", "has labels for Portolan but is left alone", "`portolan.enable=true`"),
        ),
        row(
            "Portolan itself",
            Scene::default().beside(&["front"]),
            Container("portolan"),
            ("Own", "Portolan's own container", ""),
        ),
    ]);
}

#[test]
fn two_claims_to_one_place_name_the_winner_and_the_way_out() {
    let claiming = |name: &str, created, strip| {
        let labels =
            [("portolan.host", "shop.test"), ("portolan.path", "/x"), ("portolan.path.strip", strip)];
        Workload { created, ..labelled(container(name), &labels) }
    };
    let of_service = |name: &str, created, strip| {
        let labels = [("com.docker.compose.project", "shop"), ("com.docker.compose.service", "web")];
        labelled(claiming(name, created, strip), &labels)
    };
    let route = |name: &str, to: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  hostnames: \
             [shop.test]\n  rules: [{{backendRefs: [{{name: {to}, port: 8080}}]}}]\n---\n"
        )
    };
    let text = route("second", "other") + &route("first", "web");
    let routes = Scene { documents: vec![text], ..Scene::of([container("web"), container("other")]) };
    hold(vec![
        row(
            "strangers",
            Scene::of([claiming("old", 1, "true"), claiming("young", 2, "false")]),
            Container("young"),
            ("Conflicted", "belongs to container `old`", "give this one another host or path"),
        ),
        row(
            "versions of one service",
            Scene::of([of_service("web-1", 1, "true"), of_service("web-2", 2, "false")]),
            Container("web-1"),
            ("Conflicted", "unlike container `web-2` of the same service", "the same labels"),
        ),
        row(
            "documents",
            routes,
            About::Condition(Kind::HttpRoute, "second", "Conflicted"),
            ("Conflicted", "is served by HTTPRoute default/first", "change the host, path or conditions"),
        ),
    ]);
}

#[test]
fn what_is_written_wrong_says_where_and_what_was_probably_meant() {
    let route = |to: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: shop}}\nspec:\n  hostnames: \
             [shop.test]\n  rules: [{{backendRefs: [{{name: {to}, port: 8080}}]}}]\n"
        )
    };
    let misspelled = route("web").replace("hostnames", "hostname");
    let elsewhere = labelled(
        container("shop-web-1"),
        &[("com.docker.compose.project", "shop"), ("com.docker.compose.service", "web")],
    );
    let resolved = || About::Condition(Kind::HttpRoute, "shop", "ResolvedRefs");
    hold(vec![
        web(
            "an unknown label",
            labelled(container("web"), &[("portolan.prot", "80")]),
            (
                "UnknownLabel",
                "label `portolan.prot` of container `web` is not known",
                "did you mean `portolan.port`?",
            ),
        ),
        row(
            "an unknown field",
            Scene::written(misspelled.clone()),
            Document,
            ("InvalidDocument", "shop.yaml:5:3", "`hostnames`"),
        ),
        row(
            "a name that is nowhere",
            Scene::written(route("wbe")),
            resolved(),
            (
                "BackendNotFound",
                "backendRef `wbe`: namespace `default` has no",
                "correct it, or start a container",
            ),
        ),
        row(
            "a name in another namespace",
            Scene { workloads: vec![elsewhere], ..Scene::written(route("web")) },
            resolved(),
            ("BackendNotFound", "there is one in namespace `shop`", "allow it with a ReferenceGrant"),
        ),
    ]);
    let scene = Scene { documents: vec![route("web"), misspelled], ..Scene::default() };
    let report = scene.report();
    let shop = &report.objects[&ResourceId::new(Kind::HttpRoute, "default", "shop")];
    assert!(shop.stale && !report.config_valid, "the last good version is shown as that");
}

#[test]
fn what_cannot_be_listened_on_or_asked_says_why_and_what_to_do() {
    let unbound = |kind: io::ErrorKind| Scene { unbound: Some(kind.into()), ..Scene::of([container("web")]) };
    let lost = |error| Scene { lost: Some(error), ..Scene::of([container("web")]) };
    hold(vec![
        row(
            "a port that is taken",
            unbound(io::ErrorKind::AddrInUse),
            Listener,
            (
                "PortUnavailable",
                "cannot listen on 127.0.0.1:80: another program listens there",
                "choose another port",
            ),
        ),
        row(
            "a port that is not allowed",
            unbound(io::ErrorKind::PermissionDenied),
            Listener,
            ("PortUnavailable", "permission denied", "CAP_NET_BIND_SERVICE"),
        ),
        row(
            "a socket proxy that refuses",
            lost(Error::Refused { request: "GET /containers/json", allow: "CONTAINERS=1" }),
            Source,
            ("", "`GET /containers/json` is refused by the socket proxy", "allow `CONTAINERS=1`"),
        ),
        row(
            "an engine that does not answer",
            lost(Error::Timeout { request: "GET /version", seconds: 10 }),
            Source,
            ("", "had no answer within 10 s", "its own log says why"),
        ),
    ]);
}

#[test]
fn of_an_engine_that_is_lost_everything_stays() {
    let report = Scene { lost: Some(Error::Ended), ..Scene::of([container("web")]) }.report();
    let web = report.containers.values().next().unwrap();
    assert!(web.routed && web.problems.is_empty(), "{web:?}");
}
