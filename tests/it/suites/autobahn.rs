//! Autobahn's test suite: what a WebSocket server is told of, it is told of through Portolan too.

use std::{collections::BTreeMap, path::Path};

use super::*;
use crate::support::{
    manifest,
    portolan::{Documents, Portolan},
    process::Process,
    scratch, wait,
};

/// All but 9 (megabytes for minutes), 12 and 13 (compression, which is the ends' own business, in 216 cases).
const LEFT_OUT: [&str; 3] = ["9.*", "12.*", "13.*"];

/// An interpreter of old is slow to start where much else runs.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the suite found: for each case, how the server behaved and how it closed.
type Findings = BTreeMap<String, (String, String)>;

/// The suite's own server, which does all of it right.
fn server() -> (Process, std::net::SocketAddr) {
    let address = std::net::SocketAddr::from((crate::support::own_address(), 8080));
    let arguments = [address.ip().to_string(), address.port().to_string()];
    let server = Process::start(Command::new("wstestee").args(arguments));
    wait::eventually(PATIENCE, "the suite's server listens", || std::net::TcpStream::connect(address));
    (server, address)
}

/// Starts the suite against `url`; it leaves its report in `folder`.
fn suite(folder: &Path, url: &str) -> Process {
    let server = serde_json::json!({"agent": "it", "url": url});
    let plan = serde_json::json!({
        "servers": [server], "cases": ["*"], "exclude-cases": LEFT_OUT, "exclude-agent-cases": {},
        "outdir": folder, "options": {"failByDrop": false},
    });
    let file = folder.join("plan.json");
    std::fs::write(&file, plan.to_string()).expect("the plan is written");
    Process::start(Command::new("wstest").args(["--mode", "fuzzingclient", "--spec"]).arg(file))
}

fn findings(folder: &Path) -> Findings {
    let report = std::fs::read_to_string(folder.join("index.json")).expect("the suite's report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("the report is JSON");
    let word = |found: &serde_json::Value, name: &str| found[name].as_str().unwrap_or("nothing").to_owned();
    let cases = report["it"].as_object().expect("the cases").iter();
    cases
        .map(|(case, found)| (case.clone(), (word(found, "behavior"), word(found, "behaviorClose"))))
        .collect()
}

#[test]
fn a_websocket_behaves_through_the_proxy_as_without_it() {
    if !have("wstest", "--help") {
        return;
    }
    let (_server, address) = server();
    let documents = Documents::new();
    let route = manifest::simple("all", "any", "a").replace("  hostnames: [\"any\"]\n", "");
    documents.write("all.yaml", &(manifest::backend("a", address) + &route));
    let portolan = Portolan::builder().config(documents.path()).start();
    // What the suite's server says to whom it has no WebSocket for.
    portolan.says("any", "/", 200);

    let urls = [format!("ws://{address}"), format!("ws://{}", portolan.http)];
    let mut runs = urls.map(|url| {
        let folder = scratch();
        (suite(folder.path(), &url), folder)
    });
    let [direct, proxied] = runs.each_mut().map(|(run, folder)| {
        let status = run.wait(2 * PATIENCE);
        assert!(status.success(), "{status}: {}", run.lines().join("\n"));
        findings(folder.path())
    });
    assert!(direct.len() > 240, "only {} cases ran", direct.len());
    let others: Vec<_> = proxied.iter().filter(|(case, found)| direct.get(*case) != Some(*found)).collect();
    assert!(direct.len() == proxied.len() && others.is_empty(), "other than without the proxy: {others:?}");
    let is_wrong = |how: &str| !matches!(how, "OK" | "INFORMATIONAL");
    let wrong: Vec<_> = proxied.iter().filter(|(_, (how, end))| is_wrong(how) || is_wrong(end)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
