//! An engine that is not there at the start, or is elsewhere.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::symlink, net::UnixStream},
    path::PathBuf,
    thread,
};

use super::{CONVERGED, connected, host, ready_with, source, within};
use crate::support::{
    engine::Engine,
    manifest,
    portolan::{Documents, Portolan},
    private_engine::PrivateEngine,
    scratch,
    socket_proxy::{Mode, SocketProxy},
    wait,
};

#[test]
fn a_restart_without_an_engine_serves_what_was_known_and_says_so() {
    let Some(engine) = Engine::local() else { return };
    let proxy = SocketProxy::start(&engine);
    let kept = engine.container("kept").port(8080).start();
    let mut first = Portolan::builder().docker(proxy.url()).start();
    first.reaches(&host(&kept.name), "/", &kept.name);
    let state = first.state_dir().join("workloads.json");
    wait::eventually(wait::SOON, "the state is on disk", || {
        let text = fs::read_to_string(&state).map_err(|error| error.to_string())?;
        wait::check(text, |text| text.contains(&kept.name), String::clone)
    });
    first.kill();
    proxy.mode(Mode::Refuse);
    let second = Portolan::builder()
        .docker(proxy.url())
        .arguments(["--hold", "0s", "--removal-delay", "0s"])
        .after(first)
        .start();
    let answer = second.reaches(&host(&kept.name), "/", &kept.name);
    assert_eq!(answer.status, 200);
    connected(&second, false);
    ready_with(&second, "source `docker` is lost since");
    let containers = second.shows(&["get", "containers"]);
    assert!(containers.contains(&kept.name), "{containers}");
    assert!(containers.contains("source `docker` is lost since"), "`get` says that it is old:\n{containers}");
    // What is not so any more is put right when the engine is back.
    kept.docker("rm --force");
    let late = engine.container("late").port(8080).start();
    proxy.mode(Mode::Pass);
    second.reaches(&host(&late.name), "/", &late.name);
    second.says(&host(&kept.name), "/", 404);
    let containers = second.shows(&["get", "containers"]);
    assert!(!containers.contains("is lost"), "{containers}");
}

#[test]
fn a_state_that_cannot_be_read_is_told_and_does_no_harm() {
    let (documents, folder) = (Documents::new(), scratch());
    documents.write("gateway.yaml", &manifest::simple("r", "r.test", "missing"));
    let url = format!("unix://{}", folder.path().join("none.sock").display());
    let mut first = Portolan::builder().docker(&url).start_unready();
    wait::eventually(wait::SOON, "it runs", || first.admin("/healthz"));
    first.kill();
    fs::write(first.state_dir().join("workloads.json"), "{\"version\": 1, \"workl").unwrap();
    let second = Portolan::builder().docker(&url).config(documents.path()).after(first).start();
    second.says("r.test", "/", 500);
    assert!(second.log().contains("workloads.json"), "{}", second.log());
}

#[test]
fn an_engine_that_appears_later_is_found() {
    let Some(engine) = Engine::local() else { return };
    let folder = scratch();
    let socket = folder.path().join("docker.sock");
    let web = engine.container("web").port(8080).start();
    let portolan = Portolan::builder().docker(format!("unix://{}", socket.display())).start();
    connected(&portolan, false);
    ready_with(&portolan, "source `docker` is lost");
    let message = source(&portolan)["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("docker.sock"), "the socket is named: {message}");
    assert_eq!(portolan.get(&host(&web.name), "/").unwrap().status, 404);
    symlink(engine.socket(), &socket).unwrap();
    let begun = wait::now();
    portolan.reaches(&host(&web.name), "/", &web.name);
    within(CONVERGED, "an engine that appeared is followed", begun.elapsed());
    connected(&portolan, true);
}

#[test]
fn documents_are_served_while_the_engine_never_answers() {
    let (documents, a) = (Documents::new(), crate::support::backend::Backend::start("a"));
    documents
        .write("all.yaml", &(manifest::backend("a", a.address) + &manifest::simple("r", "one.test", "a")));
    // It takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", silent.local_addr().unwrap());
    let portolan = Portolan::builder().docker(url).config(documents.path()).start();
    portolan.reaches("one.test", "/", "a");
    connected(&portolan, false);
}

#[test]
fn an_engine_is_reached_over_tcp() {
    let Some(engine) = Engine::local() else { return };
    let address = over_tcp(engine.socket().to_owned());
    let web = engine.container("web").port(8080).start();
    let portolan = Portolan::builder().docker(format!("tcp://{address}")).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
    let late = engine.container("late").port(8080).start();
    portolan.reaches(&host(&late.name), "/", &late.name);
    let message = source(&portolan)["message"].to_string();
    assert!(message.contains(&address.to_string()), "{message}");
}

/// The engine's socket on a TCP port, until the test process ends.
fn over_tcp(socket: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = UnixStream::connect(&socket) else { return };
            let (up, down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || pump(up, server));
            thread::spawn(move || pump(down, client));
        }
    });
    address
}

fn pump(mut from: impl Read, mut to: impl Write + Closes) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    to.close();
}

trait Closes {
    fn close(&self);
}

impl Closes for TcpStream {
    fn close(&self) {
        let _ = self.shutdown(std::net::Shutdown::Write);
    }
}

impl Closes for UnixStream {
    fn close(&self) {
        let _ = self.shutdown(std::net::Shutdown::Write);
    }
}

#[test]
fn an_engine_behind_tls_is_followed_and_one_of_another_authority_is_not() {
    let Some((private, url, certificates)) = PrivateEngine::start_with_tls() else { return };
    let engine = &private.engine;
    let web = engine.container("web").port(8080).start();
    let cert_path = certificates.to_str().unwrap();
    let arguments = ["--docker-cert-path", cert_path];
    let portolan = Portolan::builder().docker(&url).arguments(arguments).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
    let late = engine.container("late").port(8080).start();
    portolan.reaches(&host(&late.name), "/", &late.name);

    // The same engine, for a client that trusts somebody else.
    let other = scratch();
    for name in ["cert.pem", "key.pem"] {
        fs::copy(certificates.join(name), other.path().join(name)).unwrap();
    }
    fs::copy(certificates.join("cert.pem"), other.path().join("ca.pem")).unwrap();
    let arguments = ["--docker-cert-path", other.path().to_str().unwrap()];
    let refused = Portolan::builder().docker(&url).arguments(arguments).start_unready();
    connected(&refused, false);
    assert!(source(&refused)["message"].as_str().is_some_and(|message| !message.is_empty()));
}
