//! What the rules of a route become, and what is said of them.

use super::*;

#[test]
fn invalid_backends_keep_their_share() {
    let rule = rule("/")
        .to(service_ref("web").weight(70))
        .to(service_ref("missing").weight(30))
        .to(service_ref("web").weight(0));
    let plan = plan(&world![edge(), container("web"), route("r").rule(rule)]);
    let choices = plan.answer("a.test", "/").unwrap().backends.choices();
    assert_eq!(choices.iter().map(|choice| choice.weight).collect::<Vec<_>>(), [70, 30, 0]);
    assert!(matches!(choices[1].target, Target::Invalid(_)));
    assert_eq!(plan.route_says("r", "Accepted"), "Accepted: True Accepted");
    assert!(plan.route_says("r", "ResolvedRefs").starts_with("ResolvedRefs: False BackendNotFound"));
}

#[test]
fn what_a_path_may_become_has_a_canonical_form() {
    use crate::route::path::canonical;
    for text in ["", "a", "/", "/a", "/a//b/", "/a/../../b", "/ä ?#", "/%41%c3", "/%0a", "~!$&'()*+,;=:@"] {
        assert_eq!(PathEdit::fault(text), None, "{text:?}");
        assert!(canonical(&format!("/{text}")).is_ok(), "{text:?}");
    }
    for text in ["/a%2fb", "/a%2Fb", "\\", "/%5c", "/%", "/%2", "/%2/a", "/%zz", "/%00", "/a\nb", "/\u{7f}"] {
        assert!(PathEdit::fault(text).is_some(), "{text:?}");
        assert!(canonical(&format!("/{text}")).is_err(), "{text:?}");
    }
}

#[test]
fn a_rule_without_backends_has_nothing_to_pick_and_a_redirect_needs_nothing() {
    let redirect = rule("/old").redirect();
    let plan = plan(&world![edge(), route("r").rule(rule("/")).rule(redirect)]);
    let rule = plan.answer("a.test", "/").unwrap();
    assert!(rule.backends.choices().is_empty() && rule.filters.is_empty() && rule.invalid.is_none());
    let redirect = plan.answer("a.test", "/old").unwrap();
    assert!(matches!(*redirect.filters, [HttpFilter::Redirect(_)]) && redirect.invalid.is_none());
    assert_eq!(
        all_said(&plan.status(Kind::HttpRoute, "r").parents[0].conditions),
        ["Accepted: True Accepted", "ResolvedRefs: True ResolvedRefs", "Programmed: True Programmed"]
    );
}

#[test]
fn a_rule_that_is_not_served_yet_is_answered_500_and_its_siblings_are_served() {
    let refused = rule("/cors")
        .to(service_ref("web"))
        .unsupported("spec.rules[1].filters[0].extensionRef", "filters by reference are not served yet");
    let plan = plan(&world![edge(), container("web"), route("r").to(service_ref("web")).rule(refused),]);
    assert_eq!(
        plan.answer("a.test", "/cors").unwrap().invalid.as_deref(),
        Some("spec.rules[1].filters[0].extensionRef: filters by reference are not served yet")
    );
    assert_eq!(plan.answer("a.test", "/").unwrap().invalid, None);
    assert_eq!(
        all_said(&plan.status(Kind::HttpRoute, "r").parents[0].conditions),
        [
            "Accepted: True Accepted",
            "ResolvedRefs: True ResolvedRefs: `default/web`: container",
            "Programmed: True Programmed",
            "PartiallyInvalid: True UnsupportedValue: Dropped Rule: spec.rules[1].filters[0].extensionRef: filters by reference are \
             not served yet; its requests are answered 500 until that is removed",
        ]
    );
    assert_eq!(plan.attached_routes("edge"), [1]);
}

#[test]
fn a_route_of_which_nothing_is_served_yet_is_not_accepted() {
    let every_rule =
        route("r").rule(rule("/").unsupported("spec.rules[0].retry", "retries are not served yet"));
    let mut whole = route("r").to(service_ref("web"));
    whole.unsupported.push(unsupported("spec.rules[0].retry", "retries are not served yet"));
    let mut without_rules = route("r");
    without_rules.unsupported = whole.unsupported.clone();
    for route in [every_rule, whole, without_rules] {
        let plan = plan(&world![edge(), container("web"), route]);
        assert_eq!(
            plan.route_says("r", "Accepted"),
            "Accepted: False UnsupportedValue: spec.rules[0].retry: retries are not served yet; its requests are answered \
             500 until that is removed"
        );
        assert_eq!(plan.route_says("r", "PartiallyInvalid"), "");
        assert_eq!(plan.attached_routes("edge"), [0]);
        assert!(plan.answer("a.test", "/").is_none_or(|rule| rule.invalid.is_some()));
        assert!(!plan.workload("web").routed && plan.workload("web").urls.is_empty());
    }
}

