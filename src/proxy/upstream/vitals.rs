//! What is known of one endpoint that is watched, and what follows from each thing that is found out. No clock: the
//! time is told.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Ejection, EndpointHealth, EndpointState, HealthCheck};

#[derive(Clone, Debug)]
pub(in crate::proxy) struct Vitals {
    checks: Checks,
    ejected: Option<Ejected>,
    /// When it last became fit to serve.
    since: Instant,
    /// What the last check that failed has found, and what happens next.
    fault: String,
}

/// How its active checks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checks {
    /// There are none.
    Off,
    /// None has succeeded yet: it gets no requests.
    Waiting {
        failures: u32,
    },
    Passing {
        failures: u32,
    },
    Failing {
        successes: u32,
    },
}

#[derive(Clone, Copy, Debug)]
struct Ejected {
    until: Instant,
    /// How often in a row, without a good while in between.
    times: u32,
}

/// Whether something has changed that others should know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::proxy) enum Change {
    None,
    Some,
}

// === impl Vitals ===

impl Vitals {
    /// An ejection is at most this many times as long as the first.
    const MOST_TIMES: u32 = 10;
    /// Between the first checks of an endpoint that has not answered yet: it is probably just starting.
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    /// The share of an endpoint that has just come, in thousandths.
    const FIRST_SHARE: u64 = 100;

    pub(super) fn new(check: Option<&HealthCheck>, now: Instant) -> Self {
        let checks = if check.is_some() { Checks::Waiting { failures: 0 } } else { Checks::Off };
        let fault =
            check.map_or_else(String::new, |check| format!("has not been asked for {} yet", check.probe));
        Self { checks, ejected: None, since: now, fault }
    }

    /// Somebody else has asked it: it serves until a check fails.
    pub(super) fn vouch(&mut self) {
        if let Checks::Waiting { .. } = self.checks {
            self.checks = Checks::Passing { failures: 0 };
        }
    }

    /// A check begins for an endpoint that serves already, or ends: it goes on serving until a check fails.
    pub(super) fn checked_by(&mut self, check: Option<&HealthCheck>) -> Change {
        let checks = match (check, self.checks) {
            (Some(_), Checks::Off) => Checks::Passing { failures: 0 },
            (None, _) => Checks::Off,
            (Some(_), Checks::Waiting { .. } | Checks::Passing { .. } | Checks::Failing { .. }) => {
                self.checks
            }
        };
        if self.checks == checks {
            return Change::None;
        }
        self.checks = checks;
        Change::Some
    }

    /// Takes note of a check's outcome: `Err` says what was found instead, such as ``GET `/` answered 503``.
    pub(in crate::proxy) fn checked(
        &mut self,
        check: &HealthCheck,
        outcome: Result<(), String>,
        now: Instant,
    ) -> Change {
        let before = (self.health(now), self.is_fit(now));
        let failed = outcome.is_err();
        if let Err(found) = outcome {
            self.fault =
                format!("fails its health check: {found}; it is asked again every {:?}", check.interval);
        }
        self.checks = match (self.checks, failed) {
            (Checks::Off, _) => Checks::Off,
            (Checks::Waiting { failures }, true) => Checks::Waiting { failures: failures.saturating_add(1) },
            (Checks::Passing { failures }, true) if failures + 1 >= check.unhealthy_after.get() => {
                Checks::Failing { successes: 0 }
            }
            (Checks::Passing { failures }, true) => Checks::Passing { failures: failures + 1 },
            (Checks::Failing { .. }, true) => Checks::Failing { successes: 0 },
            (Checks::Failing { successes }, false) if successes + 1 < check.healthy_after.get() => {
                Checks::Failing { successes: successes + 1 }
            }
            (Checks::Waiting { .. } | Checks::Failing { .. }, false) => {
                self.since = now;
                Checks::Passing { failures: 0 }
            }
            (Checks::Passing { .. }, false) => Checks::Passing { failures: 0 },
        };
        if before == (self.health(now), self.is_fit(now)) { Change::None } else { Change::Some }
    }

    /// How long until the next check.
    pub(in crate::proxy) fn pause(&self, check: &HealthCheck) -> Duration {
        match self.checks {
            Checks::Waiting { failures } => check.interval.min(Self::FIRST_PAUSE * (1 << failures.min(16))),
            Checks::Off | Checks::Passing { .. } | Checks::Failing { .. } => check.interval,
        }
    }

    /// Leaves it out for a while; longer each time that follows within as long again.
    pub(super) fn eject(&mut self, ejection: &Ejection, now: Instant) {
        let last = self.ejected.filter(|last| now < last.until + ejection.eject_for * last.times);
        let times = last.map_or(1, |last| (last.times + 1).min(Self::MOST_TIMES));
        self.ejected = Some(Ejected { until: now + ejection.eject_for * times, times });
    }

    /// Ends an ejection before its time, if that makes it fit; says whether it does.
    pub(super) fn recall(&mut self, now: Instant) -> bool {
        if let Some(ejected) = self.ejected.as_mut().filter(|ejected| now < ejected.until) {
            let until = std::mem::replace(&mut ejected.until, now);
            if self.is_fit(now) {
                return true;
            }
            self.ejected = self.ejected.map(|ejected| Ejected { until, ..ejected });
        }
        false
    }

    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.ejected.is_some_and(|ejected| now < ejected.until)
    }

    /// Whether it may get requests.
    pub(super) fn is_fit(&self, now: Instant) -> bool {
        let is_healthy = matches!(self.checks, Checks::Off | Checks::Passing { .. });
        is_healthy && !self.is_ejected(now)
    }

    /// Its share of what its weight would give it, in thousandths, when an endpoint takes so long to get all of it.
    pub(super) fn share(&self, slow_start: Duration, now: Instant) -> u64 {
        let since = self.ejected.map_or(self.since, |ejected| self.since.max(ejected.until));
        let elapsed = now.saturating_duration_since(since).as_micros();
        let share = elapsed.saturating_mul(1000).checked_div(slow_start.as_micros()).unwrap_or(1000);
        u64::try_from(share).unwrap_or(u64::MAX).clamp(Self::FIRST_SHARE, 1000)
    }

    /// When it comes back by itself.
    pub(in crate::proxy) fn returns(&self, now: Instant) -> Option<Instant> {
        self.ejected.map(|ejected| ejected.until).filter(|until| now < *until)
    }

    /// For people. Equal as long as nothing of note has changed.
    pub(in crate::proxy) fn health(&self, now: Instant) -> EndpointHealth {
        let told =
            |state, reason, message: &str| EndpointHealth { state, reason, message: message.to_owned() };
        match self.checks {
            Checks::Waiting { .. } => told(EndpointState::Starting, "Starting", &self.fault),
            Checks::Failing { .. } => told(EndpointState::Unhealthy, "Unhealthy", &self.fault),
            Checks::Off | Checks::Passing { .. } => match self.ejected {
                Some(ejected) if now < ejected.until => {
                    let words = format!(
                        "has answered too many requests in a row with errors (`outlierDetection`) and is left out \
                         for a while (time {})",
                        ejected.times
                    );
                    told(EndpointState::Ejected, "Ejected", &words)
                }
                Some(_) | None => told(EndpointState::Ready, "", ""),
            },
        }
    }
}

#[cfg(test)]
mod tests;
