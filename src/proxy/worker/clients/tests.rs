//! Who counts as one client, and that what has ended is not counted any more.

use super::*;

fn clients() -> Rc<Clients> {
    Clients::new(&Limits { connections: 4, endpoint_connections: 4, ..Limits::default() })
}

fn enter(clients: &Rc<Clients>, address: &str) -> Option<Guest> {
    clients.enter(address.parse().unwrap())
}

#[test]
fn a_client_has_three_quarters_of_the_connections_and_others_have_theirs() {
    let clients = clients();
    let first = enter(&clients, "192.0.2.1");
    let more = [enter(&clients, "192.0.2.1"), enter(&clients, "192.0.2.1")];
    assert!(first.is_some() && more.iter().all(Option::is_some));
    assert!(enter(&clients, "192.0.2.1").is_none());
    assert!(enter(&clients, "192.0.2.2").is_some());
    drop(first);
    assert!(enter(&clients, "192.0.2.1").is_some());
}

#[test]
fn the_addresses_of_a_network_of_ipv6_are_one_client() {
    let clients = clients();
    let all = ["2001:db8::1", "2001:db8::ffff:0:0:1", "2001:db8::3"].map(|one| enter(&clients, one));
    assert!(all.iter().all(Option::is_some));
    assert!(enter(&clients, "2001:db8::2").is_none());
    assert!(enter(&clients, "2001:db8:0:1::1").is_some());
}

#[test]
fn a_client_has_three_quarters_of_the_connections_to_endpoints_over_all_of_its_own() {
    let clients = clients();
    let (one, two) = (enter(&clients, "192.0.2.1").unwrap(), enter(&clients, "192.0.2.1").unwrap());
    let leases = [one.lease(), two.lease(), one.lease()];
    assert!(leases.iter().all(Option::is_some));
    assert!(one.lease().is_none() && two.lease().is_none());
    drop(leases);
    assert!(one.lease().is_some());
}

#[test]
fn a_client_that_has_nothing_is_forgotten_and_not_before() {
    let clients = clients();
    let guest = enter(&clients, "192.0.2.1").unwrap();
    let lease = guest.lease();
    drop(guest);
    assert_eq!(clients.known.borrow().len(), 1);
    drop(lease);
    assert_eq!(clients.known.borrow().len(), 0);
    assert!(enter(&Clients::new(&Limits { connections: 0, ..Limits::default() }), "192.0.2.1").is_some());
}
