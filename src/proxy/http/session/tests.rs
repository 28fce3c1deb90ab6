//! Table tests of sessions: who is kept where, by what, and for how long.

use std::time::Duration;

use super::*;
use crate::{
    model::{Scheme, Timeouts},
    route::{Backend, Choice, Endpoint, Rule, Weighted},
};

fn endpoint(name: &str, address: &str) -> Endpoint {
    let address = Address::Tcp(address.parse().unwrap());
    Endpoint { address, scheme: Scheme::Http, weight: 1, name: name.into(), tls: None }
}

/// One backend reference for each list, with these weights.
fn rule(session: Session, backends: &[(u32, &[Endpoint])]) -> Rule {
    let choice = |(weight, endpoints): &(u32, &[Endpoint])| {
        let backend = Backend {
            name: "default/b".into(),
            endpoints: endpoints.to_vec(),
            policy: Arc::default(),
            reason: "".into(),
        };
        Choice::new(*weight, Target::Backend(Arc::new(backend)), Vec::new())
    };
    Rule {
        route: "default/r".into(),
        rule: "0".into(),
        filters: Vec::new(),
        backends: Weighted::new(backends.iter().map(choice).collect()),
        timeouts: Timeouts::default(),
        retry: None,
        session: Some(Arc::new(session)),
        mirrors: Vec::new(),
        auths: Vec::new(),
        invalid: None,
    }
}

fn cookie(lifetime: Option<u64>, is_permanent: bool) -> Session {
    let carrier = SessionCarrier::Cookie { name: "s".into(), path: "/p".into(), is_permanent };
    Session { carrier, lifetime: lifetime.map(Duration::from_secs) }
}

fn key() -> SessionKey {
    SessionKey::new(&[7; SessionKey::LENGTH])
}

