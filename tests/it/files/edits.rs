//! Files that come, change, move and go.

use std::{fs, os::unix::fs::symlink};

use super::World;
use crate::support::{
    backend::Backend,
    http, manifest,
    portolan::{Documents, Portolan},
    scratch, wait,
};

#[test]
fn a_route_file_is_live_when_it_appears_changes_and_goes() {
    let world = World::new();
    world.portolan.says("one.test", "/", 404);
    world.documents.write("route.yaml", &manifest::simple("r", "one.test", "a"));
    world.portolan.reaches("one.test", "/", "a");
    world.documents.write("route.yaml", &manifest::simple("r", "two.test", "a"));
    world.portolan.reaches("two.test", "/", "a");
    assert_eq!(world.portolan.get("one.test", "/").unwrap().status, 404, "one change, at once");
    // Written in place, as some editors do.
    fs::write(world.documents.path().join("route.yaml"), manifest::simple("r", "three.test", "a")).unwrap();
    world.portolan.reaches("three.test", "/", "a");
    fs::rename(world.documents.path().join("route.yaml"), world.documents.path().join("other.yml")).unwrap();
    wait::throughout(std::time::Duration::from_millis(300), "a rename changes nothing", || {
        let answer = world.portolan.get("three.test", "/").map_err(|error| error.to_string())?;
        wait::check(answer, |answer| answer.status == 200, ToString::to_string)
    });
    world.documents.remove("other.yml");
    world.portolan.says("three.test", "/", 404);
}

#[test]
fn what_editors_leave_beside_a_file_is_not_read() {
    let world = World::new();
    let route = manifest::simple("r", "one.test", "a");
    for name in [
        ".route.yaml.swp",
        "route.yaml~",
        "#route.yaml#",
        "4913",
        ".#route.yaml",
        "README.md",
        ".hidden.yaml",
    ] {
        let _ = fs::write(world.documents.path().join(name), &route);
    }
    world.documents.write("real.yaml", &manifest::simple("real", "real.test", "a"));
    world.portolan.reaches("real.test", "/", "a");
    assert_eq!(world.portolan.get("one.test", "/").unwrap().status, 404);
}

#[test]
fn folders_below_and_json_are_read() {
    let world = World::new();
    fs::create_dir_all(world.documents.path().join("deep/er")).unwrap();
    fs::write(world.documents.path().join("deep/er/route.yaml"), manifest::simple("deep", "deep.test", "a"))
        .unwrap();
    world.portolan.reaches("deep.test", "/", "a");
    let json = r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute",
        "metadata":{"name":"json"},"spec":{"hostnames":["json.test"],"rules":[{"backendRefs":[{"name":"a","port":80}]}]}}]}"#;
    world.documents.write("list.json", json);
    world.portolan.reaches("json.test", "/", "a");
    fs::remove_dir_all(world.documents.path().join("deep")).unwrap();
    world.portolan.says("deep.test", "/", 404);
}

#[test]
fn a_directory_that_vanishes_keeps_its_routes_and_is_seen_when_it_returns() {
    let (folder, a) = (scratch(), Backend::start("a"));
    let routes = folder.path().join("routes");
    let fill = |host: &str| {
        let fresh = folder.path().join("fresh");
        fs::create_dir(&fresh).unwrap();
        let text = manifest::backend("a", a.address) + &manifest::simple("r", host, "a");
        fs::write(fresh.join("all.yaml"), text).unwrap();
        fs::rename(fresh, &routes).unwrap();
    };
    fill("one.test");
    let portolan = Portolan::builder().config(&routes).start();
    portolan.reaches("one.test", "/", "a");
    fs::remove_dir_all(&routes).unwrap();
    wait::eventually(wait::SOON, "the loss is told", || {
        wait::check(
            portolan.metric("portolan_config_valid"),
            |valid| *valid == Some(0.0),
            |valid| format!("{valid:?}"),
        )
    });
    assert_eq!(portolan.get("one.test", "/").unwrap().status, 200, "the last good stays");
    fill("two.test");
    portolan.reaches("two.test", "/", "a");
    assert_eq!(portolan.get("one.test", "/").unwrap().status, 404);
    wait::eventually(wait::SOON, "all is well", || {
        wait::check(
            portolan.metric("portolan_config_valid"),
            |valid| *valid == Some(1.0),
            |valid| format!("{valid:?}"),
        )
    });
}

