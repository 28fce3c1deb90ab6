//! Many files: what one of them costs the others, and how soon one more is live.
#![expect(
    clippy::disallowed_methods,
    reason = "what is measured is asked for more often than other tests ask"
)]

use std::{collections::BTreeMap, fs, thread, time::Duration};

use serde_json::Value;

use super::{World, mistakes::is_valid};
use crate::support::{
    backend::Backend,
    is_busy, manifest,
    portolan::{Documents, Portolan},
    static_binary, wait,
};

/// Every route but this one, as people see it, as text.
fn others(portolan: &Portolan, but: &str, adapt: impl Fn(&mut Value)) -> BTreeMap<String, String> {
    let text = portolan.client(&["get", "httproutes", "-o", "json"]).expect("the routes");
    let mut all: Value = serde_json::from_str(&text).expect("JSON");
    adapt(&mut all);
    let name = |route: &Value| route["metadata"]["name"].as_str().expect("a name").to_owned();
    let routes = all["items"].as_array().expect("a list").iter();
    routes.map(|route| (name(route), route.to_string())).filter(|(name, _)| name != but).collect()
}

/// Times are those of one run.
fn forget_times(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| name != "lastTransitionTime");
            members.values_mut().for_each(forget_times);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_times),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn garbage_in_one_file_of_a_hundred_leaves_the_others_byte_for_byte_also_after_a_restart() {
    let mut world = World::new();
    let good = |number: usize| manifest::simple(&format!("r{number}"), &format!("h{number}.test"), "a");
    for number in 0..100 {
        world.documents.write(&format!("r{number}.yaml"), &good(number));
    }
    for number in 0..100 {
        world.portolan.reaches(&format!("h{number}.test"), "/", "a");
    }
    let timeless = others(&world.portolan, "r7", forget_times);
    assert_eq!(timeless.len(), 99);
    let garbage: [&[u8]; 5] = [
        b"\xff\xfe\x00\x01 not text at all",
        b"kind: [",
        b"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r7}\nspec: 7\n",
        b"%YAML 9.9\n---\n&a [*a, *a]\n",
        b"{\"kind\": \"List\", \"items\": [null, 3, {}]}",
    ];
    for text in garbage {
        let before = others(&world.portolan, "r7", |_| {});
        fs::write(world.documents.path().join("next"), text).unwrap();
        fs::rename(world.documents.path().join("next"), world.documents.path().join("r7.yaml")).unwrap();
        is_valid(&world.portolan, 0.0);
        assert_eq!(others(&world.portolan, "r7", |_| {}), before, "{}", String::from_utf8_lossy(text));
        for number in (0..100).step_by(9) {
            assert_eq!(world.portolan.get(&format!("h{number}.test"), "/").unwrap().status, 200);
        }
        world.portolan.kill();
        let documents = world.documents;
        let portolan = Portolan::builder().config(documents.path()).after(world.portolan).start();
        assert_eq!(
            others(&portolan, "r7", forget_times),
            timeless,
            "after a restart: {}",
            String::from_utf8_lossy(text)
        );
        documents.write("r7.yaml", &good(7));
        portolan.reaches("h7.test", "/", "a");
        is_valid(&portolan, 1.0);
        world = World { portolan, documents, a: world.a };
    }
}

/// The promise, for an optimized build on a machine that does little else.
const PROMISE: Duration = Duration::from_millis(20);
/// What any build must keep among other work.
const BUSY: Duration = Duration::from_millis(400);

#[test]
#[expect(clippy::print_stderr, reason = "a measurement is for reading, whether it passes or not")]
fn one_more_route_among_ten_thousand_is_live_within_20_ms_of_the_rename() {
    // A debug build takes ten seconds to read so much.
    let (routes, limit) = match static_binary() {
        Some(_) if !is_busy() => (10_000, PROMISE),
        Some(_) => (10_000, BUSY),
        None => (500, BUSY),
    };
    let (a, documents) = (Backend::start("a"), Documents::new());
    documents.write("a.yaml", &manifest::backend("a", a.address));
    for number in 0..routes {
        let text = manifest::simple(&format!("r{number}"), &format!("h{number}.test"), "a");
        fs::write(documents.path().join(format!("r{number}.yaml")), text).unwrap();
    }
    let portolan = Portolan::builder().config(documents.path()).start();
    portolan.reaches(&format!("h{}.test", routes - 1), "/", "a");
    let mut connection = portolan.connect();
    // What else the machine does can spoil a round, not three.
    let mut best = Duration::MAX;
    for round in 0..3 {
        let mut times: Vec<Duration> = (0..10)
            .map(|number| {
                let name = format!("new-{round}-{number}");
                let (host, begun) = (format!("{name}.test"), wait::now());
                documents.write(&format!("{name}.yaml"), &manifest::simple(&name, &host, "a"));
                while connection.get(&host, "/").unwrap().backend() != Some("a") {
                    assert!(begun.elapsed() < wait::SOON, "{host} is never served");
                    thread::sleep(Duration::from_micros(500));
                }
                begun.elapsed()
            })
            .collect();
        let median = wait::median(&mut times);
        eprintln!(
            "round {round}: live {median:.1?} after the rename, longest {:.1?}; at most {limit:?}",
            times[9]
        );
        best = best.min(median);
        if best <= limit {
            return;
        }
    }
    panic!("live {best:.1?} after the rename at best, which is more than {limit:?}");
}
