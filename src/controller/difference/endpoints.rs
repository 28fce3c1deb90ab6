//! What has become of the endpoints of a backend, in sentences for the log, the events and `diff`. Pure.

use std::collections::BTreeMap;

use crate::model::{BackendReport, EndpointReport, EndpointState};

/// Something that happened to endpoints of one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) struct Turn {
    pub(in crate::controller) reason: &'static str,
    pub(in crate::controller) sentence: String,
    /// The names of the endpoints.
    pub(in crate::controller) names: Vec<String>,
    pub(in crate::controller) is_bad: bool,
}

/// So many endpoints that do the same at the same time are told one by one; of more their number is told.
const MOST: usize = 10;

/// Of those the first ones are named.
const NAMED: usize = 3;

/// What has become of the endpoints from one report to the next.
pub(in crate::controller) fn turns(before: &BackendReport, after: &BackendReport) -> Vec<Turn> {
    let mut by_reason: BTreeMap<&'static str, Vec<(&EndpointReport, Turn)>> = BTreeMap::new();
    for (was, is) in pairs(&before.endpoints, &after.endpoints) {
        let Some(one) = is.or(was) else { continue };
        if let Some(turn) = turn(&after.name, was, is) {
            by_reason.entry(turn.reason).or_default().push((one, turn));
        }
    }
    let mut all = Vec::new();
    for (reason, turns) in by_reason {
        if turns.len() <= MOST {
            all.extend(turns.into_iter().map(|(_, turn)| turn));
            continue;
        }
        let names: Vec<String> = turns.iter().map(|(endpoint, _)| endpoint.name.to_string()).collect();
        let shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
        let rest = names.len() - shown.len();
        let sentence = format!(
            "{} endpoints of {} {}: {} and {rest} more",
            names.len(),
            after.name,
            word(reason),
            shown.join(", ")
        );
        let is_bad = turns.iter().any(|(_, turn)| turn.is_bad);
        all.push(Turn { reason, sentence, names, is_bad });
    }
    all
}

/// Each endpoint before and after: by name and address, or by name alone where one of them has no address.
fn pairs<'a>(
    before: &'a [EndpointReport],
    after: &'a [EndpointReport],
) -> Vec<(Option<&'a EndpointReport>, Option<&'a EndpointReport>)> {
    let mut left: Vec<&EndpointReport> = before.iter().collect();
    let mut take = |fits: &dyn Fn(&EndpointReport) -> bool| {
        let index = left.iter().position(|one| fits(one))?;
        Some(left.remove(index))
    };
    let mut pairs = Vec::new();
    let mut unmet = Vec::new();
    for is in after {
        match take(&|was| (&was.name, &was.address) == (&is.name, &is.address)) {
            Some(was) => pairs.push((Some(was), Some(is))),
            None => unmet.push(is),
        }
    }
    for is in unmet {
        let was = take(&|was| was.name == is.name && (was.address.is_none() || is.address.is_none()));
        pairs.push((was, Some(is)));
    }
    pairs.extend(left.into_iter().map(|was| (Some(was), None)));
    pairs
}

/// What does not run is as if it were not there until it runs, and may go without a word: that it ended was told.
fn turn(backend: &str, was: Option<&EndpointReport>, is: Option<&EndpointReport>) -> Option<Turn> {
    let is_up = |one: &&EndpointReport| one.state != EndpointState::Down;
    let (reason, what) = match (was, is) {
        (None, Some(is)) => {
            is_up(&is).then_some(())?;
            ("EndpointAdded", format!("is new and {}", state(is)))
        }
        (Some(was), None) => {
            is_up(&was).then_some(())?;
            ("EndpointRemoved", "is gone".to_owned())
        }
        (Some(was), Some(is)) if was.state != is.state => (reason(is.state), format!("is {}", state(is))),
        (Some(was), Some(is)) if was.weight != is.weight => {
            ("EndpointChanged", format!("has weight {} instead of {}", is.weight, was.weight))
        }
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let one = is.or(was)?;
    // What is down has no address; where it was is worth more than nothing.
    let address = one.address.as_ref().or(was.and_then(|was| was.address.as_ref()));
    let address = address.map(|address| format!(" ({address})")).unwrap_or_default();
    let sentence = format!("endpoint `{}`{address} of {backend} {what}", one.name);
    let is_bad = is.is_some_and(|is| {
        matches!(is.state, EndpointState::Unhealthy | EndpointState::Ejected | EndpointState::Unreachable)
    });
    Some(Turn { reason, sentence, names: vec![one.name.to_string()], is_bad })
}

/// `ready`, or `unhealthy (Unhealthy: endpoint …)`.
fn state(endpoint: &EndpointReport) -> String {
    let state = endpoint.state.as_str();
    if endpoint.message.is_empty() { state.to_owned() } else { format!("{state} ({})", endpoint.message) }
}

fn reason(state: EndpointState) -> &'static str {
    match state {
        EndpointState::Ready => "EndpointReady",
        EndpointState::Starting => "EndpointStarting",
        EndpointState::Unhealthy => "EndpointUnhealthy",
        EndpointState::Ejected => "EndpointEjected",
        EndpointState::Paused => "EndpointPaused",
        EndpointState::Draining => "EndpointDraining",
        EndpointState::Terminating => "EndpointTerminating",
        EndpointState::Down => "EndpointDown",
        EndpointState::Unreachable => "EndpointUnreachable",
    }
}