#[test]
fn a_swap_of_symlinks_as_a_configmap_does_is_one_change() {
    let (folder, a) = (scratch(), Backend::start("a"));
    let path = folder.path();
    let swap = |name: &str, host: &str| {
        fs::create_dir(path.join(name)).unwrap();
        let text = manifest::backend("a", a.address) + &manifest::simple("r", host, "a");
        fs::write(path.join(name).join("all.yaml"), text).unwrap();
        symlink(name, path.join("..data_tmp")).unwrap();
        fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
    };
    swap("..2026_01", "one.test");
    symlink("..data/all.yaml", path.join("all.yaml")).unwrap();
    let portolan = Portolan::builder().config(path).start();
    portolan.reaches("one.test", "/", "a");
    for round in 2..6 {
        let host = format!("h{round}.test");
        swap(&format!("..2026_0{round}"), &host);
        fs::remove_dir_all(path.join(format!("..2026_0{}", round - 1))).unwrap();
        portolan.reaches(&host, "/", "a");
        assert_eq!(portolan.metric("portolan_config_valid"), Some(1.0), "{}", portolan.log());
    }
}

#[test]
fn fifty_files_at_once_are_few_tables() {
    let world = World::new();
    let generation = || world.portolan.metric("portolan_route_table_generation").expect("a generation");
    let before = generation();
    for number in 0..50 {
        let route = manifest::simple(&format!("r{number}"), &format!("h{number}.test"), "a");
        world.documents.write(&format!("r{number}.yaml"), &route);
    }
    for number in 0..50 {
        world.portolan.reaches(&format!("h{number}.test"), "/", "a");
    }
    let tables = generation() - before;
    assert!((1.0..=8.0).contains(&tables), "{tables} tables for 50 files");
    // What changes nothing that is served publishes nothing.
    let before = generation();
    world.documents.write("r0.yaml", &format!("# a remark\n{}", manifest::simple("r0", "h0.test", "a")));
    world.documents.write("mark.yaml", &manifest::simple("mark", "mark.test", "a"));
    world.portolan.reaches("mark.test", "/", "a");
    assert!(generation() - before <= 1.0, "a remark is no change");
}

#[test]
fn a_file_and_a_folder_may_be_given_together_and_one_twice() {
    let (one, two, a) = (Documents::new(), Documents::new(), Backend::start("a"));
    let file = one
        .write("only.yaml", &(manifest::backend("a", a.address) + &manifest::simple("r", "one.test", "a")));
    one.write("ignored.yaml", &manifest::simple("ignored", "ignored.test", "a"));
    two.write("two.yaml", &manifest::simple("two", "two.test", "a"));
    let portolan = Portolan::builder().config(&file).config(two.path()).config(two.path()).start();
    portolan.reaches("one.test", "/", "a");
    portolan.reaches("two.test", "/", "a");
    assert_eq!(portolan.get("ignored.test", "/").unwrap().status, 404);
    assert_eq!(portolan.metric("portolan_config_valid"), Some(1.0), "{}", portolan.log());
    one.write("only.yaml", &(manifest::backend("a", a.address) + &manifest::simple("r", "new.test", "a")));
    portolan.reaches("new.test", "/", "a");
}

#[test]
fn a_change_reaches_a_connection_that_is_open() {
    let world = World::new();
    world.documents.write("r.yaml", &manifest::simple("r", "one.test", "a"));
    world.portolan.reaches("one.test", "/", "a");
    let mut connection = world.portolan.connect();
    assert_eq!(connection.get("one.test", "/").unwrap().status, 200);
    world.documents.remove("r.yaml");
    world.portolan.says("one.test", "/", 404);
    assert_eq!(connection.get("one.test", "/").unwrap().status, 404);
    assert!(http::get(world.a.address, "h", "/").is_ok(), "the backend lives");
}
