//! Puts what the data plane tells of failed requests beside the endpoints that people see. Pure.

use std::{collections::BTreeMap, sync::Arc};

use crate::model::{BackendReport, EndpointReport, FailureReport, LastFailure};

/// The backends, their endpoints with these failures and no others.
pub(super) fn with(
    mut backends: BTreeMap<Arc<str>, Arc<BackendReport>>,
    failures: &FailureReport,
) -> BTreeMap<Arc<str>, Arc<BackendReport>> {
    for backend in backends.values_mut() {
        let is_told = |endpoint: &EndpointReport| endpoint.last_failure.as_ref() == of(endpoint, failures);
        if !backend.endpoints.iter().all(is_told) {
            let backend = Arc::make_mut(backend);
            for endpoint in &mut backend.endpoints {
                endpoint.last_failure = of(endpoint, failures).cloned();
            }
        }
    }
    backends
}

/// The endpoint's own: by its name, as the address may have been another container's, and by its address, as a name may
/// stand for several. What is down has no address; then it is the last of its name.
fn of<'f>(endpoint: &EndpointReport, failures: &'f FailureReport) -> Option<&'f LastFailure> {
    let of_name = failures.0.get(&endpoint.name)?;
    match &endpoint.address {
        Some(address) => of_name.get(address),
        None => of_name.values().max_by_key(|failure| failure.time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EndpointState, Fault};

    fn backend(endpoints: &[(&str, Option<&str>)]) -> BTreeMap<Arc<str>, Arc<BackendReport>> {
        let endpoint = |(name, address): &(&str, Option<&str>)| EndpointReport {
            name: (*name).into(),
            address: address.map(str::to_owned),
            state: EndpointState::Ready,
            message: String::new(),
            weight: 1,
            checks: None,
            last_failure: None,
        };
        let endpoints = endpoints.iter().map(endpoint).collect();
        let report = BackendReport { name: "shop/web".into(), resolved: String::new(), endpoints };
        BTreeMap::from([(report.name.clone(), Arc::new(report))])
    }

    fn failures(of: &[(&str, &str, i64)]) -> FailureReport {
        let mut report = FailureReport::default();
        for (name, address, time) in of {
            let failure = LastFailure {
                time: *time,
                fault: Fault::Reset,
                message: "broken".into(),
                status: Some(502),
                answered_since: false,
            };
            report.0.entry((*name).into()).or_default().insert((*address).to_owned(), failure);
        }
        report
    }

    #[test]
    fn a_failure_is_told_of_the_endpoint_that_has_its_name_and_its_address() {
        let failures = failures(&[("a", "1:80", 5), ("a", "2:80", 7), ("b", "1:80", 9)]);
        for (name, address, time) in [
            ("a", Some("1:80"), Some(5)),
            ("a", Some("2:80"), Some(7)),
            ("b", Some("1:80"), Some(9)),
            ("b", Some("2:80"), None),
            ("c", Some("1:80"), None),
            ("a", None, Some(7)),
            ("c", None, None),
        ] {
            let told = with(backend(&[(name, address)]), &failures);
            let failure = told["shop/web"].endpoints[0].last_failure.as_ref();
            assert_eq!(failure.map(|failure| failure.time), time, "{name} {address:?}");
        }
    }

    #[test]
    fn what_is_forgotten_is_not_told_any_more_and_what_is_the_same_is_not_copied() {
        let plain = backend(&[("a", Some("1:80"))]);
        let failures = failures(&[("a", "1:80", 5)]);
        let told = with(plain.clone(), &failures);
        assert!(Arc::ptr_eq(&with(told.clone(), &failures)["shop/web"], &told["shop/web"]));
        assert_eq!(with(told, &FailureReport::default()), plain);
        let untouched = with(plain.clone(), &FailureReport::default());
        assert!(Arc::ptr_eq(&untouched["shop/web"], &plain["shop/web"]));
    }
}
