//! The proxy itself is replaced, in place, under load.

use std::{net::TcpListener, os::unix::net::UnixDatagram, process::Command, time::Duration};

use super::load::{Load, WILLING};
use crate::{
    serving::{
        TO_A,
        life::{WEBSOCKET, echoes},
    },
    support::{
        backend::Backend,
        http::Connection,
        manifest, output,
        portolan::{Builder, Documents, Portolan},
        scratch, wait,
    },
};

const HOST: &str = "shop.test";
/// Nothing waits for anything while the proxy is replaced.
const QUICK: Duration = Duration::from_secs(5);

/// A backend, and documents that send everything to it.
struct Shop {
    backend: Backend,
    documents: Documents,
}

/// A process that the test has not started itself.
struct Stranger(u32);

// === impl Shop ===

impl Shop {
    fn new() -> Self {
        let (backend, documents) = (Backend::start("a"), Documents::new());
        let text = manifest::backend("a", backend.address) + &manifest::route("shop", HOST, TO_A);
        documents.write("shop.yaml", &text);
        Self { backend, documents }
    }

    fn builder(&self) -> Builder {
        Portolan::builder().config(self.documents.path())
    }

    /// One that is to take over from another.
    fn successor(&self, of: &Portolan) -> Builder {
        self.builder().beside(of).arguments(["--take-over"])
    }
}

// === impl Stranger ===

impl Drop for Stranger {
    fn drop(&mut self) {
        let process = self.0.to_string();
        let _ = output(Command::new("sh").args(["-c", "kill -s KILL \"$0\"", &process]));
    }
}

#[track_caller]
fn load_on(portolan: &Portolan) -> Load {
    let load = Load::start(portolan.http, HOST, &WILLING);
    load.reaches("a");
    load
}

#[track_caller]
fn takes_over(portolan: &mut Portolan) {
    portolan
        .process
        .line("it has taken over", |line| line.contains("the other process drains").then_some(()));
}

#[test]
fn twenty_upgrades_under_load_refuse_and_fail_no_request() {
    let shop = Shop::new();
    let mut portolan = shop.builder().arguments(["--workers", "2"]).start();
    let load = load_on(&portolan);
    for round in 0..20 {
        // More workers than before, and fewer.
        let workers = ["1", "3", "2"][round % 3];
        let mut next = shop.successor(&portolan).arguments(["--workers", workers]).start_unready();
        takes_over(&mut next);
        load.goes_on();
        wait::eventually(wait::SOON, "`/readyz` answers 200", || {
            let answer = next.admin("/readyz").map_err(|error| error.to_string())?;
            wait::check(answer, |answer| answer.status == 200, ToString::to_string)
        });
        let status = portolan.process.wait(wait::SOON);
        assert_eq!(status.code(), Some(0), "{}", portolan.log());
        portolan = next;
    }
    load.ends(QUICK);
    // The last one owns the state.
    assert!(portolan.state_dir().join("handover.sock").exists());
    wait::eventually(wait::SOON, "the documents are kept", || {
        wait::check(portolan.state_dir().join("documents.json").exists(), |is| *is, bool::to_string)
    });
}

