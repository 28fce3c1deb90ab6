//! `slowhttptest`: heads, bodies, ranges and answers, slow and many at a time.

use super::*;
use crate::support::{
    backend::Backend,
    manifest,
    portolan::{Documents, Portolan},
    wait,
};

/// What the tool does, and the path that it does it to.
const ATTACKS: [(&str, &[&str], &str); 4] = [
    ("slow heads", &["-H"], "/"),
    ("slow bodies", &["-B"], "/"),
    ("ranges", &["-R"], "/bytes?n=100000"),
    (
        "slow reading",
        &["-X", "-n", "1", "-z", "32", "-w", "512", "-y", "1024", "-k", "3"],
        "/bytes?n=4000000",
    ),
];

/// For each of them at the same time: 50 connections for 5 s, and no answer may take longer than 3 s.
const EXTENT: [&str; 10] = ["-c", "50", "-r", "100", "-i", "1", "-l", "5", "-p", "3"];

fn attack(portolan: &Portolan, how: &[&str], path: &str) -> Process {
    let url = format!("http://{}{path}", portolan.http);
    Process::start(Command::new("slowhttptest").args(how).args(EXTENT).args(["-u", &url]))
}

/// Without what colours a terminal.
fn plain(lines: &[String]) -> String {
    let text = lines.join("\n");
    let mut parts = text.split('\x1b');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest));
    }
    plain
}

#[test]
fn the_service_is_available_throughout() {
    if !have("slowhttptest", "-h") {
        return;
    }
    let (a, documents) = (Backend::start("a"), Documents::new());
    // The tool asks for an address.
    let route = manifest::simple("all", "any", "a").replace("  hostnames: [\"any\"]\n", "");
    documents.write("all.yaml", &(manifest::backend("a", a.address) + &route));
    let portolan = Portolan::builder().config(documents.path()).start();
    portolan.reaches("shop.test", "/", "a");
    let mut attacks = ATTACKS.map(|(name, how, path)| (name, attack(&portolan, how, path)));
    wait::eventually(Duration::from_secs(40), "the attacks end", || {
        assert_eq!(portolan.get("shop.test", "/").unwrap().status, 200);
        let left: Vec<&str> =
            attacks.iter_mut().filter_map(|(name, run)| run.exited().is_none().then_some(*name)).collect();
        wait::check(left, Vec::is_empty, |left| format!("{left:?}"))
    });
    for (name, mut run) in attacks {
        // What it said last may still be in its pipe.
        wait::eventually(wait::SOON, &format!("a summary of {name}"), || {
            let said = plain(&run.lines());
            wait::check(said, |said| said.contains("Exit status"), String::clone)
        });
        let said = plain(&run.lines());
        assert!(run.exited().is_some_and(|status| status.success()), "{name}: {said}");
        let available: Vec<&str> =
            said.lines().filter_map(|line| line.strip_prefix("service available:")).map(str::trim).collect();
        assert!(!available.is_empty() && available.iter().all(|said| *said == "YES"), "{name}: {said}");
    }
}