fn headers(name: HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

/// What a client carries that was at the endpoint of this name, without attributes.
fn carried(sessions: &Sessions, name: &str, now: u64) -> HeaderMap {
    let id = key().id(&endpoint(name, "10.0.0.1:80"));
    let (_, value) = sessions.grant(id, now, "http").unwrap();
    let value = value.to_str().unwrap().split(';').next().unwrap().to_owned();
    match &sessions.policy.carrier {
        SessionCarrier::Cookie { .. } => headers(header::COOKIE, &format!("a=b; {value}; s=nonsense")),
        SessionCarrier::Header(name) => headers(name.clone(), &value),
    }
}

#[test]
fn a_client_comes_back_to_its_endpoint_by_cookie_or_header_also_at_another_address() {
    let endpoints = [endpoint("one", "10.0.0.1:80"), endpoint("two", "10.0.0.2:80")];
    let carrier = SessionCarrier::Header(HeaderName::from_static("x-session"));
    for session in [cookie(None, false), Session { carrier, lifetime: None }] {
        let sessions = Sessions::new(&key(), &rule(session.clone(), &[(1, &endpoints)])).unwrap();
        let two = carried(&sessions, "two", 0);
        assert_eq!(sessions.home_at(&two, 1).unwrap().address, endpoints[1].address);
        // After a restart and a new address.
        let moved = [endpoint("two", "10.9.9.9:80")];
        let later = Sessions::new(&key(), &rule(session.clone(), &[(1, &[]), (1, &moved)])).unwrap();
        assert_eq!(later.home_at(&two, 1), Some(&Home { choice: 1, address: moved[0].address.clone() }));
        let gone = Sessions::new(&key(), &rule(session.clone(), &[(1, &endpoints[..1])])).unwrap();
        assert_eq!(gone.home_at(&two, 1), None);
        let other = [endpoint("other", "10.0.0.3:80")];
        let unweighted =
            Sessions::new(&key(), &rule(session.clone(), &[(0, &endpoints), (1, &other)])).unwrap();
        let home = Home { choice: 0, address: endpoints[1].address.clone() };
        assert_eq!(unweighted.home_at(&two, 1), Some(&home), "a weight of 0 gets no new clients");
        let other_key = SessionKey::new(b"another");
        let stranger = Sessions::new(&other_key, &rule(session, &[(1, &endpoints)])).unwrap();
        assert_eq!(stranger.home_at(&two, 1), None);
    }
}

/// What a client carries from now on that is answered by this endpoint.
fn greeted(sessions: &Sessions, choice: usize, endpoint: &Endpoint) -> HeaderMap {
    let mut answer = HeaderMap::new();
    sessions.greet(None, (choice, &endpoint.address), "http", &mut answer);
    headers(header::COOKIE, answer[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap())
}

#[test]
fn endpoints_with_one_name_are_told_apart() {
    let hosts =
        [endpoint("web", "10.0.0.1:80"), endpoint("web", "10.0.0.2:80"), endpoint("web", "10.0.0.3:80")];
    let kept = |backends: &[(u32, &[Endpoint])]| {
        Sessions::new(&key(), &rule(cookie(None, false), backends)).unwrap()
    };
    let home = |choice, endpoint: &Endpoint| Home { choice, address: endpoint.address.clone() };
    let all = kept(&[(1, &hosts)]);
    for one in &hosts {
        assert_eq!(all.home_at(&greeted(&all, 0, one), 1), Some(&home(0, one)));
    }
    let second = greeted(&all, 0, &hosts[1]);
    let alone = kept(&[(1, &hosts[1..2])]);
    assert_eq!(alone.home_at(&second, 1), Some(&home(0, &hosts[1])), "the others are gone");
    let since = greeted(&alone, 0, &hosts[1]);
    let again = kept(&[(1, &hosts[1..])]);
    assert_eq!(again.home_at(&since, 1), Some(&home(0, &hosts[1])), "one more has come");
    // Twice the same, with other filters say.
    let twice = kept(&[(9, &hosts[..1]), (1, &hosts[..1])]);
    for choice in [0, 1] {
        assert_eq!(twice.home_at(&greeted(&twice, choice, &hosts[0]), 1), Some(&home(choice, &hosts[0])));
    }
    let off = kept(&[(0, &hosts[..1]), (1, &hosts[..1])]);
    assert_eq!(off.home_at(&carried(&off, "web", 0), 1), Some(&home(1, &hosts[0])), "the one with a weight");
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    let endpoints = [endpoint("one", "10.0.0.1:80")];
    let sessions = Sessions::new(&key(), &rule(cookie(Some(60), false), &[(1, &endpoints)])).unwrap();
    let carried_since_1000 = carried(&sessions, "one", 1000);
    for (now, is_home) in [(1000, true), (1059, true), (1060, false)] {
        assert_eq!(sessions.home_at(&carried_since_1000, now).is_some(), is_home, "{now}");
    }
    let endless = Sessions::new(&key(), &rule(cookie(None, false), &[(1, &endpoints)])).unwrap();
    assert_eq!(sessions.home_at(&carried(&endless, "one", 0), 1), None);
}

#[test]
fn a_client_cannot_put_off_the_end_of_its_session() {
    let endpoints = [endpoint("one", "10.0.0.1:80"), endpoint("two", "10.0.0.2:80")];
    let sessions = Sessions::new(&key(), &rule(cookie(Some(60), false), &[(1, &endpoints)])).unwrap();
    let home = |value: &str, now| sessions.home_at(&headers(header::COOKIE, value), now).is_some();
    let text = |sessions: &Sessions, name: &str| {
        let all = carried(sessions, name, 1000)[header::COOKIE].to_str().unwrap().to_owned();
        all.split("; ").find(|pair| pair.starts_with("s=")).unwrap().to_owned()
    };
    let (one, two) = (text(&sessions, "one"), text(&sessions, "two"));
    assert!(home(&one, 1059) && !home(&one, 1060));
    let [id, until, signature] = one.split('-').collect::<Vec<_>>()[..] else { panic!("{one}") };
    let other = two.rsplit('-').next().unwrap();
    for forged in [
        id.to_owned(),
        format!("{id}-ffffffffffffffff"),
        format!("{id}-{until}"),
        format!("{id}-ffffffffffffffff-{signature}"),
        format!("{id}-{until}-{other}"),
        format!("{id}-{until}-0"),
        format!("{id}-{until}-{signature}-"),
    ] {
        assert!(!home(&forged, 1001), "{forged}");
    }
    // Of another rule, which lets sessions last longer.
    let longer = Sessions::new(&key(), &rule(cookie(Some(600), false), &[(1, &endpoints)])).unwrap();
    assert!(!home(&text(&longer, "one"), 1001));
}

#[test]
fn a_cookie_says_no_more_than_it_must() {
    let endpoints = [endpoint("secret-name", "10.1.2.3:80")];
    for (session, scheme, expected) in [
        (cookie(None, false), "http", "; Path=/p; HttpOnly; SameSite=Lax"),
        (cookie(None, false), "https", "; Path=/p; HttpOnly; SameSite=Lax; Secure"),
        (cookie(Some(60), false), "http", "-3e-SIGNATURE; Path=/p; HttpOnly; SameSite=Lax"),
        (cookie(Some(60), true), "http", "-3e-SIGNATURE; Path=/p; HttpOnly; SameSite=Lax; Max-Age=60"),
    ] {
        let sessions = Sessions::new(&key(), &rule(session, &[(1, &endpoints)])).unwrap();
        let id = key().id(&endpoints[0]);
        let expected = expected.replace("SIGNATURE", &format!("{:016x}", key().end(id, 62).signature));
        let (name, value) = sessions.grant(id, 2, scheme).unwrap();
        let value = value.to_str().unwrap();
        assert_eq!(name, header::SET_COOKIE);
        assert!(value.starts_with("s=") && value.ends_with(&expected), "{value}");
        assert_eq!(value.len(), "s=".len() + 16 + expected.len(), "{value}");
    }
}

#[test]
fn nonsense_is_no_session() {
    let endpoints = [endpoint("one", "10.0.0.1:80")];
    let sessions = Sessions::new(&key(), &rule(cookie(None, false), &[(1, &endpoints)])).unwrap();
    for value in [
        "",
        "s",
        "s=",
        "s=+1",
        "s=zz",
        "s=-",
        "s=1-",
        "s=1-x",
        "s=1-1",
        "s=1-1-",
        "s=1-1-x",
        "s=11111111111111111",
        "=;;=",
        "s=0",
    ] {
        assert_eq!(sessions.home_at(&headers(header::COOKIE, value), 1), None, "{value}");
    }
}
