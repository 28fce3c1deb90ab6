//! What a scrape shows.

use super::*;

fn name(text: &str) -> Arc<str> {
    text.into()
}

#[test]
fn the_parts_of_all_workers_are_summed() {
    let metrics = Metrics::new();
    let (listener, route, backend) = (name("l"), name("r"), name("b"));
    for worker in [0, 3] {
        let part = metrics.worker(worker);
        part.requests([&listener, &route, &backend], 200, "GET").add(2);
        part.request_seconds([&listener, &route, &backend]).observe(Duration::from_millis(3));
    }
    let text = metrics.render();
    let series = r#"{backend="b",code="200",listener="l",method="GET",route="r"} 4"#;
    assert!(text.contains(&format!("portolan_http_requests_total{series}")), "{text}");
    let labels = r#"backend="b",listener="l",route="r""#;
    for (bound, count) in [("0.0025", 0), ("0.005", 2), ("10", 2), ("+Inf", 2)] {
        let line =
            format!(r#"portolan_http_request_duration_seconds_bucket{{{labels},le="{bound}"}} {count}"#);
        assert!(text.contains(&line), "{line} is missing in:\n{text}");
    }
    assert!(
        text.contains(&format!("portolan_http_request_duration_seconds_sum{{{labels}}} 0.006")),
        "{text}"
    );
}

#[test]
fn a_worker_that_asks_again_gets_the_same_part() {
    let metrics = Metrics::new();
    let worker = metrics.worker(0);
    worker.bytes("in").add(1);
    worker.bytes("in").add(1);
    assert!(metrics.render().contains(r#"portolan_bytes_total{direction="in"} 2"#));
}

#[test]
fn series_go_with_their_objects() {
    let metrics = Metrics::new();
    let worker = metrics.worker(0);
    let (listener, none) = (name("l"), name(""));
    worker.requests([&listener, &name("n/old"), &name("b")], 200, "GET").add(1);
    worker.requests([&listener, &name("n/kept"), &name("b")], 200, "GET").add(1);
    worker.requests([&listener, &none, &none], 404, "GET").add(1);
    worker.upstream_errors(&name("gone"), "refused").add(1);
    metrics.retain(&LiveNames {
        listeners: ["l".to_owned()].into(),
        routes: [("n", "kept")].into(),
        backends: ["b"].into(),
        ..LiveNames::default()
    });
    let text = metrics.render();
    assert!(text.contains(r#"route="n/kept""#) && text.contains(r#"code="404""#), "{text}");
    assert!(!text.contains(r#"route="n/old""#) && !text.contains(r#"backend="gone""#), "{text}");
}

#[test]
fn the_families_of_the_control_side_are_there() {
    let metrics = Metrics::new();
    metrics.set_endpoints([("b", "ready", 2)]);
    metrics.set_endpoints([("c", "ready", 1)]);
    metrics.set_resources([("HTTPRoute", "accepted", 3)]);
    metrics.reconciled(Reconciled::Published, Duration::from_millis(2));
    metrics.reconcile_lag(Duration::from_millis(7));
    metrics.set_generation(9);
    metrics.set_config_valid(1);
    metrics.set_source_connected("docker", 0);
    metrics.source_drift("docker", 4);
    let text = metrics.render();
    for line in [
        r#"portolan_endpoints{backend="c",state="ready"} 1"#,
        r#"portolan_resources{kind="HTTPRoute",status="accepted"} 3"#,
        r#"portolan_reconcile_total{result="published"} 1"#,
        "portolan_reconcile_lag_seconds_count 1",
        "portolan_route_table_generation 9",
        "portolan_config_valid 1",
        r#"portolan_source_connected{source="docker"} 0"#,
        r#"portolan_source_drift_total{source="docker"} 4"#,
        "process_resident_memory_bytes",
    ] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
    assert!(!text.contains(r#"backend="b""#), "{text}");
}

#[test]
fn durations_fall_into_the_bucket_whose_bound_they_do_not_pass() {
    let metrics = Metrics::new();
    let none = name("");
    let durations = metrics.worker(0).request_seconds([&none, &none, &none]);
    for micros in [500, 501, 20_000_000] {
        durations.observe(Duration::from_micros(micros));
    }
    let text = metrics.render();
    assert!(text.contains(r#"le="0.0005"} 1"#), "{text}");
    assert!(text.contains(r#"le="0.001"} 2"#), "{text}");
    assert!(text.contains(r#"le="10"} 2"#), "{text}");
    assert!(text.contains(r#"le="+Inf"} 3"#), "{text}");
}
