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

/// Every metric of the reference, each with a label that its series must have.
const REFERENCE: [&str; 16] = [
    "portolan_http_requests_total{backend=\"default/pair:80\",code=\"200\",listener=\"default/extra/set\",method=\"GET\",route=\"default/pair\"}",
    "portolan_http_request_duration_seconds_bucket{backend=\"default/pair:80\",listener=\"default/extra/set\",route=\"default/pair\",le=",
    "portolan_upstream_duration_seconds_bucket{backend=\"default/pair:80\",listener=\"default/extra/set\",route=\"default/pair\",le=",
    "portolan_upstream_errors_total{backend=\"default/pair:80\",kind=",
    "portolan_retries_total{backend=\"default/pair:80\"}",
    "portolan_bytes_total{direction=\"in\"}",
    "portolan_bytes_total{direction=\"out\"}",
    "portolan_endpoints{backend=\"default/pair:80\",state=\"ready\"}",
    "portolan_reconcile_total{result=\"published\"}",
    "portolan_reconcile_duration_seconds_bucket{",
    "portolan_reconcile_lag_seconds_bucket{",
    "portolan_route_table_generation ",
    "portolan_resources{kind=\"ListenerSet\",status=\"accepted\"}",
    "portolan_config_valid ",
    "portolan_source_connected{source=\"docker\"}",
    "portolan_certificate_expiry_timestamp_seconds{certificate=\"default/shown\",kind=\"Certificate\"}",
];

#[test]
fn every_metric_of_the_reference_is_there_and_its_series_go_with_their_objects() {
    let nowhere = format!("unix://{}", scratch().path().join("none.sock").display());
    let world = World::with(TO_A, |builder| builder.docker(&nowhere));
    let port = 8085;
    let address: std::net::SocketAddr = (world.portolan.http.ip(), port).into();
    let gateway = manifest::gateway("edge", (address.ip(), 8086).into())
        .replace("spec:\n", "spec:\n  allowedListeners: {namespaces: {from: All}}\n");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (a, b) = (world.a.address, closed);
    let more = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {{name: extra}}\nspec:\n  \
         parentRef: {{name: edge}}\n  listeners: [{{name: set, protocol: HTTP, port: {port}}}]\n---\n\
         apiVersion: portolan.dev/v1alpha1\nkind: Backend\nmetadata: {{name: pair}}\nspec:\n  endpoints: \
         [{{address: {}, port: {}}}, {{address: {}, port: {}}}]\n---\n\
         apiVersion: portolan.dev/v1alpha1\nkind: Certificate\nmetadata: {{name: shown}}\nspec: {{hostnames: \
         [shown.test], selfSigned: {{}}}}\n---\n",
        a.ip(),
        a.port(),
        b.ip(),
        b.port()
    );
    let to_set = "spec:\n  parentRefs: [{kind: ListenerSet, name: extra}]\n";
    let route = manifest::simple("pair", "pair.test", "pair").replace("spec:\n", to_set);
    world.documents.write("gateway.yaml", &gateway);
    world.documents.write("more.yaml", &(more + &route));
    let metrics = || world.portolan.admin("/metrics").unwrap().text();
    let connections = format!("portolan_connections{{listener=\"{address}\",state=");
    let expected: Vec<&str> =
        REFERENCE.into_iter().chain([&*connections, "process_cpu_seconds_total "]).collect();
    wait::eventually(wait::SOON, "every metric has its series", || {
        // Of two endpoints one refuses, so that there are errors and retries.
        http::get(address, "pair.test", "/").map_err(|error| error.to_string())?;
        let text = metrics();
        let missing = expected.iter().find(|name| !text.lines().any(|line| line.starts_with(**name)));
        missing.map_or(Ok(()), |missing| Err(format!("no {missing}: {text}")))
    });
    world.documents.remove("more.yaml");
    wait::eventually(wait::SOON, "the series of what is gone are gone", || {
        let text = metrics();
        let gone =
            ["default/pair", "default/extra/set", "ListenerSet", "default/shown", &*address.to_string()];
        let left = gone.into_iter().find(|name| text.contains(*name));
        left.map_or(Ok(()), |left| Err(format!("`{left}` is left: {text}")))
    });
    assert!(metrics().contains("portolan_config_valid 1"));
}

#[test]
fn trusted_clients_read_the_reason_of_an_error_in_a_header_and_explain_agrees() {
    let rules = "[{matches: [{path: {value: /none}}]}, {matches: [{path: {value: /gone}}], backendRefs: [{name: nobody, port: 80}]}]";
    let trusting = World::with(rules, |builder| builder.arguments(["--trusted-proxies", "127.0.0.0/8"]));
    let strange = World::new(rules);
    for (path, status, words) in [
        ("/", 404, "no route of listener `default/default/http` matches"),
        ("/none", 500, "the rule has no backend of a weight above 0"),
        ("/gone", 500, "backendRef `nobody`: namespace `default` has no Backend"),
    ] {
        let answer = trusting.portolan.says("shop.test", path, status);
        let said = answer.header("portolan-reason").unwrap_or_default();
        assert!(said.starts_with("configuration: ") && said.contains(words), "{answer}");
        assert_eq!(strange.portolan.says("shop.test", path, status).header("portolan-reason"), None);
        let explained = trusting.portolan.shows(&["explain", &format!("http://shop.test{path}")]);
        assert!(explained.contains(&format!("{status}, ")), "{explained}");
    }
}