#[test]
fn what_is_under_way_lives_on_in_the_old_process() {
    let shop = Shop::new();
    let mut old = shop.builder().start();
    let mut socket = old.connect();
    assert_eq!(socket.ask(WEBSOCKET).unwrap().status, 101);
    let mut slow = old.connect();
    slow.send(format!("GET /slow?ms=1500 HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).unwrap();
    wait::eventually(wait::SOON, "the request has begun", || {
        wait::check(shop.backend.count(), |count| *count == 2, u64::to_string)
    });
    let mut new = shop.successor(&old).start_unready();
    takes_over(&mut new);
    echoes(&mut socket, "after");
    assert_eq!(slow.response("GET").unwrap().status, 200);
    assert_eq!(new.get(HOST, "/").unwrap().status, 200);
    assert!(old.process.exited().is_none(), "it waits for the socket");
    echoes(&mut socket, "still");
    drop(socket);
    assert_eq!(old.process.wait(wait::SOON).code(), Some(0));
}

#[test]
fn a_successor_that_fails_changes_nothing() {
    let shop = Shop::new();
    let mut old = shop.builder().start();
    let load = load_on(&old);

    let mut bad = shop.successor(&old).arguments(["--access-log-path", "/proc/no/such"]).start_unready();
    assert_eq!(bad.process.wait(wait::SOON).code(), Some(2), "{}", bad.log());
    load.goes_on();

    // An engine that accepts and says nothing: the first table waits for it, and the process is killed before.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let engine = format!("tcp://{}", silent.local_addr().unwrap());
    let mut hangs = shop.successor(&old).docker(engine).start_unready();
    hangs.process.line("it has the sockets", |line| line.contains("taking over").then_some(()));
    hangs.kill();
    let fails = |line: &str| line.contains("this one goes on: it has ended").then_some(());
    old.process.line("the old process tells of it", fails);
    load.goes_on();
    assert_eq!(old.admin("/readyz").unwrap().status, 200);

    // It can open what is new, and be replaced.
    shop.documents.write("more.yaml", &manifest::simple("more", "more.test", "a"));
    old.reaches("more.test", "/", "a");
    let mut good = shop.successor(&old).start_unready();
    takes_over(&mut good);
    load.goes_on();
    assert_eq!(old.process.wait(wait::SOON).code(), Some(0));
    load.ends(QUICK);
}

#[test]
fn with_nobody_there_take_over_is_an_ordinary_start() {
    let shop = Shop::new();
    let portolan = shop.builder().arguments(["--take-over"]).start();
    assert_eq!(portolan.get(HOST, "/").unwrap().status, 200);
    assert!(portolan.log().contains("nobody to take over from"), "{}", portolan.log());
}

#[test]
fn sigusr2_starts_the_program_anew_and_the_supervisor_follows() {
    let shop = Shop::new();
    let folder = scratch();
    let notify = folder.path().join("notify");
    let heard = UnixDatagram::bind(&notify).unwrap();
    heard.set_read_timeout(Some(wait::SOON)).unwrap();
    let next = || {
        let mut words = [0; 200];
        let length = heard.recv(&mut words).unwrap();
        String::from_utf8_lossy(&words[..length]).into_owned()
    };
    let mut portolan = shop.builder().environment("NOTIFY_SOCKET", notify.to_str().unwrap()).start();
    let first = portolan.process.id();
    assert!(next().contains(&format!("READY=1\nMAINPID={first}\n")));
    let load = load_on(&portolan);

    portolan.process.signal("USR2");
    let second = next();
    let (_, process) = second.split_once("MAINPID=").unwrap();
    let second = Stranger(process.lines().next().unwrap().parse().unwrap());
    assert_ne!(second.0, first);
    let other = next();
    assert!(other.contains(&format!("MAINPID={}\n", second.0)), "{other}");
    assert_eq!(portolan.process.wait(wait::SOON).code(), Some(0), "{}", portolan.log());
    load.goes_on();
    load.ends(QUICK);
    assert_eq!(portolan.admin("/readyz").unwrap().status, 200, "the second one answers");
}

#[test]
fn a_supervisors_socket_keeps_those_who_come_while_nobody_serves() {
    let shop = Shop::new();
    let builder = shop.builder();
    let listener = TcpListener::bind((builder.address(), 8080)).unwrap();
    let mut first = builder.socket(listener.try_clone().unwrap()).arguments(["--workers", "3"]).start();
    for _ in 0..10 {
        assert_eq!(first.get(HOST, "/").unwrap().status, 200);
    }
    first.process.signal("TERM");
    assert_eq!(first.process.wait(wait::SOON).code(), Some(0));
    let mut waiting = Connection::open(first.http).unwrap();
    waiting.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).unwrap();
    let mut second = shop.builder().after(first).socket(listener.try_clone().unwrap()).start();
    assert_eq!(waiting.response("GET").unwrap().status, 200);

    // An upgrade hands it on.
    let mut third = shop.successor(&second).start_unready();
    takes_over(&mut third);
    assert_eq!(second.process.wait(wait::SOON).code(), Some(0));
    assert_eq!(third.get(HOST, "/").unwrap().status, 200);
    assert_eq!(third.stop().code(), Some(0));
    assert!(Connection::open(listener.local_addr().unwrap()).is_ok(), "it is the supervisor's");
}