#[test]
fn a_reference_that_is_not_served_yet_costs_its_share() {
    let field = "spec.rules[0].backendRefs[0].filters[0].extensionRef: not served yet";
    let mixed = |route: HttpRoute, weights: [u32; 2]| {
        let [odd, good] = weights.map(|weight| service_ref("web").weight(weight));
        let mut rule = rule("/").to(odd).to(good);
        let (field, why) = field.split_once(": ").unwrap();
        rule.unsupported_backends.insert(0, vec![unsupported(field, why)]);
        plan(&world![edge(), container("web"), route.rule(rule)])
    };
    let some = mixed(route("r"), [1, 99]);
    let rule = some.answer("a.test", "/").unwrap();
    assert_eq!(rule.invalid, None);
    let shares: Vec<_> =
        rule.backends.choices().iter().map(|choice| (choice.weight, shown(&choice.target))).collect();
    assert_eq!(shares, [(1, format!("invalid: {field}")), (99, "172.17.0.70:80".to_owned())]);
    assert!(some.workload("web").routed);
    assert_eq!(some.route_says("r", "Accepted"), "Accepted: True Accepted");
    assert_eq!(
        some.route_says("r", "PartiallyInvalid"),
        format!(
            "PartiallyInvalid: True UnsupportedValue: Dropped Rule for a share of its requests: {field}; these requests are \
             answered 500 until that is removed"
        )
    );
    for (weights, is_accepted) in [([1, 0], false), ([0, 1], true)] {
        let said = mixed(route("r"), weights).route_says("r", "Accepted");
        assert_eq!(said.starts_with("Accepted: True"), is_accepted, "{weights:?}: {said}");
    }
}

#[test]
fn several_rules_that_are_not_served_are_told_of_in_the_plural() {
    let odd = |path: &str| rule(path).unsupported(&format!("spec.{path}"), "no");
    let plan = plan(&world![edge(), route("r").rule(odd("/a")).rule(odd("/b")).rule(rule("/"))]);
    assert_eq!(
        plan.route_says("r", "PartiallyInvalid"),
        "PartiallyInvalid: True UnsupportedValue: Dropped Rules: spec./a: no; spec./b: no; their requests are answered 500 \
         until those are removed"
    );
}

#[test]
fn every_reference_that_failed_is_named_once() {
    let rule = |path: &str| rule(path).to(service_ref("a")).to(backend_ref("b")).to(service_ref("a"));
    let plan = plan(&world![edge(), route("r").rule(rule("/")).rule(rule("/again"))]);
    let places = "Backend, Service, Compose service, container or network alias";
    assert_eq!(
        plan.route_says("r", "ResolvedRefs"),
        format!(
            "ResolvedRefs: False BackendNotFound: backendRef `a`: namespace `default` has no {places} of that name: \
             correct it, or start a container or write a Backend of that name; backendRef `b`: namespace `default` has no \
             Backend of that name: correct it, or write one"
        )
    );
}

#[test]
fn a_message_names_a_few_reasons_and_counts_the_rest() {
    let rule = (0..16).fold(rule("/"), |rule, index| rule.to(backend_ref(&format!("b{index}"))));
    let plan = plan(&world![edge(), route("r").rule(rule)]);
    let message = plan.route_says("r", "ResolvedRefs");
    assert!(message.contains("`b7`") && !message.contains("`b8`"), "{message}");
    assert!(message.ends_with("; and 8 more"), "{message}");
}

#[test]
fn a_route_says_which_backends_have_no_endpoint_and_why() {
    let web =
        |index: u8, health| container(&format!("web-{index}")).in_compose("default", "web").health(health);
    let plan = plan(&world![
        edge(),
        route("r").to(service_ref("web:80")),
        route("none").host("none.test").to(backend_ref("none")),
        backend("none"),
        web(1, Health::Unhealthy),
        web(2, Health::Starting),
        web(3, Health::Unhealthy),
    ]);
    let why = "1 starting, 2 unhealthy (Starting: container `web-2` is starting: its HEALTHCHECK has not succeeded yet; \
               `docker inspect --format '{{json .State.Health}}' web-2` shows what the check answered)";
    assert_eq!(
        plan.route_says("r", "Ready"),
        format!("Ready: False NoReadyEndpoint: backend `default/web:80`: {why}")
    );
    assert_eq!(plan.leads_to("a.test"), format!("empty: {why}"));
    assert_eq!(
        plan.route_says("none", "Ready"),
        "Ready: False NoReadyEndpoint: backend `default/none`: no endpoint fits: start a container that it selects, write an address, or give one a weight above 0"
    );
    // The reference is good all the same: 503, not 500.
    assert_eq!(plan.route_says("r", "Accepted"), "Accepted: True Accepted");
    assert!(plan.route_says("r", "ResolvedRefs").starts_with("ResolvedRefs: True"));
}

