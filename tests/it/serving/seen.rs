//! What an operator sees of requests: access log, metrics, and a log that is silent.

use std::{fs, time::Duration};

use serde_json::Value;

use super::{TO_A, World};
use crate::support::{http, manifest, scratch, wait};

const REQUEST: &str = "GET /status/201?q=%22 HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: \"x\"\\\r\nReferer: http://r.test/\r\nConnection: close\r\n\r\n";

#[test]
fn the_access_log_in_json_says_everything_of_a_request() {
    let folder = scratch();
    let path = folder.path().join("access.log");
    let world = World::with(TO_A, |builder| {
        builder.arguments(["--access-log", "json", "--access-log-path", path.to_str().unwrap()])
    });
    let answer = http::ask(world.portolan.http, REQUEST).unwrap();
    let id = answer.received("x-request-id").remove(0);
    let missing = world.portolan.get("other.test", "/").unwrap();
    let lines: Vec<Value> = wait::eventually(wait::SOON, "two lines", || {
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        wait::check(lines, |lines: &Vec<Value>| lines.len() == 2, |_| text.clone())
    });
    let line = lines.iter().find(|line| line["status"] == 201).unwrap_or_else(|| panic!("{lines:?}"));
    let expected = [
        ("requestId", &*id),
        ("method", "GET"),
        ("host", "shop.test"),
        ("path", "/status/201?q=%22"),
        ("protocol", "HTTP/1.1"),
        ("listener", "default/default/http"),
        ("route", "default/shop"),
        ("userAgent", "\"x\"\\"),
        ("referer", "http://r.test/"),
    ];
    for (name, value) in expected {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    assert!(line["endpoint"].as_str().is_some_and(|name| name.starts_with("127.0.0.1")), "{line}");
    assert!(line["backend"].as_str().is_some_and(|name| name.contains('a')), "{line}");
    assert!(line["client"].as_str().is_some_and(|client| client.starts_with("127.")), "{line}");
    assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
    for number in ["bytesIn", "bytesOut", "duration", "upstreamDuration"] {
        assert!(line[number].is_number(), "{number}: {line}");
    }
    let line = lines.iter().find(|line| line["status"] == 404).unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(line["requestId"], missing.header("x-request-id").unwrap());
    assert!(line["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{line}");
    assert!(line["route"].is_null() && line["endpoint"].is_null(), "{line}");
}

#[test]
fn the_access_log_as_text_is_the_default_and_goes_to_standard_output() {
    let world = World::new(TO_A);
    let answer = http::ask(world.portolan.http, REQUEST).unwrap();
    let id = answer.received("x-request-id").remove(0);
    let line = wait::eventually(wait::SOON, "a line", || {
        let lines = world.portolan.process.lines();
        lines.iter().find(|line| line.contains(&id)).cloned().ok_or_else(|| lines.join("\n"))
    });
    assert!(line.contains(r#"] "GET /status/201?q=%22 HTTP/1.1" 201 "#), "{line}");
    assert!(line.contains(r#""http://r.test/" "\"x\"\\" shop.test"#), "{line}");
    assert!(line.contains(" default/shop default/a:80 127.0.0.1"), "{line}");
}

#[test]
fn series_come_with_a_route_and_go_with_it() {
    let world = World::new(TO_A);
    world.documents.write("gone.yaml", &manifest::simple("gone", "gone.test", "a"));
    world.portolan.reaches("gone.test", "/", "a");
    for method in ["POST", "BREW"] {
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(http::ask(world.portolan.http, &request).unwrap().status, 200);
    }
    assert_eq!(world.portolan.get("shop.test", "/close").unwrap().status, 502);
    let metrics = || world.portolan.admin("/metrics").unwrap().text();
    let text = wait::eventually(wait::SOON, "the requests are counted", || {
        let text = metrics();
        let counted = ["route=\"default/shop\"", "route=\"default/gone\"", "method=\"OTHER\""];
        wait::check(text, |text| counted.iter().all(|word| text.contains(word)), String::clone)
    });
    for line in text.lines().filter(|line| line.starts_with("portolan_http_requests_total{")) {
        for label in ["listener=", "route=", "backend=", "code=", "method="] {
            assert!(line.contains(label), "{line}");
        }
    }
    for name in [
        "portolan_http_request_duration_seconds_bucket{",
        "portolan_upstream_duration_seconds_bucket{",
        "portolan_upstream_errors_total{",
        "portolan_connections{listener=\"127.",
        "portolan_bytes_total{direction=\"out\"}",
        "portolan_endpoints{backend=",
        "portolan_reconcile_total{result=\"published\"}",
        "portolan_reconcile_duration_seconds_bucket{",
        "portolan_reconcile_lag_seconds_bucket{",
        "portolan_route_table_generation ",
        "portolan_resources{kind=\"HTTPRoute\",status=\"accepted\"} 2",
        "portolan_config_valid 1",
        "process_",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "no {name}: {text}");
    }
    assert!(!text.contains("BREW"), "a client made up a label: {text}");
    world.documents.remove("gone.yaml");
    wait::eventually(wait::SOON, "the series of a route that is gone are gone", || {
        wait::check(metrics(), |text| !text.contains("default/gone"), String::clone)
    });
    assert!(metrics().contains("route=\"default/shop\""));
}

#[test]
fn a_host_that_a_client_made_up_makes_no_series() {
    let world = World::new(TO_A);
    for round in 0..50 {
        world.portolan.get(&format!("h{round}.evil.test"), &format!("/p{round}")).unwrap();
    }
    let text = world.portolan.admin("/metrics").unwrap().text();
    assert!(!text.contains("evil"), "{text}");
    let series = text.lines().filter(|line| line.starts_with("portolan_http_requests_total{")).count();
    assert!(series < 5, "{series} series");
}

#[test]
fn the_log_is_silent_in_a_steady_state() {
    let world = World::with(TO_A, |builder| builder.arguments(["--access-log", "off"]));
    world.portolan.reaches("shop.test", "/", "a");
    let before = world.portolan.process.lines();
    assert!(!before.is_empty());
    wait::throughout(Duration::from_secs(2), "the log is silent", || {
        world.portolan.get("shop.test", "/").map_err(|error| error.to_string())?;
        world.portolan.get("other.test", "/").map_err(|error| error.to_string())?;
        world.portolan.admin("/readyz").map_err(|error| error.to_string())?;
        let lines = world.portolan.process.lines();
        wait::check(lines, |lines| lines.len() == before.len(), |lines| lines[before.len()..].join("\n"))
    });
}
