//! Many containers of which one never comes to rest.

use std::{fs, time::Duration};

use super::host;
use crate::support::{container::Container, engine::Engine, note, portolan::Portolan, wait};

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
    let Some(engine) = Engine::local() else { return };
    let begun = wait::now();
    let running: Vec<Container> = (0..RUNNING).map(|_| engine.container("run").port(8080).start()).collect();
    let mut created = Vec::new();
    while created.len() + RUNNING < CONTAINERS - 1 && begun.elapsed() < PATIENCE {
        created.push(engine.container("idle").port(8080).create());
    }
    note(&format!("{} containers in {:?}", created.len() + RUNNING, begun.elapsed()));
    // Its program ends at once, every time: an argument that is no port.
    let flapping = engine.container("flap").options(["--restart", "always"]).arguments(["none"]).start();
    let portolan = Portolan::builder().docker(engine.url()).arguments(["--access-log", "off"]).start();
    for container in &running {
        portolan.reaches(&host(&container.name), "/", &container.name);
    }
    let restarts = || flapping.inspect("{{.RestartCount}}").parse::<u32>().unwrap();
    wait::eventually(wait::SOON, "it flaps", || wait::check(restarts(), |count| *count > 0, u32::to_string));
    let generation = || portolan.metric("portolan_route_table_generation").expect("a generation");
    let (from, tables, count, words) =
        (ticks(portolan.process.id()), generation(), restarts(), portolan.process.lines().len());
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
    let used = ticks(portolan.process.id()) - from;
    let changes = f64::from(restarts() - count);
    let tables = generation() - tables;
    let words = portolan.process.lines().len() - words;
    note(&format!("in 10 s: {used} ticks, {changes} restarts, {tables} tables, {words} lines"));
    assert!(used <= 200, "{used} hundredths of a second of processor time in 10 s");
    assert!(tables <= 4.0 * (changes + 2.0), "{tables} tables for {changes} restarts");
    assert!(words <= 60, "{words} lines of log: {}", portolan.log());
}
