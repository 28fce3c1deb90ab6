//! Many containers of which one never comes to rest.

use std::{collections::BTreeSet, fs, net::TcpListener, time::Duration};

use super::host;
use crate::support::{
    container::Container, is_busy, note, portolan::Portolan, private_engine::PrivateEngine, static_binary,
    wait,
};

/// How many containers there are; most are only created, as starting one costs most of a second here.
const CONTAINERS: usize = 200;
/// How many of them run.
const RUNNING: usize = 10;
/// How long making them may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Processor time of a process so far, in hundredths of a second.
fn ticks(id: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn two_hundred_containers_of_which_one_flaps_cost_little() {
    // What other tests do with their containers is not to be counted.
    let Some(private) = PrivateEngine::start() else { return };
    let engine = &private.engine;
    let begun = wait::now();
    let running: Vec<Container> = (0..RUNNING).map(|_| engine.container("run").port(8080).start()).collect();
    let mut created = Vec::new();
    while created.len() + RUNNING < CONTAINERS - 1 && begun.elapsed() < PATIENCE {
        created.push(engine.container("idle").port(8080).create());
    }
    note(&format!("{} containers in {:?}", created.len() + RUNNING, begun.elapsed()));
    let portolan = Portolan::builder().docker(engine.url()).arguments(["--access-log", "off"]).start();
    for container in &running {
        portolan.reaches(&host(&container.name), "/", &container.name);
    }
    let spent = |what: &str| {
        let from = ticks(portolan.process.id());
        let mut asked = 0;
        wait::throughout(Duration::from_secs(10), "the others are served", || {
            let container = &running[0];
            asked += 1;
            if asked % 20 != 0 {
                return Ok(());
            }
            let answer = portolan.get(&host(&container.name), "/").map_err(|error| error.to_string())?;
            wait::check(answer.status, |status| *status == 200, u16::to_string).map(|_| ())
        });
        let spent = ticks(portolan.process.id()) - from;
        note(&format!("{what}: {spent} ticks in 10 s"));
        spent
    };
    // The requests cost something too.
    let quiet = spent("nothing happens");
    // Its program ends at once, every time: an argument that is no port.
    let flapping = engine.container("flap").options(["--restart", "always"]).arguments(["none"]).start();
    let restarts = || flapping.inspect("{{.RestartCount}}").parse::<u32>().unwrap();
    wait::eventually(wait::SOON, "it flaps", || wait::check(restarts(), |count| *count > 0, u32::to_string));
    let generation = || portolan.metric("portolan_route_table_generation").expect("a generation");
    let (tables, count, words) = (generation(), restarts(), portolan.process.lines().len());
    let used = spent("one flaps").saturating_sub(quiet);
    let changes = f64::from(restarts() - count);
    let tables = generation() - tables;
    let words = portolan.process.lines().len() - words;
    note(&format!("in 10 s: {changes} restarts, {tables} tables, {words} lines"));
    // A release takes less than one of a hundred of a core; what is optimized for size takes a little more, the same work
    // among other work too, and what is not optimized much more.
    let most = match static_binary() {
        Some(_) if is_busy() => 25,
        Some(_) => 15,
        None => 150,
    };
    assert!(used <= most, "{used} hundredths of a second of processor time in 10 s, more than {most}");
    assert!(tables <= 4.0 * (changes + 2.0), "{tables} tables for {changes} restarts");
    assert!(words <= 60, "{words} lines of log: {}", portolan.log());
}

/// How many containers start at once.
const AT_ONCE: usize = 100;

#[test]
fn a_hundred_containers_at_once_are_routed_within_a_second() {
    let Some(private) = PrivateEngine::start() else { return };
    let engine = &private.engine;
    // No list may find them before the events do.
    let arguments = ["--access-log", "off", "--resync", "1h"];
    let portolan = Portolan::builder().docker(engine.url()).arguments(arguments).start();
    let first = engine.container("first").port(8080).start();
    portolan.reaches(&host(&first.name), "/", &first.name);
    // The engine needs a while for each: what counts is the time after the last. On the network of the host they start
    // soonest; each has a port of its own.
    let ports: Vec<TcpListener> = (0..AT_ONCE).map(|_| TcpListener::bind("0.0.0.0:0").unwrap()).collect();
    let begun = wait::now();
    let mut started: Vec<Container> = Vec::new();
    for listener in ports {
        if begun.elapsed() > PATIENCE {
            break;
        }
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let many =
            engine.container("many").options(["--network", "host"]).label("portolan.port", &port.to_string());
        started.push(many.arguments([&*port.to_string()]).start());
    }
    note(&format!("{} containers in {:.1?}", started.len(), begun.elapsed()));
    let mut connection = portolan.connect();
    let mut missing: BTreeSet<&str> = started.iter().map(|one| &*one.name).collect();
    let begun = wait::now();
    wait::eventually(wait::SOON, "all are routed", || {
        while let Some(name) = missing.first().copied() {
            let answer = connection.get(&host(name), "/").map_err(|error| error.to_string())?;
            if answer.backend() != Some(name) {
                return Err(format!("{} are not: {answer}", missing.len()));
            }
            missing.pop_first();
        }
        Ok(())
    });
    let took = begun.elapsed();
    let most = if static_binary().is_some() && !is_busy() { 1 } else { 10 };
    note(&format!("all were routed after {took:.1?}; at most {most} s"));
    assert!(took <= Duration::from_secs(most), "{} containers took {took:?}", started.len());
}
