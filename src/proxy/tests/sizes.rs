//! What a connection and a request cost in memory before they have done anything: futures are moved as a whole.

use super::super::{connection, http};

fn size_of_result<A, B, C, D, R>(_: impl Fn(A, B, C, D) -> R) -> usize {
    size_of::<R>()
}

fn size_of_result_of_three<A, B, C, R>(_: impl Fn(A, B, C) -> R) -> usize {
    size_of::<R>()
}

#[test]
fn a_connection_and_a_request_are_small() {
    let (serve, answer) = (size_of_result_of_three(connection::serve), size_of_result(http::answer));
    assert!(serve < 5 << 10, "{serve} bytes for each connection, with the request that it answers");
    assert!(answer <= 4 << 10, "{answer} bytes for each request");
}
