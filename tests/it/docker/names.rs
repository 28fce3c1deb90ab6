//! The names that a container answers to when nobody says anything, and who is left alone.

use super::{all_answer, becomes, harbour, harbour_with, host, shares, told};
use crate::support::{RUN_LABEL, container::compose, run_id, scratch, unique, wait};

#[test]
fn docker_a_container_without_labels_answers_at_its_two_default_names() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").port(8080).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
    portolan.reaches(&format!("{}.localhost", web.name), "/any/path?q=1", &web.name);
    portolan.says(&format!("{}.example.com", web.name), "/", 404);
    let shown = becomes(&portolan, &web.name, "routed", |item| item["status"]["routed"] == true);
    let urls = shown["status"]["urls"].to_string();
    assert!(urls.contains(&format!("{}/", host(&web.name))) || urls.contains(&host(&web.name)), "{urls}");
    let table = portolan.client(&["get", "containers", &web.name]).unwrap();
    assert!(table.contains(&host(&web.name)), "{table}");
}

#[test]
fn docker_a_container_that_ran_before_portolan_answers_as_well() {
    let Some(engine) = crate::support::engine::Engine::local() else { return };
    let web = engine.container("web").port(8080).start();
    web.listens(8080);
    let Some((_, portolan)) = harbour() else { return };
    let answer = portolan.get(&host(&web.name), "/").unwrap();
    assert_eq!(answer.backend(), Some(&*web.name), "served as soon as it is ready: {answer}");
}

#[test]
fn docker_a_dotted_host_name_is_a_name_too() {
    let Some((engine, portolan)) = harbour() else { return };
    let name = format!("{}.example.com", unique("blog"));
    let web = engine.container("web").port(8080).options(["--hostname", &name]).start();
    portolan.reaches(&name, "/", &web.name);
    portolan.reaches(&host(&web.name), "/", &web.name);
}

#[test]
fn docker_replicas_of_a_compose_service_balance_under_its_name() {
    let Some((engine, portolan)) = harbour() else { return };
    let project = unique("shop");
    let replica = |number: &str| {
        let name = format!("{project}_web_{number}");
        engine
            .container("web")
            .named(&name)
            .port(8080)
            .label("com.docker.compose.project", &project)
            .label("com.docker.compose.service", "web")
            .label("com.docker.compose.container-number", number)
            .label("com.docker.compose.oneoff", "False")
            .start()
    };
    let (one, two) = (replica("1"), replica("2"));
    let service = format!("web.{project}.docker.localhost");
    all_answer(&portolan, &service, &[&one.name, &two.name]);
    let shares = shares(&portolan, &service, 100);
    assert!(shares.len() == 2 && shares.values().all(|share| *share >= 25), "{shares:?}");
    drop(two);
    wait::eventually(wait::SOON, "the rest serves alone", || {
        let shares = super::shares(&portolan, &service, 4);
        wait::check(shares, |shares| shares.len() == 1, |shares| format!("{shares:?}"))
    });
}

#[test]
fn docker_compose_itself_starts_a_service_that_answers() {
    let Some((engine, portolan)) = harbour() else { return };
    let folder = scratch();
    let (project, file) = (unique("crew"), folder.path().join("compose.yaml"));
    let (image, run) = (engine.image("backend"), run_id());
    let text = format!(
        "version: '2.4'\nservices:\n  app:\n    image: {image}\n    command: ['8080']\n    expose: ['8080']\n    \
         labels: {{{RUN_LABEL}: '{run}'}}\nnetworks:\n  default:\n    labels: {{{RUN_LABEL}: '{run}'}}\n"
    );
    std::fs::write(&file, text).unwrap();
    let Some(mut up) = compose(&engine, &project, &file) else { return };
    let down = scopeguard(|| {
        if let Some(mut down) = compose(&engine, &project, &file) {
            let _ = crate::support::output(down.args(["down", "--timeout", "1"]));
        }
    });
    crate::support::output(up.args(["up", "--detach", "--scale", "app=2"])).unwrap();
    let service = format!("app.{project}.docker.localhost");
    portolan.answers(&service, "/", "200", |answer| answer.status == 200);
    wait::eventually(wait::SOON, "both replicas answer", || {
        let shares = shares(&portolan, &service, 8);
        wait::check(shares, |shares| shares.len() == 2, |shares| format!("{shares:?}"))
    });
    drop(down);
}

/// Runs `end` when it is dropped.
fn scopeguard(end: impl Fn()) -> impl Drop {
    struct Guard<F: Fn()>(F);
    impl<F: Fn()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Guard(end)
}

#[test]
fn docker_one_off_containers_of_compose_get_no_requests() {
    let Some((engine, portolan)) = harbour() else { return };
    let project = unique("shop");
    let make = |name: &str, oneoff: &str| {
        let compose = engine.container(name).port(8080).label("com.docker.compose.project", &project);
        compose.label("com.docker.compose.service", "web").label("com.docker.compose.oneoff", oneoff).start()
    };
    let (run, web) = (make("run", "True"), make("web", "False"));
    let service = format!("web.{project}.docker.localhost");
    portolan.reaches(&service, "/", &web.name);
    let shares = shares(&portolan, &service, 20);
    assert_eq!(shares.keys().collect::<Vec<_>>(), [&web.name], "{shares:?}");
    portolan.says(&host(&run.name), "/", 404);
}

#[test]
fn docker_a_container_that_says_no_is_left_alone() {
    let Some((engine, portolan)) = harbour() else { return };
    let hidden = engine.container("hidden").port(8080).label("portolan.enable", "false");
    let hidden = hidden.label("portolan.host", "hidden.example.com").start();
    let seen = engine.container("seen").port(8080).start();
    portolan.reaches(&host(&seen.name), "/", &seen.name);
    assert_eq!(portolan.get(&host(&hidden.name), "/").unwrap().status, 404);
    assert_eq!(portolan.get("hidden.example.com", "/").unwrap().status, 404);
    let shown = becomes(&portolan, &hidden.name, "at all", |_| true);
    assert_eq!(shown["status"]["routed"], false);
}

#[test]
fn docker_nothing_is_exposed_by_default_where_so_told() {
    let Some((engine, portolan)) = harbour_with(&["--hold", "0s", "--expose-by-default=false"]) else {
        return;
    };
    let quiet = engine.container("quiet").port(8080).start();
    let odd = engine.container("odd").port(8080).label("portolan.host", "odd.example.com").start();
    let loud = engine.container("loud").port(8080).label("portolan.enable", "true").start();
    portolan.reaches(&host(&loud.name), "/", &loud.name);
    assert_eq!(portolan.get(&host(&quiet.name), "/").unwrap().status, 404);
    assert_eq!(portolan.get("odd.example.com", "/").unwrap().status, 404);
    let words = told(&portolan, &odd.name, "NotEnabled");
    super::has(&words, &["`portolan.enable=true`"]);
}

#[test]
fn docker_the_template_of_default_names_can_be_another() {
    let template = "{name}.internal.example.com";
    let Some((engine, portolan)) = harbour_with(&["--hold", "0s", "--default-host-template", template])
    else {
        return;
    };
    let web = engine.container("web").port(8080).start();
    portolan.reaches(&format!("{}.internal.example.com", web.name), "/", &web.name);
    assert_eq!(portolan.get(&host(&web.name), "/").unwrap().status, 404);
}
