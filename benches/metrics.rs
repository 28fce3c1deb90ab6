//! What metrics cost a request: everything that is counted for one, a million times: `cargo bench --bench metrics`.
//!
//! The share is that of a request of so many microseconds: as `benches/results/compare.md` has it, or the argument.
//! Five runs on a busy machine: 115 to 317 ns, 0.8 to 2.1 % of 15 µs. The promise is less than 3 %.
#![expect(clippy::print_stdout, reason = "the output of a bench is its result")]

use std::{hint::black_box, sync::Arc, time::Duration};

use portolan::telemetry::Metrics;
use tokio::time::Instant;

/// What the binary has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REQUESTS: u32 = 1_000_000;
/// CPU time of a small request over a kept connection, in microseconds.
const REQUEST: f64 = 15.0;

fn main() {
    let request = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(REQUEST);
    let worker = Metrics::new().worker(0);
    let names: [Arc<str>; 3] = ["default/web/http", "default/route", "default/backend:80"].map(Arc::from);
    let [listener, route, backend] = &names;
    let names = [listener, route, backend];
    let (idle, active) = (worker.connections(listener, "idle"), worker.connections(listener, "active"));
    let (bytes_in, bytes_out) = (worker.bytes("in"), worker.bytes("out"));
    let protocol = worker.protocol("HTTP/1.1");
    let requests = worker.requests(names, 200, "GET");
    let (whole, upstream) = (worker.request_seconds(names), worker.upstream_seconds(names));
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let begun = Instant::now();
        for number in 0..REQUESTS {
            let started = black_box(Instant::now());
            protocol.add(1);
            idle.subtract(1);
            active.add(1);
            bytes_in.add(u64::from(black_box(number)));
            let took = black_box(Instant::now()).duration_since(started);
            bytes_out.add(u64::from(black_box(number)));
            requests.add(1);
            whole.observe(took);
            upstream.observe(took);
            active.subtract(1);
            idle.add(1);
        }
        best = best.min(begun.elapsed());
    }
    let nanos = best.as_secs_f64() * 1e9 / f64::from(REQUESTS);
    println!("{nanos:.0} ns for a request, {:.1} % of one of {request} µs", nanos / 10.0 / request);
}
