//! How soon a container that starts is a name that answers.

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{harbour, host};
use crate::support::{engine::Engine, is_busy, portolan::Portolan, static_binary, wait};

const CONTAINERS: usize = 20;

/// The promise, for an optimized build on a machine that does little else.
const PROMISE: Duration = Duration::from_millis(10);

/// What a debug build must keep, or any build among other work: still far below what a fixed throttle would cost.
const BUSY: Duration = Duration::from_millis(100);

/// One start: from the engine's answer to `start`, and from its own time stamp, to the first answer of the backend.
fn start(engine: &Engine, portolan: &Portolan) -> (Duration, Duration) {
    let web = engine.container("quick").port(8080).create();
    let (name, mut connection) = (host(&web.name), portolan.connect());
    let (answered, first, at) = thread::scope(|scope| {
        let starter = scope.spawn(|| {
            let answer = engine.api("POST", &format!("/containers/{}/start", web.id));
            assert_eq!(answer.status, 204, "{answer}");
            Instant::now()
        });
        let deadline = Instant::now() + wait::SOON;
        loop {
            let answer = connection.get(&name, "/").unwrap();
            if answer.backend() == Some(&*web.name) {
                let (first, at) = (Instant::now(), SystemTime::now());
                break (starter.join().unwrap(), first, at);
            }
            assert!(Instant::now() < deadline, "it never answered: {answer}");
            thread::sleep(Duration::from_micros(500));
        }
    });
    let started: jiff::Timestamp = web.inspect("{{.State.StartedAt}}").parse().unwrap();
    let since = at.duration_since(UNIX_EPOCH).unwrap();
    let started = Duration::from_nanos(started.as_nanosecond().try_into().unwrap());
    (first.saturating_duration_since(answered), since.saturating_sub(started))
}

#[test]
#[expect(clippy::print_stderr, reason = "a measurement is for reading, whether it passes or not")]
fn docker_a_container_answers_10_ms_after_the_engine_says_that_it_started() {
    let Some((engine, portolan)) = harbour() else { return };
    let limit = if static_binary().is_some() && !is_busy() { PROMISE } else { BUSY };
    // What else the machine does can spoil a round, not three.
    let mut best = Duration::MAX;
    for round in 1..=3 {
        let (mut answered, mut stamped): (Vec<_>, Vec<_>) =
            (0..CONTAINERS).map(|_| start(&engine, &portolan)).unzip();
        let (from_answer, from_stamp) = (wait::median(&mut answered), wait::median(&mut stamped));
        eprintln!(
            "round {round}: first answer {from_answer:.1?} after `start` returned (longest {:.1?}), {from_stamp:.1?} after \
             the engine's own time of the start (longest {:.1?}); at most {limit:?}",
            answered[CONTAINERS - 1],
            stamped[CONTAINERS - 1]
        );
        best = best.min(from_answer);
        if best <= limit {
            return;
        }
    }
    panic!("median {best:?} of {CONTAINERS}, more than {limit:?}");
}