#[test]
fn names_of_rules_and_routes_are_kept() {
    let mut named = rule("/named");
    named.name = Some("checkout".into());
    let plan = plan(&world![
        edge().listener(http("far", 81).from(FromNamespaces::All)),
        route("r").rule(rule("/")).rule(named)
    ]);
    let told = |path: &str| {
        let rule = plan.answer("a.test", path).unwrap();
        (rule.route.to_string(), rule.rule.to_string())
    };
    assert_eq!(told("/"), ("default/r".into(), "0".into()));
    assert_eq!(told("/named"), ("default/r".into(), "checkout".into()));
}

// === what containers are told ===

#[test]
fn a_container_is_told_the_urls_that_lead_to_it() {
    let gateway = edge()
        .listener(http("alt", 8080).host("*.alt.test"))
        .listener(listener("tls", 443, Protocol::Https))
        .listener(http("wild", 81).host("*.wild.test"));
    let plan = plan(&world![
        gateway,
        container("web"),
        detached("r")
            .parent(parent("default/edge").section("http"))
            .parent(parent("default/edge").section("alt"))
            .parent(parent("default/edge").section("tls"))
            .host("web.test")
            .host("a.alt.test")
            .rule(rule("/shop/").to(service_ref("web"))),
        detached("any").parent(parent("default/edge").section("wild")).to(service_ref("web")),
    ]);
    assert_eq!(
        plan.workload("web"),
        WorkloadPlan {
            routed: true,
            urls: vec![
                "http://*.wild.test:81".into(),
                "http://a.alt.test/shop".into(),
                "http://a.alt.test:8080/shop".into(),
                "http://web.test/shop".into(),
            ],
            problems: Vec::new(),
            addresses: [SocketAddr::from(([172, 17, 0, 70], 80))].into(),
        }
    );
}

#[test]
fn what_gets_no_requests_is_not_routed() {
    let web = |name: &str| container(name).on(&[("n", "10.0.0.2")]);
    let plan = plan(&world![
        edge(),
        web("detached"),
        web("weightless"),
        web("refused"),
        web("unrouted"),
        web("closed"),
        detached("a").parent(parent("default/missing")).to(service_ref("detached")),
        route("b").to(service_ref("weightless").weight(0)),
        route("c").rule(rule("/").to(service_ref("refused")).unsupported("f", "not served yet")),
        detached("d").parent(parent("default/tls")).to(service_ref("closed")),
        gateway("tls").listener(listener("tls", 443, Protocol::Https)),
    ]);
    for name in ["detached", "weightless", "refused", "unrouted", "closed"] {
        assert_eq!(plan.workload(name), WorkloadPlan::default(), "{name}");
    }
}

#[test]
fn a_container_is_told_once_why_it_gets_no_traffic() {
    let plan = plan(&world![
        edge(),
        container("web").exposing(&[]),
        container("idle").exposing(&[]),
        route("a").host("a.test").to(service_ref("web")),
        route("b").host("b.test").to(service_ref("web")).rule(rule("/2").to(service_ref("web"))),
        route("c").host("c.test").to(backend_ref("named")),
        backend("named")
            .endpoint(endpoint(EndpointTarget::ContainerNamed { name: "web".into(), network: None })),
    ]);
    let told = plan.workload("web");
    assert!(!told.routed);
    let problems: Vec<String> = told.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "container `web`: error[NoPort]: container `web` exposes no TCP port; name it with the label `portolan.port=8080` \
          (the port inside the container), or `EXPOSE` it in the image"
        ]
    );
    assert_eq!(told.urls, ["http://a.test", "http://b.test", "http://b.test/2", "http://c.test"]);
    // Nobody routes to this one: the plan has nothing to say.
    assert_eq!(plan.workload("idle"), WorkloadPlan::default());
}

#[test]
fn the_urls_of_a_container_are_the_first_of_a_bounded_number() {
    let mut things = vec![edge().into(), container("web").into()];
    for index in (0..50).rev() {
        let host = format!("h{index:02}.test");
        things.push(route(&format!("r{index:02}")).host(&host).to(service_ref("web")).into());
    }
    let urls = plan(&assembled(things)).workload("web").urls;
    assert_eq!(urls.len(), WorkloadPlan::MAX_URLS);
    assert_eq!((&*urls[0], &*urls[31]), ("http://h00.test", "http://h31.test"));
}
