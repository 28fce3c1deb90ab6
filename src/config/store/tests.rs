//! What stays and what goes when files change.

mod properties;

use std::{collections::BTreeMap, path::PathBuf};

use super::*;
use crate::{config::files::File, model::Kind};

fn route(name: &str, host: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec: {{hostnames: [{host}]}}\n---\n"
    )
}

fn scan(files: &[(&str, &str)]) -> Scan {
    let file = |(path, text): &(&str, &str)| (PathBuf::from(path), File::new(text.as_bytes()));
    Scan { files: files.iter().map(file).collect(), ..Scan::default() }
}

fn id(name: &str) -> ResourceId {
    ResourceId::new(Kind::HttpRoute, "default", name)
}

/// Name, host, generation and whether stale, of every route.
fn routes(store: &Store) -> Vec<String> {
    let route = |(id, object): (&ResourceId, &Arc<Object>)| {
        let manifest: serde_json::Value = serde_json::from_str(&object.manifest).unwrap();
        let host = manifest.pointer("/spec/hostnames/0").unwrap().as_str().unwrap().to_owned();
        let stale = if store.stale().contains(id) { " stale" } else { "" };
        format!("{} {host} {}{stale}", id.name, object.resource.meta().generation)
    };
    store.objects().iter().map(route).collect()
}

fn store(files: &[(&str, &str)]) -> Store {
    let mut store = Store::default();
    store.apply(scan(files));
    store
}

#[test]
fn a_change_names_what_changed() {
    let (a, b, other) = (route("a", "a.org"), route("b", "b.org"), route("b", "other.org"));
    let mut store = store(&[("1.yaml", &a), ("2.yaml", &b)]);
    assert_eq!(routes(&store), ["a a.org 1", "b b.org 1"]);
    assert!(store.is_valid());
    assert!(store.apply(scan(&[("1.yaml", &a), ("2.yaml", &b)])).is_empty());
    let change = store.apply(scan(&[("1.yaml", &a), ("2.yaml", &other)]));
    assert_eq!(change, Change { objects: [id("b")].into(), diagnostics: false });
    assert_eq!(routes(&store), ["a a.org 1", "b other.org 2"]);
    let change = store.apply(scan(&[("2.yaml", &other)]));
    assert_eq!(change.objects, [id("a")].into());
    assert_eq!(routes(&store), ["b other.org 2"]);
}

