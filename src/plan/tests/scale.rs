//! Many routes.

use super::*;

/// So many routes of one host each, to a few services with three replicas each.
fn many(routes: usize) -> Snapshot {
    let mut things: Vec<Thing> = vec![edge().into()];
    for index in 0..routes {
        let route = route(&format!("r{index}")).host(&format!("h{index}.example.com"));
        things.push(route.to(service_ref(&format!("s{}:80", index % 100))).into());
    }
    for index in 0..300_u16 {
        let [high, low] = index.to_be_bytes();
        let name = format!("s{}", index % 100);
        let replica = container(&format!("{name}-{index}")).in_compose("default", &name);
        things.push(replica.on(&[("n", &format!("10.0.{high}.{low}"))]).into());
    }
    assembled(things)
}

#[test]
fn ten_thousand_routes_are_planned_and_each_is_found() {
    let plan = plan(&many(10_000));
    assert_eq!(plan.attached_routes("edge"), [10_000]);
    assert_eq!(plan.backends.len(), 100);
    for index in [0, 1, 4_999, 9_999] {
        let host = format!("h{index}.example.com");
        assert_eq!(plan.answers(&host, "/x"), Some(&*format!("default/r{index}")));
        assert_eq!(plan.leads_to(&host).matches(":80").count(), 3);
    }
    assert_eq!(plan.answers("h10000.example.com", "/"), None);
}
