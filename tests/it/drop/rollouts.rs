//! `portolan rollout`: a newer version of a Compose service takes over, or does not get that far; nobody notices.

use std::time::Duration;

use super::{
    HOLD,
    acting::{Acting, Allowed, Tunnel, download, is_whole},
    project::Project,
};
use crate::support::{process::Process, wait};

/// What a rollout may take on a busy machine: Compose alone takes seconds for each of its calls.
const LONG: Duration = Duration::from_secs(90);

/// The arguments of a rollout of this project.
fn rollout<'a>(project: &'a Project<'_>, file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["rollout", "web", "--project", &project.name, "--file", file];
    arguments.extend(more);
    arguments
}

#[test]
fn drop_a_service_of_one_is_rolled_out_while_a_download_goes_on() {
    let Some(acting) = Acting::start(Allowed::Everything) else { return };
    let scene = &acting.scene;
    let project = Project::new(scene);
    let Some((load, old)) = project.up() else { return };
    load.reaches("web");
    let long = download(scene.portolan.http, &scene.host, 24);
    let mut tunnel = Tunnel::open(scene.portolan.http, &scene.host);
    project.write(&scene.engine.image("backend"), "NAME: newer, START_DELAY_MS: '1500'", "");
    let file = project.file();
    let mut command = acting.command(&rollout(&project, file.to_str().unwrap(), &["--drain-timeout", "2m"]));
    let mut said = Process::start(&mut command);
    wait::eventually(LONG, "it waits for the old one", || {
        said.must_run();
        wait::check(said.lines().join("\n"), |text| text.contains("waiting for "), String::clone)
    });
    load.reaches("newer");
    tunnel.lives();
    is_whole(long);
    drop(tunnel);
    assert_eq!(said.wait(LONG).code(), Some(0), "{:?}", said.lines());
    let said = said.lines().join("\n");
    assert!(said.contains("1 new container is ready"), "{said}");
    assert!(said.contains("done: service `web` runs 1 container"), "{said}");
    load.reaches("newer");
    let new = project.ids();
    assert_eq!((old.len(), new.len(), old == new), (1, 1, false), "{said:?}");
    load.ends(HOLD);
}

#[test]
fn drop_a_service_of_two_is_rolled_out_again_and_again() {
    let Some(acting) = Acting::start(Allowed::Everything) else { return };
    let scene = &acting.scene;
    let project = Project::new(scene);
    let image = scene.engine.image_with_health("backend");
    project.write(&image, "NAME: v0", "    scale: 2\n");
    let Some((load, mut old)) = project.up() else { return };
    for version in ["v1", "v2"] {
        project.write(&image, &format!("NAME: {version}"), "    scale: 2\n");
        let file = project.file();
        let said = acting.runs(&rollout(&project, file.to_str().unwrap(), &[]));
        said.is(0, &["2 new containers are ready", "runs 2 containers"]);
        let new = project.ids();
        assert_eq!((old.len(), new.len()), (2, 2), "{said:?}");
        assert!(old.iter().all(|id| !new.contains(id)), "{old:?} {new:?}");
        load.reaches(version);
        old = new;
    }
    load.ends(HOLD);
}

#[test]
fn drop_a_version_that_never_gets_healthy_is_rolled_back() {
    let Some(acting) = Acting::start(Allowed::Everything) else { return };
    let scene = &acting.scene;
    let project = Project::new(scene);
    let Some((load, old)) = project.up() else { return };
    let image = scene.engine.image_with_health("backend");
    project.write(&image, "NAME: sick, HEALTH: 'off'", "");
    let file = project.file();
    let file = file.to_str().unwrap();
    let said = acting.runs(&rollout(&project, file, &["--timeout", "3s"]));
    said.is(1, &["unhealthy by its HEALTHCHECK", "health: unhealthy", "log: listening on", "rolled back"]);
    assert_eq!(project.ids(), old);
    // One that ends by itself is not waited for.
    project.write(&image, "NAME: broken, HOST: not-an-address", "");
    let said = acting.runs(&rollout(&project, file, &["--timeout", "60s"]));
    said.is(1, &["state: exited (code 2)", "log: backend: cannot listen", "rolled back"]);
    assert_eq!(project.ids(), old);
    load.reaches("web");
    load.ends(HOLD);
}

#[test]
fn drop_a_rollout_is_interrupted_and_takes_everything_back() {
    let Some(acting) = Acting::start(Allowed::Everything) else { return };
    let scene = &acting.scene;
    let project = Project::new(scene);
    let Some((load, old)) = project.up() else { return };
    let file = project.file();
    let file = file.to_str().unwrap();

    // While the new one is waited for.
    let image = scene.engine.image_with_health("backend");
    project.write(&image, "NAME: sick, HEALTH: 'off'", "");
    let mut command = acting.command(&rollout(&project, file, &[]));
    let mut interrupted = Process::start(&mut command);
    wait::eventually(LONG, "it waits", || {
        interrupted.must_run();
        let said = interrupted.lines().join("\n");
        wait::check(said, |said| said.contains("by its HEALTHCHECK"), String::clone)
    });
    interrupted.signal("INT");
    assert_eq!(interrupted.wait(LONG).code(), Some(1), "{:?}", interrupted.lines());
    assert_eq!(project.ids(), old);

    // While the old one, which gets no more requests, still has one.
    let mut tunnel = Tunnel::open(scene.portolan.http, &scene.host);
    project.write(&scene.engine.image("backend"), "NAME: newer", "");
    let mut command = acting.command(&rollout(&project, file, &["--drain-timeout", "2m"]));
    let mut interrupted = Process::start(&mut command);
    wait::eventually(LONG, "it drains", || {
        interrupted.must_run();
        let said = interrupted.lines().join("\n");
        wait::check(said, |said| said.contains("waiting for 1 request"), String::clone)
    });
    interrupted.signal("TERM");
    assert_eq!(interrupted.wait(LONG).code(), Some(1), "{:?}", interrupted.lines());
    assert_eq!(project.ids(), old);
    load.reaches("web");
    tunnel.lives();
    load.ends(HOLD);
}

#[test]
fn drop_what_two_containers_cannot_share_is_found_before_anything_starts() {
    let Some(acting) = Acting::start(Allowed::Everything) else { return };
    let scene = &acting.scene;
    let project = Project::new(scene);
    let name = format!("{}-only", project.name);
    project.write(&scene.engine.image("backend"), "NAME: web", &format!("    container_name: {name}\n"));
    let Some((load, old)) = project.up() else { return };
    let file = project.file();
    let said = acting.runs(&rollout(&project, file.to_str().unwrap(), &[]));
    said.is(2, &["nothing was started", &format!("container_name: {name}")]);
    assert_eq!(project.ids(), old);
    let said = acting.runs(&["rollout", "nobody"]);
    said.is(2, &["no container of a Compose service `nobody` runs"]);
    load.ends(HOLD);
}