#[test]
fn a_store_comes_back_from_its_past_with_its_last_good() {
    let (a, b) = (route("a", "a.org"), route("b", "b.org"));
    let both = |a: &str, b: &str| format!("{a}{b}");
    let broken = |text: &str| text.replace("hostnames", "hostnamez");
    let newer = route("a", "newer.org");
    let mut steps = vec![both(&a, &b), both(&newer, &broken(&b)), both(&broken(&a), &broken(&b))];
    // More mistakes than are remembered.
    steps.extend((0..20).map(|number| format!("# {number}\n{}", both(&broken(&a), &broken(&b)))));
    steps.push(both(&broken(&a), &broken(&b)));
    let mut first = Store::default();
    for step in &steps {
        first.apply(scan(&[("1.yaml", step), ("2.yaml", &route("c", "c.org"))]));
    }
    assert_eq!(routes(&first), ["a newer.org 2 stale", "b b.org 1 stale", "c c.org 1"]);
    assert!(first.past().values().all(|past| past.len() <= Store::MOST_PAST));
    // Broken while nothing ran, too.
    let last = scan(&[("1.yaml", steps.last().unwrap()), ("2.yaml", &broken(&route("c", "c.org")))]);
    let mut second = Store::restore(&first.past());
    second.apply(last);
    let hosts = |store: &Store| -> Vec<String> {
        routes(store).iter().map(|route| route.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(hosts(&second), ["a a.org", "b b.org", "c c.org"]);
    assert_eq!(second.stale().len(), 3);
    second.apply(scan(&[("1.yaml", &both(&a, &b))]));
    assert_eq!(hosts(&second), ["a a.org", "b b.org"], "a file that is gone takes its objects along");
    assert!(second.is_valid());
}

#[test]
fn the_generation_counts_changes_of_the_spec_only() {
    let a = route("a", "a.org");
    let mut store = store(&[("1.yaml", &a)]);
    let moved = format!("# comment\n\n{a}");
    store.apply(scan(&[("2.yaml", &moved)]));
    assert_eq!(routes(&store), ["a a.org 1"]);
    assert_eq!(store.objects()[&id("a")].resource.meta().origin.to_string(), "2.yaml:3:1");
    store.apply(scan(&[("2.yaml", &a.replace("name: a", "name: a, labels: {x: y}"))]));
    assert_eq!(routes(&store), ["a a.org 1"]);
    store.apply(scan(&[("2.yaml", &route("a", "b.org"))]));
    assert_eq!(routes(&store), ["a b.org 2"]);
}

#[test]
fn a_file_that_cannot_be_read_keeps_its_objects_and_no_other() {
    let (ab, c) = (route("a", "a.org") + &route("b", "b.org"), route("c", "c.org"));
    let mut store = store(&[("1.yaml", &ab), ("2.yaml", &c)]);
    let change = store.apply(scan(&[("1.yaml", "a: ["), ("2.yaml", &route("c", "new.org"))]));
    assert_eq!(change, Change { objects: [id("c")].into(), diagnostics: true });
    assert_eq!(routes(&store), ["a a.org 1 stale", "b b.org 1 stale", "c new.org 2"]);
    assert!(!store.is_valid());
    store.apply(scan(&[("1.yaml", &route("b", "b.org")), ("2.yaml", &c)]));
    assert_eq!(routes(&store), ["b b.org 1", "c c.org 3"]);
    assert!(store.is_valid());
}

#[test]
fn an_object_that_is_wrong_keeps_its_last_good_and_its_neighbours_apply() {
    let good = route("a", "a.org") + &route("b", "b.org") + &route("c", "c.org");
    let mut store = store(&[("1.yaml", &good)]);
    // `a` is wrong, `b` changes, `c` is removed on purpose.
    let next = route("a", "A.ORG") + &route("b", "new.org");
    store.apply(scan(&[("1.yaml", &next)]));
    assert_eq!(routes(&store), ["a a.org 1 stale", "b new.org 2"]);
    assert_eq!(store.diagnostics().len(), 1);
    store.apply(scan(&[("1.yaml", &next)]));
    assert_eq!(routes(&store), ["a a.org 1 stale", "b new.org 2"], "it stays for as long as it is wrong");
    store.apply(scan(&[("1.yaml", &route("b", "new.org"))]));
    assert_eq!(routes(&store), ["b new.org 2"]);
}

#[test]
fn a_document_that_moves_and_breaks_at_once_keeps_its_last_good() {
    let (a, b) = (route("a", "a.org"), route("b", "b.org"));
    let mut store = store(&[("1.yaml", &a), ("2.yaml", &b)]);
    let broken = format!("{b}a: [\n");
    for _ in 0..3 {
        store.apply(scan(&[("2.yaml", &broken)]));
        assert_eq!(routes(&store), ["a a.org 1 stale", "b b.org 1"]);
    }
    store.apply(scan(&[("2.yaml", &b)]));
    assert_eq!(routes(&store), ["b b.org 1"]);
}

#[test]
fn what_is_out_of_sight_stays() {
    let (a, b) = (route("a", "a.org"), route("b", "b.org"));
    let mut store = store(&[("conf/x/1.yaml", &a), ("conf/2.yaml", &b)]);
    let trouble = |path: &str| BTreeMap::from([(PathBuf::from(path), "does not exist".to_owned())]);
    store.apply(Scan { troubles: trouble("conf/x"), ..scan(&[("conf/2.yaml", &b)]) });
    assert_eq!(routes(&store), ["a a.org 1 stale", "b b.org 1"]);
    store.apply(Scan { troubles: trouble("conf"), ..scan(&[]) });
    assert_eq!(routes(&store), ["a a.org 1 stale", "b b.org 1 stale"]);
    assert_eq!(store.diagnostics()[0].to_string(), "conf: error: `conf` does not exist");
    store.apply(scan(&[("conf/2.yaml", &b)]));
    assert_eq!(routes(&store), ["b b.org 1"], "it is back, without the other");
    store.apply(scan(&[]));
    assert_eq!(routes(&store), [""; 0], "emptied on purpose");
}

#[test]
fn of_two_objects_with_one_name_the_first_file_wins() {
    let (a, other) = (route("a", "a.org"), route("a", "other.org"));
    let store = store(&[("2.yaml", &other), ("1.yaml", &a)]);
    assert_eq!(routes(&store), ["a a.org 1"]);
    assert_eq!(
        store.diagnostics()[0].message,
        "`HTTPRoute default/a` is already defined at 1.yaml:1:1; this one is not used"
    );
}

#[test]
fn the_order_in_which_files_come_does_not_matter() {
    let files: Vec<(String, String)> = (0..20)
        .map(|number| (format!("{number}.yaml"), route(&format!("r{}", number % 15), "a.org")))
        .collect();
    let borrowed: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    let mut reversed = borrowed.clone();
    reversed.reverse();
    let (one, other) = (store(&borrowed), store(&reversed));
    assert_eq!((one.objects(), one.diagnostics()), (other.objects(), other.diagnostics()));
}

#[test]
fn what_is_written_and_not_valid_is_refused_with_where_and_why() {
    let secret = |name: &str, data: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\ndata: {data}\n---\n"
        )
    };
    let odd = secret("odd", "{tls.crt: '', tls.key: '?'}");
    let text = format!("{odd}{}", route("a", "A_"));
    let mut store = store(&[("1.yaml", &text)]);
    let id = ResourceId::new(Kind::Secret, "default", "odd");
    let refused = store.refused(&[Kind::Secret]);
    assert_eq!(refused.keys().collect::<Vec<_>>(), [&id]);
    assert_eq!(
        *refused[&id],
        *"1.yaml:5:30: the value is not Base64, expected Base64, or the plain text under `stringData`"
    );
    assert_eq!(store.refused(&[Kind::ConfigMap]), BTreeMap::new());
    store.apply(scan(&[]));
    assert_eq!(store.refused(&[Kind::Secret]), BTreeMap::new());
}