/// What many endpoints do.
fn word(of: &'static str) -> String {
    let state = EndpointState::ALL.into_iter().find(|state| reason(*state) == of);
    match (of, state) {
        ("EndpointAdded", _) => "are new".to_owned(),
        ("EndpointRemoved", _) => "are gone".to_owned(),
        (_, Some(state)) => format!("are {}", state.as_str()),
        (_, None) => "have another weight".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(endpoints: &[(&str, &str, EndpointState)]) -> BackendReport {
        let endpoint = |(name, address, state): &(&str, &str, EndpointState)| EndpointReport {
            name: (*name).into(),
            address: (!address.is_empty()).then(|| (*address).to_owned()),
            state: *state,
            message: if *state == Ready { String::new() } else { format!("{state:?}: why") },
            weight: 1,
            checks: None,
            last_failure: None,
        };
        let endpoints = endpoints.iter().map(endpoint).collect();
        BackendReport { name: "shop/web:80".into(), resolved: "Compose service".into(), endpoints }
    }

    fn told(
        before: &[(&str, &str, EndpointState)],
        after: &[(&str, &str, EndpointState)],
    ) -> Vec<(&'static str, String)> {
        turns(&backend(before), &backend(after))
            .into_iter()
            .map(|turn| (turn.reason, turn.sentence))
            .collect()
    }

    use EndpointState::{Down, Draining, Ready, Starting, Unhealthy};

    #[test]
    fn what_comes_changes_and_goes_is_told_with_its_backend_and_why() {
        for (before, after, reason, words) in [
            (
                &[][..],
                &[("a", "1:80", Ready)][..],
                "EndpointAdded",
                "`a` (1:80) of shop/web:80 is new and ready",
            ),
            (
                &[],
                &[("a", "", Starting)],
                "EndpointAdded",
                "`a` of shop/web:80 is new and starting (Starting: why)",
            ),
            (&[("a", "1:80", Ready)], &[], "EndpointRemoved", "`a` (1:80) of shop/web:80 is gone"),
            (
                &[("a", "1:80", Ready)],
                &[("a", "1:80", Unhealthy)],
                "EndpointUnhealthy",
                "`a` (1:80) of shop/web:80 is unhealthy (Unhealthy: why)",
            ),
            (
                &[("a", "1:80", Ready)],
                &[("a", "", Draining)],
                "EndpointDraining",
                "`a` (1:80) of shop/web:80 is draining (Draining: why)",
            ),
            (
                &[("a", "", Down)],
                &[("a", "2:80", Ready)],
                "EndpointReady",
                "`a` (2:80) of shop/web:80 is ready",
            ),
        ] {
            assert_eq!(told(before, after), [(reason, format!("endpoint {words}"))]);
        }
    }

    #[test]
    fn what_does_not_run_comes_and_goes_without_a_word_and_what_is_the_same_is_not_told() {
        let one = [("a", "1:80", Ready)];
        assert_eq!(told(&one, &one), []);
        assert_eq!(told(&[], &[("a", "", Down)]), []);
        assert_eq!(told(&[("a", "", Down)], &[]), []);
    }

    #[test]
    fn addresses_of_one_name_are_endpoints_of_their_own() {
        let two = [("db", "1:80", Ready), ("db", "2:80", Ready)];
        let moved = [("db", "2:80", Ready), ("db", "3:80", Ready)];
        let reasons: Vec<_> = told(&two, &moved).into_iter().map(|(reason, _)| reason).collect();
        assert_eq!(reasons, ["EndpointAdded", "EndpointRemoved"]);
    }

    #[test]
    fn many_that_do_the_same_at_once_are_one_line() {
        let names: Vec<String> = (0..100).map(|number| format!("web-{number:02}")).collect();
        let all: Vec<_> = names.iter().map(|name| (&**name, "1:80", Ready)).collect();
        let told_once = told(&[], &all);
        assert_eq!(told_once.len(), 1);
        assert_eq!(
            told_once[0].1,
            "100 endpoints of shop/web:80 are new: `web-00`, `web-01`, `web-02` and 97 more"
        );
        assert_eq!(told(&[], &all[..10]).len(), 10);
    }
}
