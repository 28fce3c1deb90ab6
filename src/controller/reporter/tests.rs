//! What is remembered as events, and what of it the report has.

use super::*;
use crate::model::{EndpointReport, EndpointState, Fault, LastFailure, ListenerStatus, Meta};

/// The facts of a moment, the rest of which is empty.
#[derive(Default)]
struct Moment {
    plan: Plan,
    objects: BTreeMap<ResourceId, Arc<config::Object>>,
    stale: BTreeSet<ResourceId>,
    workloads: BTreeMap<WorkloadId, Arc<Workload>>,
    labels: BTreeMap<WorkloadId, Noted>,
    failures: FailureReport,
}

impl Moment {
    fn with(endpoints: &[(&str, EndpointState)]) -> Self {
        let endpoint = |(name, state): &(&str, EndpointState)| EndpointReport {
            name: (*name).into(),
            address: Some(format!("{name}:80")),
            state: *state,
            message: String::new(),
            weight: 1,
            checks: None,
            last_failure: None,
        };
        let endpoints = endpoints.iter().map(endpoint).collect();
        let backend =
            BackendReport { name: "shop/web:80".into(), resolved: "Compose service".into(), endpoints };
        let mut moment = Self::default();
        moment.plan.backends.insert(backend.name.clone(), Arc::new(backend));
        moment
    }

