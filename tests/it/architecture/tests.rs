//! The test's own test: each rule refuses what it should, and lets through what it should.

use super::{front_door, rules};

const OPENING: &str = "//! A file.\n";

fn broken(name: &str, code: &str) -> Vec<String> {
    rules(name, &format!("{OPENING}{code}"))
}

fn refuses(name: &str, code: &str, part: &str) {
    let found = broken(name, code);
    assert!(found.iter().any(|line| line.contains(part)), "{name}: `{code}` gave {found:?}, not `{part}`");
}

fn accepts(name: &str, code: &str) {
    assert_eq!(broken(name, code), Vec::<String>::new(), "{name}: `{code}`");
}

#[test]
fn an_edge_is_seen_in_a_group_over_several_lines() {
    refuses(
        "src/model/host.rs",
        "use crate::{\n    model::Host,\n    plan::Plan,\n};",
        ":4: `model` may not use `plan`",
    );
    refuses(
        "src/proxy.rs",
        "use crate::{model::{Host, Port}, config::{self, Desired}};",
        "may not use `config`",
    );
}

#[test]
fn an_edge_is_seen_in_an_export_a_path_and_a_climb() {
    refuses("src/route.rs", "pub use crate::plan::Plan;", "`route` may not use `plan`");
    refuses("src/api.rs", "fn f() -> crate::model::Host { todo!() }", "`api` may not use `model`");
    refuses("src/proxy/http.rs", "use super::super::controller::Loop;", "may not use `controller`");
    refuses("src/proxy/http.rs", "use super::{super::plan::Plan, upstream};", "may not use `plan`");
    refuses("src/plan.rs", "mod inner { use super::super::cli::run; }", "may not use `cli`");
    refuses("src/plan.rs", "mod inner {}\nfn f() { super::app::run() }", "may not use `app`");
    refuses("src/model.rs", "macro_rules! m { () => { $crate::proxy::go() } }", "may not use `proxy`");
    refuses("src/app.rs", "use crate::cli::Args;", "`app` may not use `cli`");
    refuses("src/model.rs", "use crate::r#plan::Plan;", "may not use `plan`");
}

#[test]
fn the_root_is_not_imported_whole() {
    refuses("src/proxy.rs", "use crate::*;", "names the crate's root");
    refuses("src/proxy.rs", "use crate as root;", "names the crate's root");
    refuses("src/proxy.rs", "use super::{self as root};", "names the crate's root");
}

#[test]
fn an_allowed_edge_passes() {
    accepts("src/plan.rs", "use crate::{model::Host, route::{self, Table}};\npub(crate) fn f(t: &Table) {}");
    accepts("src/plan/merge.rs", "use super::super::model::Host;\nuse super::claims;");
    accepts("src/plan.rs", "mod inner { use super::Plan; use crate::model::Host; }");
    accepts("src/cli.rs", "use crate::{app, proxy, plan};");
    accepts(
        "src/model.rs",
        "// use crate::plan::Plan;\n/* crate::plan */ const A: &str = \"crate::plan::Plan\";",
    );
    accepts(
        "src/model.rs",
        "const A: &str = r#\"\" crate::plan \"#; const B: char = '\"'; fn f<'a>(a: &'a str) {}",
    );
}

#[test]
fn a_pure_module_has_no_clock_no_chance_no_io_and_no_hash_order() {
    for code in [
        "fn f() { let now = std::time::Instant::now(); }",
        "use std::time::{Duration, SystemTime};",
        "fn f() { jiff::Timestamp::now(); }",
        "use std::{\n    collections::HashMap,\n};",
        "fn f() { std::fs::read(p); }",
        "use std::{fs, path::Path};",
        "async fn f() { tokio::time::sleep(d).await }",
        "use hyper::body::Body;",
        "fn f() -> u8 { rand::random() }",
        "fn f() { std::env::var(\"A\"); }",
        "use some_database::Connection;",
    ] {
        refuses("src/plan/merge.rs", code, "`plan` is pure");
        refuses("src/route.rs", code, "`route` is pure");
        refuses("src/model.rs", code, "`model` is pure");
    }
    accepts("src/plan.rs", "use std::{collections::BTreeMap, time::Duration};\nuse http::Method;");
    accepts(
        "src/plan.rs",
        "mod merge;\npub use merge::{Claim, Winner};\nfn f(process: u8, now: u8) { use Claim::*; }",
    );
    accepts("src/plan/tests.rs", "use std::collections::HashMap;\nuse proptest::prelude::*;");
    accepts("src/runtime.rs", "use tokio::time::Instant;");
}

#[test]
fn a_guest_stays_in_its_room() {
    refuses("src/controller.rs", "use bollard::Docker;", "`bollard` lives in");
    refuses("src/app.rs", "fn f() { clap::Command::new(\"x\"); }", "`clap` lives in");
    accepts("src/discovery/docker.rs", "use bollard::Docker;");
}

#[test]
fn a_file_opens_with_its_job_and_stays_short() {
    let missing = rules("src/plan.rs", "use std::fmt;\n//! Late.\n");
    assert!(missing[0].contains("opens with `//!`"), "{missing:?}");
    let license = rules("src/plan.rs", "// A comment.\n//! The job.\n");
    assert!(license[0].contains("opens with `//!`"), "{license:?}");
    refuses("src/plan.rs", &"\n".repeat(500), "501 lines; 500 is the most");
    accepts("src/plan.rs", &"\n".repeat(499));
}

#[test]
fn a_name_says_something() {
    refuses("src/proxy.rs", "pub struct PoolManager;", "`Manager` in `PoolManager`");
    refuses("src/proxy.rs", "pub(crate) trait RequestHandler {}", "`Handler` in `RequestHandler`");
    refuses("src/proxy.rs", "type BackendInfo = u8;", "`Info` in `BackendInfo`");
    refuses("src/proxy.rs", "fn get_pool() {}", "`get_pool` says nothing");
    refuses("src/proxy/utils.rs", "", "does not say its job");
    refuses("src/proxy/http_helper.rs", "", "does not say its job");
    refuses("src/proxy/mod.rs", "", "does not say its job");
    accepts("src/proxy.rs", "pub struct Database; struct Informer; fn getter() {}");
}

#[test]
fn a_parameter_is_not_a_bool() {
    refuses("src/proxy.rs", "fn open<T: Into<u8>>(port: T, tls: bool) {}", "`open` takes a `bool`");
    accepts("src/proxy.rs", "fn f(keep: impl Fn(bool) -> bool) -> bool { let a: bool = true; a }");
    refuses("src/proxy.rs", "fn open(&mut self, tls: bool) {}", "`open` takes a `bool`");
    accepts("src/proxy/tests.rs", "proptest! { fn a_rule_holds(first in any::<bool>(), tls: bool) {} }");
    accepts("src/proxy.rs", "fn from(changed: bool,) -> Applied { Applied::Changed }");
    accepts("src/proxy.rs", "struct A { on: bool }\ntype F = fn(u8) -> bool;");
}

#[test]
fn a_module_that_nobody_agreed_to_is_refused() {
    refuses("src/shared.rs", "", "`shared` is not in the table");
    let found = front_door("//! Lib.\npub mod shared;\npub mod plan;\n");
    assert!(found.iter().any(|line| line.contains("module `shared` is in one of")), "{found:?}");
    assert!(found.iter().any(|line| line.contains("no sentence for module `plan`")), "{found:?}");
}
