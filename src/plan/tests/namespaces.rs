//! Selectors of namespaces.

use super::*;

fn namespace(name: &str, labels: &[(&str, &str)]) -> Resource {
    Resource::Namespace(Arc::new(Namespace { meta: meta(Kind::Namespace, name), labels: strings(labels) }))
}

fn selecting(labels: &[(&str, &str)]) -> Gateway {
    gateway("edge").listener(http("http", 80).from(FromNamespaces::Selector(selector(labels))))
}

#[test]
fn a_selector_goes_by_the_labels_of_namespaces_and_by_their_names() {
    let named = ("kubernetes.io/metadata.name", "shop");
    for (labels, shop, bank) in [
        (&[("team", "blue")][..], true, false),
        (&[("team", "red")], false, true),
        (&[("team", "blue"), named], true, false),
        (&[("team", "red"), named], false, false),
        (&[named], true, false),
        (&[], true, true),
    ] {
        let plan = plan(&world![
            selecting(labels),
            namespace("shop", &[("team", "blue")]),
            namespace("bank", &[("team", "red"), ("kubernetes.io/metadata.name", "shop")]),
            route("shop/r").host("shop.test").rule(rule("/")),
            route("bank/r").host("bank.test").rule(rule("/")),
        ]);
        let found = ["shop.test", "bank.test"].map(|host| plan.answers(host, "/").is_some());
        assert_eq!(found, [shop, bank], "{labels:?}");
        assert_eq!(plan.says(Kind::Namespace, "shop", "Accepted"), "Accepted: True Accepted");
    }
}

#[test]
fn sets_are_let_in_by_the_labels_of_their_namespace() {
    let allowed_listeners = FromNamespaces::Selector(selector(&[("team", "blue")]));
    for (label, word) in [("blue", "Accepted: True"), ("red", "Accepted: False NotAllowed")] {
        let plan = plan(&world![
            Gateway { allowed_listeners: allowed_listeners.clone(), ..edge() },
            namespace("shop", &[("team", label)]),
            set("shop/s").listener(http("extra", 81)),
        ]);
        assert!(plan.says(Kind::ListenerSet, "shop/s", "Accepted").starts_with(word), "{label}");
    }
}

#[test]
fn a_selector_that_no_namespace_fits_is_told_of() {
    let gateway = selecting(&[("team", "blue")]).listener(http("none", 81).from(FromNamespaces::None));
    let nobody = plan(&world![gateway.clone(), namespace("shop", &[("team", "red")])]);
    assert_eq!(
        nobody.listener_says("http", "Accepted"),
        "Accepted: True Accepted: the labels of no namespace fit `allowedRoutes.namespaces.selector`: there is `default`, \
         `shop`; write a `Namespace` (`v1`) with such labels"
    );
    assert_eq!(
        nobody.listener_says("none", "Accepted"),
        "Accepted: True Accepted: `allowedRoutes.namespaces` has `from: Selector` and no `selector`: no route attaches"
    );
    let somebody = plan(&world![gateway, namespace("shop", &[("team", "blue")])]);
    assert_eq!(somebody.listener_says("http", "Accepted"), "Accepted: True Accepted");
}

#[test]
fn labels_of_a_namespace_that_change_are_looked_at_again() {
    let world = |label| {
        world![
            selecting(&[("team", "blue")]),
            namespace("shop", &[("team", label)]),
            route("shop/r").rule(rule("/"))
        ]
    };
    let mut planner = Planner::default();
    for (label, is_attached) in [("red", false), ("blue", true), ("red", false)] {
        let plan = planner.plan(&world(label));
        assert_eq!(plan.answers("a.test", "/").is_some(), is_attached, "{label}");
    }
}
