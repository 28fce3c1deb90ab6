//! What it takes while nothing is asked of it.

use super::TO_A;
use crate::support::{
    authority::Authority,
    backend::Backend,
    http::Connection,
    manifest,
    portolan::{Documents, Portolan},
    wait,
};

#[test]
fn documents_leave_little_behind_once_they_are_read() {
    // For what they say. To keep the means of explaining what is wrong with others took three megabytes.
    const MOST: u64 = 2_000;
    let (a, documents, authority) = (Backend::start("a"), Documents::new(), Authority::new());
    let portolan = Portolan::builder().config(documents.path()).arguments(["--workers", "1"]).start();
    let before = portolan.memory("RssAnon");
    let route = manifest::backend("a", a.address) + &manifest::route("shop", "shop.test", TO_A);
    documents.write("shop.yaml", &(route + "---\n" + &authority.certify("shop.test").secret("web")));
    wait::eventually(wait::SOON, "a handshake for `shop.test`", || {
        Connection::open_tls(portolan.https, "shop.test", &authority.client(None))
    });
    portolan.reaches("shop.test", "/", "a");
    let after = portolan.memory("RssAnon");
    assert!(after < before + MOST, "{before} kB, then {after} kB");
}