    fn facts(self, facts: impl FnOnce(Facts<'_>) -> Arc<Report>) -> Arc<Report> {
        facts(Facts {
            plan: self.plan,
            objects: &self.objects,
            stale: &self.stale,
            workloads: &self.workloads,
            labels: &self.labels,
            failures: &self.failures,
            sources: Vec::new(),
            problems: Vec::new(),
            config_valid: true,
            generation: 1,
            now: 7,
        })
    }
}

/// Reports this, and gives the sentences of the events.
fn told(reporter: &mut Reporter, moment: Moment) -> Vec<String> {
    let report = moment.facts(|facts| reporter.report(facts));
    report.events.iter().map(|event| event.message.clone()).collect()
}

#[test]
fn a_thousand_events_are_remembered_the_newest_of_all() {
    let mut reporter = Reporter::default();
    let states = [EndpointState::Ready, EndpointState::Unhealthy];
    // The first is that the backend is new.
    for round in 0..Reporter::MAX_EVENTS + 250 {
        told(&mut reporter, Moment::with(&[("a", states[round % 2])]));
    }
    let events = &reporter.last.events;
    assert_eq!(events.len(), 1_000);
    assert_eq!((events[0].number, events[999].number), (251, 1_250));
    assert!(events.iter().zip(251..).all(|(event, number)| event.number == number), "none is missing");
    assert_eq!(events[999].message, "endpoint `a` (a:80) of shop/web:80 is unhealthy");
}

#[test]
fn backends_and_their_endpoints_are_events_of_the_backend() {
    let mut reporter = Reporter::default();
    let ready = EndpointState::Ready;
    told(&mut reporter, Moment::with(&[("a", ready)]));
    told(&mut reporter, Moment::with(&[("a", ready), ("b", EndpointState::Starting)]));
    told(&mut reporter, Moment::with(&[("a", ready), ("b", EndpointState::Starting)]));
    told(&mut reporter, Moment::with(&[("b", ready)]));
    assert!(!reporter.take_lost(), "the backend is there still");
    let all = told(&mut reporter, Moment::default());
    assert!(reporter.take_lost() && !reporter.take_lost());
    assert_eq!(
        all,
        [
            "backend shop/web:80 is new (Compose service): 1 of 1 endpoints are ready",
            "endpoint `b` (b:80) of shop/web:80 is new and starting",
            "endpoint `b` (b:80) of shop/web:80 is ready",
            "endpoint `a` (a:80) of shop/web:80 is gone",
            "backend shop/web:80 is gone: no route refers to it any more",
        ]
    );
    let reasons: Vec<_> = reporter.last.events.iter().map(|event| event.reason).collect();
    let expected = ["BackendAdded", "EndpointAdded", "EndpointReady", "EndpointRemoved", "BackendRemoved"];
    assert_eq!(reasons, expected);
    let id = ResourceId::new(Kind::Backend, "shop", "web:80");
    assert!(reporter.last.events.iter().all(|event| event.object.as_ref() == Some(&id)));
}

#[test]
fn a_hundred_endpoints_that_come_at_once_are_one_event() {
    let mut reporter = Reporter::default();
    told(&mut reporter, Moment::with(&[]));
    let names: Vec<String> = (0..100).map(|number| format!("web-{number:02}")).collect();
    let all: Vec<_> = names.iter().map(|name| (&**name, EndpointState::Ready)).collect();
    assert_eq!(told(&mut reporter, Moment::with(&all)).len(), 2);
}

#[test]
fn listeners_that_come_and_go_are_events_of_their_gateway() {
    let mut reporter = Reporter::default();
    let id = ResourceId::new(Kind::Gateway, "default", "edge");
    for (names, loses) in [(&["http"][..], false), (&["http", "extra"], false), (&["extra"], true)] {
        let meta = Meta { id: id.clone(), origin: Origin::BuiltIn("a test"), created: None, generation: 1 };
        let resource = crate::model::Resource::Passive(meta.into());
        let mut moment = Moment::default();
        moment.objects.insert(id.clone(), Arc::new(config::Object { resource, manifest: "{}".into() }));
        let listener = |name: &&str| ListenerStatus {
            name: (*name).into(),
            attached_routes: 0,
            supported_kinds: Vec::new(),
            conditions: Vec::new(),
        };
        let listeners = names.iter().map(listener).collect();
        let status = Status { listeners, ..Status::default() };
        moment.plan.statuses.insert(id.clone(), Arc::new(status));
        told(&mut reporter, moment);
        assert_eq!(reporter.take_lost(), loses, "{names:?}");
    }
    told(&mut reporter, Moment::default());
    assert!(reporter.take_lost(), "the Gateway itself");
    let events: Vec<_> = reporter.last.events.iter().map(|event| (event.reason, &*event.message)).collect();
    assert_eq!(
        events,
        [
            ("Added", "Gateway default/edge is new (a test)"),
            ("ListenerAdded", "listener `extra` of Gateway default/edge is new (a test)"),
            ("ListenerRemoved", "listener `http` of Gateway default/edge is gone"),
            ("Removed", "Gateway default/edge is gone"),
        ]
    );
}

#[test]
fn a_backend_that_an_object_stands_for_is_told_with_the_object() {
    let id = ResourceId::new(Kind::Backend, "shop", "web");
    let meta = Meta { id: id.clone(), origin: Origin::BuiltIn("a test"), created: None, generation: 1 };
    let resource = crate::model::Resource::Passive(meta.into());
    let object = Arc::new(config::Object { resource, manifest: "{}".into() });
    let mut moment = Moment::with(&[("a", EndpointState::Ready)]);
    moment.objects.insert(id, object);
    assert_eq!(told(&mut Reporter::default(), moment), ["Backend shop/web is new (a test)"]);
}

#[test]
fn failures_are_told_without_a_plan_and_without_an_event_and_the_same_ones_not_again() {
    let mut reporter = Reporter::default();
    let failure = LastFailure {
        time: 5,
        fault: Fault::Reset,
        message: "broken".into(),
        status: Some(502),
        answered_since: false,
    };
    let failures =
        FailureReport(BTreeMap::from([("a".into(), BTreeMap::from([("a:80".into(), failure.clone())]))]));
    assert!(reporter.tell_failures(&failures).is_none(), "there is nothing yet to tell it of");
    told(&mut reporter, Moment::with(&[("a", EndpointState::Ready), ("b", EndpointState::Ready)]));
    let last =
        |report: &Report, index: usize| report.backends["shop/web:80"].endpoints[index].last_failure.clone();
    let report = reporter.tell_failures(&failures).expect("it is news");
    assert_eq!((last(&report, 0), last(&report, 1)), (Some(failure.clone()), None));
    assert_eq!(report.events.len(), 1);
    assert!(reporter.tell_failures(&failures).is_none(), "it is no news");
    let moment = Moment { failures, ..Moment::with(&[("a", EndpointState::Ready)]) };
    let report = moment.facts(|facts| reporter.report(facts));
    assert_eq!(last(&report, 0), Some(failure), "a plan forgets nothing");
}
