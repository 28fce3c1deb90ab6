//! The thread's own work, without another thread.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::{Builder, LocalOptions},
};

use super::*;
use crate::{
    proxy::{
        Config,
        tests::{prefix_match, rule, table_on},
        tls::Terminator,
    },
    route::Target,
    runtime::live::live,
    telemetry::Metrics,
};

#[test]
fn a_panic_costs_its_connection_and_is_counted() {
    let metrics = Metrics::new();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let config = Arc::new(Config::default());
        let table = live(Table::default()).1;
        let own = (Arc::default(), Terminator::new(None));
        let worker = Rc::new(Worker::new(0, config, &table, (&metrics, None), own));
        worker.start(Box::pin(async { panic!("lost at sea") }));
        while Rc::strong_count(&worker) > 1 {
            yield_now().await;
        }
    });
    assert!(metrics.render().contains("portolan_panics_total 1"));
}

#[test]
fn a_worker_that_cannot_accept_any_more_ends() {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    let end = runtime.block_on(async {
        let table = live(Table::default()).1;
        let own = (Arc::default(), Terminator::new(None));
        let worker = Worker::new(0, Arc::default(), &table, (&Metrics::new(), None), own);
        worker.tasks.borrow_mut().spawn_local(ACCEPT, Box::pin(async { panic!("lost at sea") }));
        let (_commands, heard) = mpsc::unbounded_channel();
        let news = watch::channel(0).1;
        run(Rc::new(worker), table, heard, news).await
    });
    assert_eq!(end, Err("lost at sea".to_owned()));
}

/// The first line of the answer to a request on this connection.
async fn status_line(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.contains(&b'\n') {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "closed without an answer");
    }
    String::from_utf8(read).unwrap().lines().next().unwrap().to_owned()
}

async fn ask(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    stream
}

#[test]
fn who_comes_before_the_table_has_the_address_is_accepted_when_it_has() {
    let bind = || {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        (socket.local_addr().unwrap(), socket)
    };
    let ((early, early_socket), (known, known_socket)) = (bind(), bind());
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let (mut publisher, table) = live(table_on(vec![known], Vec::new()));
        let own = (Arc::default(), Terminator::new(None));
        let worker = Rc::new(Worker::new(0, Arc::default(), &table, (&Metrics::new(), None), own));
        let (commands, heard) = mpsc::unbounded_channel();
        let (_news, news) = watch::channel(0);
        let working = run(worker.clone(), table, heard, news);
        commands.send(Command::Open(early, early_socket)).unwrap_or_else(|_| panic!("nobody hears"));
        commands.send(Command::Open(known, known_socket)).unwrap_or_else(|_| panic!("nobody hears"));
        let clients = async {
            let mut waiting = ask(early).await;
            // Whoever comes later at an address that is known has an answer: there was time to accept the first one.
            assert_eq!(status_line(&mut ask(known).await).await, "HTTP/1.1 404 Not Found");
            let is_early = |connection: &Rc<Connection>| connection.socket == early;
            assert!(!worker.connections.borrow().values().any(is_early), "it waits in the queue");
            let matches = [prefix_match("/")];
            let invalid = Arc::new(rule(Target::Invalid("it leads nowhere".into())));
            publisher.publish(table_on(vec![early, known], vec![(&matches, invalid)]));
            assert_eq!(status_line(&mut waiting).await, "HTTP/1.1 500 Internal Server Error");
        };
        tokio::select! {
            end = working => panic!("it has ended: {end:?}"),
            () = clients => {}
        }
    });
}
