//! Which service is meant, what stands in the way, and when a container is ready.

use serde_json::json;

use super::*;

fn container(name: &str, project: &str, phase: &str) -> Value {
    json!({
        "metadata": {"uid": format!("id-{name}"), "name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"labels": {
            PROJECT: project,
            SERVICE: "web",
            FOLDER: format!("/srv/{project}"),
            FILES: "compose.yaml,/etc/more.yaml",
        }},
        "status": {"phase": phase},
    })
}

fn names(members: &[Member]) -> Vec<&str> {
    members.iter().map(|member| &*member.name).collect()
}

#[test]
fn what_runs_is_replaced_and_what_has_stopped_is_told_apart() {
    let mut one_off = container("run", "shop", "running");
    one_off["spec"]["labels"][ONE_OFF] = "True".into();
    let mut other = container("db", "shop", "running");
    other["spec"]["labels"][SERVICE] = "db".into();
    let all = [
        container("web-1", "shop", "running"),
        container("web-2", "shop", "paused"),
        container("web-3", "shop", "exited"),
        container("web-4", "shop", "gone"),
        container("web-5", "shop", "restarting"),
        one_off,
        other,
        json!({"metadata": {"name": "plain"}, "spec": {"labels": {}}, "status": {"phase": "running"}}),
    ];
    let found = choose(&all, "web", None).unwrap();
    assert_eq!(names(&found.old), ["web-1", "web-2", "web-5"]);
    assert_eq!(names(&found.stopped), ["web-3"]);
    assert_eq!((&*found.project, found.folder.as_deref()), ("shop", Some("/srv/shop")));
    assert_eq!(found.files, ["compose.yaml", "/etc/more.yaml"]);
}

#[test]
fn a_service_of_two_projects_has_to_be_told_apart() {
    let all = [container("a", "one", "running"), container("b", "two", "running")];
    let error = choose(&all, "web", None).unwrap_err();
    assert_eq!(error.message, "the projects `one`, `two` have a service `web`");
    assert!(error.hint.contains("--project"), "{error:?}");
    assert_eq!(names(&choose(&all, "web", Some("two")).unwrap().old), ["b"]);
}

#[test]
fn a_service_that_does_not_run_cannot_be_replaced() {
    for all in [vec![], vec![container("a", "one", "exited")]] {
        let error = choose(&all, "web", None).unwrap_err();
        assert_eq!(error.message, "no container of a Compose service `web` runs");
        assert!(error.hint.contains("up --detach web"), "{error:?}");
    }
}

#[test]
fn what_two_containers_cannot_share_is_named() {
    let told = |service: Value| obstacles(&json!({"services": {"web": service}}), "web").unwrap();
    assert_eq!(told(json!({"image": "x", "ports": ["80", "127.0.0.1::80"]})), Vec::<String>::new());
    for (service, words) in [
        (json!({"container_name": "shop-web"}), "`container_name: shop-web`"),
        (json!({"network_mode": "host"}), "`network_mode: host`"),
        (
            json!({"networks": {"front": {"ipv4_address": "10.0.0.9"}}}),
            "`ipv4_address: 10.0.0.9` on network `front`",
        ),
    ] {
        let told = told(service.clone());
        assert!(told.len() == 1 && told[0].starts_with(words), "{service}: {told:?}");
    }
    let none = json!({"networks": {"front": null}, "network_mode": "bridge", "container_name": null});
    assert_eq!(told(none), Vec::<String>::new());
    let error = obstacles(&json!({"services": {"api": {}, "db": {}}}), "web").unwrap_err();
    assert_eq!(error.message, "the Compose file has no service `web`");
    assert!(error.hint.starts_with("it has `api`, `db`"), "{error:?}");
}

#[test]
fn a_port_of_the_host_is_fixed_unless_it_is_a_range_or_left_open() {
    for (port, fixed) in [
        (json!("80"), None),
        (json!(80), None),
        (json!("8080:80"), Some("8080:80")),
        (json!("8080:80/tcp"), Some("8080:80")),
        (json!("127.0.0.1:8080:80"), Some("8080:80")),
        (json!("127.0.0.1::80"), None),
        (json!("[::1]:8080:80/udp"), Some("8080:80")),
        (json!("8000-8009:80"), None),
        (json!("8000-8001:80-81"), Some("8000-8001:80-81")),
        (json!({"target": 80}), None),
        (json!({"target": 80, "published": 8080}), Some("8080:80")),
        (json!({"target": 80, "published": "8080", "mode": "ingress"}), Some("8080:80")),
        (json!({"target": 80, "published": "8000-8009"}), None),
        (json!({"target": 80, "published": 0}), None),
    ] {
        assert_eq!(fixed_port(&port).as_deref(), fixed, "{port}");
    }
}

#[test]
fn ready_is_running_healthy_and_every_endpoint_ready() {
    let look = |phase: &str, health: &str| Look {
        name: "web-2".to_owned(),
        phase: phase.to_owned(),
        health: health.to_owned(),
        ..Look::default()
    };
    let endpoint = |state: &str, message: &str| json!({"metadata": {"namespace": "shop", "name": "web-2"}, "status": {"state": state, "message": message}});
    let ready = endpoint("ready", "");
    assert_eq!(readiness(Some(&look("running", "healthy")), std::slice::from_ref(&ready)), Readiness::Ready);
    assert_eq!(readiness(Some(&look("running", "unchecked")), &[]), Readiness::Ready);
    for (look, endpoints) in [
        (None, vec![]),
        (Some(look("created", "unchecked")), vec![]),
        (Some(look("restarting", "unchecked")), vec![endpoint("down", "Restarting: …")]),
        (Some(look("running", "starting")), vec![]),
        (Some(look("running", "unhealthy")), vec![]),
        (Some(look("running", "unchecked")), vec![ready.clone(), endpoint("starting", "NotChecked: …")]),
        (Some(look("running", "unchecked")), vec![endpoint("unreachable", "NoPort: …")]),
    ] {
        let found = readiness(look.as_ref(), &endpoints);
        assert!(matches!(found, Readiness::Waiting(_)), "{look:?}: {found:?}");
    }
    for (look, endpoints) in [
        (look("exited", "unchecked"), vec![]),
        (look("gone", "unchecked"), vec![]),
        (look("restarting", "unchecked"), vec![endpoint("down", "CrashLooping: keeps ending")]),
    ] {
        let found = readiness(Some(&look), &endpoints);
        assert!(matches!(found, Readiness::Failed(_)), "{look:?}: {found:?}");
    }
}
