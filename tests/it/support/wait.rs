//! The one way to wait: ask again and again until it is so, and say what was seen last when it never was.

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_millis(5);

/// How long something that must come may take on a busy machine. It ends early when it comes early.
pub const SOON: Duration = Duration::from_secs(20);

/// For how long something took.
pub fn now() -> Instant {
    Instant::now()
}

/// Asks until the answer is `Ok`; panics with the last `Err` after `within`.
#[track_caller]
pub fn eventually<T, E: Display>(within: Duration, what: &str, mut ask: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + within;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(last) if Instant::now() >= deadline => {
                panic!("not within {within:?}: {what}; last seen: {last}")
            }
            Err(_) => thread::sleep(EVERY),
        }
    }
}

/// Asks all the time for `during`; panics with the first `Err`. For what must not happen, hence takes as long as it says.
#[track_caller]
pub fn throughout<T, E: Display>(during: Duration, what: &str, mut ask: impl FnMut() -> Result<T, E>) {
    let begun = Instant::now();
    while begun.elapsed() < during {
        if let Err(seen) = ask() {
            panic!("not any more after {:?}: {what}; seen: {seen}", begun.elapsed());
        }
        thread::sleep(EVERY);
    }
}

/// `Ok` if `is` holds, else `seen` as the error: the last line of many probes.
pub fn check<T>(value: T, is: impl FnOnce(&T) -> bool, seen: impl FnOnce(&T) -> String) -> Result<T, String> {
    if is(&value) { Ok(value) } else { Err(seen(&value)) }
}

/// The middle of some measurements.
pub fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
