//! The thread's own work: commands, the tick, new tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures::future::LocalBoxFuture;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::yield_now,
    time::{Instant, MissedTickBehavior},
};

use super::Worker;
use crate::{
    proxy::connection::{self, Connection, SocketCounts, Trust, Word, preamble},
    route::Table,
    runtime::{
        live::Live,
        tasks::{self, End, Ended},
    },
};

/// What a worker is told.
pub(in crate::proxy) enum Command {
    /// Accept on this socket, which was bound for the address.
    Open(SocketAddr, std::net::TcpListener),
    /// Accept what waits in the queue, then no more; finish the connections that came by it.
    Close(SocketAddr),
    /// How many requests and tunnels are under way at these addresses?
    Count(Arc<BTreeSet<SocketAddr>>, oneshot::Sender<u64>),
    /// Stop accepting and finish; after the time is over, abort. The answer is how it went.
    Drain(Farewell, Duration, oneshot::Sender<Drained>),
    /// As a fault of ours would.
    #[cfg(test)]
    Panic,
}

/// How clients are told that they should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Farewell {
    /// Connections without a request are closed.
    Closed,
    /// They wait for one more request for a moment, and its answer says that it is the last: somebody else serves here
    /// already, and a client that is about to ask must not find its connection closed.
    Told,
}

/// How the connections ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// By themselves.
    pub finished: usize,
    /// Because the time was over.
    pub aborted: usize,
}

/// How often late connections are looked for. Short enough for a promise of seconds, long enough to cost nothing.
const TICK: Duration = Duration::from_millis(250);

/// The name of the tasks without which a worker is of no use.
const ACCEPT: &str = "accept";

/// How long a connection waits for its last request.
const LAST_REQUEST: Duration = Duration::from_secs(5);

/// Works until it has drained, or nobody can tell it anything any more. `Err` says why it cannot go on before that.
pub(in crate::proxy) async fn run(
    worker: Rc<Worker>,
    mut table: Live<Table>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    mut news: watch::Receiver<u64>,
) -> Result<(), String> {
    // Dropping a sender closes that listener.
    let mut listeners: BTreeMap<SocketAddr, Vec<oneshot::Sender<()>>> = BTreeMap::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swept = true;
    loop {
        // Each arm loses nothing when another one is taken: all of them can be asked again.
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Open(address, socket)) => {
                    let (close, closed) = oneshot::channel();
                    match TcpListener::from_std(socket) {
                        Ok(listener) => {
                            let accepting = accept(worker.clone(), address, listener, closed);
                            worker.tasks.borrow_mut().spawn_local(ACCEPT, Box::pin(accepting));
                            listeners.entry(address).or_default().push(close);
                        }
                        Err(error) => tracing::error!(%address, %error, "cannot accept on a socket"),
                    }
                }
                Some(Command::Close(address)) => {
                    listeners.remove(&address);
                    worker.tell(Word::Finish, |connection| connection.socket == address);
                }
                Some(Command::Count(addresses, answer)) => {
                    // Whoever asked may be gone.
                    let _ = answer.send(worker.upstreams.visits(&addresses));
                }
                Some(Command::Drain(farewell, time, answer)) => {
                    listeners.clear();
                    // The caller may be gone; draining is still right.
                    let _ = answer.send(worker.drain(farewell, time).await);
                    return Ok(());
                }
                #[cfg(test)]
                Some(Command::Panic) => panic!("lost at sea"),
                None => return Ok(()),
            },
            () = table.changed() => {
                worker.adopt();
                worker.upstreams.give_up(&table.load());
                worker.changed.notify_waiters();
                swept = false;
            }
            () = worker.upstreams.stirred() => worker.upstreams.close_stirred(),
            Ok(()) = news.changed() => worker.changed.notify_waiters(),
            _ = tick.tick() => {
                worker.tick();
                if let Some(fault) = worker.fault.take() {
                    return Err(fault);
                }
                if !swept {
                    swept = true;
                    worker.upstreams.sweep(&table.load());
                    worker.budgets.sweep();
                    worker.terminator.sweep(&table.load());
                }
            }
        }
    }
}

async fn accept(
    worker: Rc<Worker>,
    address: SocketAddr,
    listener: TcpListener,
    closed: oneshot::Receiver<()>,
) {
    const BACKOFF: Duration = Duration::from_millis(100);
    let counts = Rc::new(worker.socket_counts(&address));
    let mut closed = pin!(closed);
    // Whoever comes before the table has the address waits in the queue; it would be told that nothing is here.
    tokio::select! {
        biased;
        _ = &mut closed => {}
        () = worker.knows(&address) => {}
    }
    let mut is_failing = false;
    loop {
        worker.has_room().await;
        // Accepting loses nothing when it is dropped half-way.
        let accepted = tokio::select! {
            biased;
            _ = &mut closed => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_failing = false;
                worker.serve(stream, peer, address, &counts);
            }
            Err(error) => {
                if !is_failing {
                    tracing::warn!(%address, %error, "cannot accept connections; trying again until it works");
                }
                is_failing = true;
                tokio::time::sleep(BACKOFF).await;
            }
        }
    }
    // Who has connected already is served; the kernel would reset them.
    while let Some(Ok((stream, peer))) = futures::FutureExt::now_or_never(listener.accept()) {
        worker.serve(stream, peer, address, &counts);
        if !worker.is_leaving() {
            worker.tell(Word::Finish, |connection| connection.socket == address);
        }
    }
}

// === impl Worker ===

impl Worker {
    /// Serves a connection, if its client may have one more.
    fn serve(
        self: &Rc<Self>,
        stream: tokio::net::TcpStream,
        peer: SocketAddr,
        socket: SocketAddr,
        counts: &Rc<SocketCounts>,
    ) {
        /// Takes the connection off the list however its task ends.
        struct Listed(Rc<Worker>, u64);
        impl Drop for Listed {
            fn drop(&mut self) {
                self.0.connections.borrow_mut().remove(&self.1);
                self.0.left.notify_waiters();
            }
        }
        let connection = Rc::new(Connection::new(self, peer, socket, counts.clone()));
        if self.admit(&connection).is_none() {
            return;
        }
        let number = self.arrivals.get();
        self.arrivals.set(number + 1);
        self.connections.borrow_mut().insert(number, connection.clone());
        let listed = Listed(self.clone(), number);
        let worker = self.clone();
        self.start(Box::pin(async move {
            let _listed = listed;
            let (mut stream, mut connection) = (stream, connection);
            if worker.config.proxy_protocol.contains(&socket.port()) {
                match worker.introduce(number, connection, &mut stream).await {
                    Some(introduced) => connection = introduced,
                    None => return,
                }
            }
            connection::serve(worker, connection, stream).await;
        }));
    }

    /// Serves a connection in a task of its own.
    fn start(self: &Rc<Self>, serving: LocalBoxFuture<'static, ()>) {
        let worker = self.clone();
        tasks::start_local("connection", serving, move |ended| worker.note(&ended));
    }

    /// Gives the connection its place among those of its client; `None` where that has as many as it may. A trusted proxy
    /// stands for many clients, and is not counted.
    fn admit(&self, connection: &Connection) -> Option<()> {
        if connection.trust == Trust::Untrusted {
            let Some(guest) = self.clients.enter(connection.peer) else {
                self.metrics.limits("connections_per_client").add(1);
                return None;
            };
            // Nobody has set it before.
            let _ = connection.guest.set(guest);
        }
        Some(())
    }

    /// The connection in the name of the client that its first bytes tell of; `None` where that is refused.
    async fn introduce(
        &self,
        number: u64,
        sender: Rc<Connection>,
        stream: &mut tokio::net::TcpStream,
    ) -> Option<Rc<Connection>> {
        match preamble::client(&sender, stream).await {
            Ok(None) => {
                // Whoever sends bytes on does not read them: what they say of the client is anybody's word.
                let unnamed = Rc::new(sender.unnamed(self));
                self.connections.borrow_mut().insert(number, unnamed.clone());
                Some(unnamed)
            }
            Ok(Some(client)) => {
                let client = Rc::new(Connection::new(self, client, sender.socket, sender.counts.clone()));
                self.admit(&client)?;
                self.connections.borrow_mut().insert(number, client.clone());
                Some(client)
            }
            Err(refused) => {
                tracing::debug!(peer = %sender.peer, socket = %sender.socket, %refused, "a connection was closed");
                self.metrics.unintroduced(refused.word()).add(1);
                None
            }
        }
    }

    /// Takes note of a task that has ended. Says whether there was one.
    fn reap(&self, tasks: &mut crate::runtime::Tasks) -> Option<()> {
        self.note(&tasks.try_ended()?);
        Some(())
    }

    fn note(&self, ended: &Ended) {
        if let End::Panicked(words) = &ended.end {
            self.metrics.panics().add(1);
            if ended.name == ACCEPT {
                self.fault.replace(Some(words.clone()));
                return;
            }
            tracing::error!("a connection was lost to a fault of Portolan's own: {ended}; please report it");
        }
    }

    /// Waits until the table has an address.
    async fn knows(&self, address: &SocketAddr) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.table.load().socket(address).is_some() {
                return;
            }
            changed.await;
        }
    }

    async fn has_room(&self) {
        if self.connections.borrow().len() >= self.config.limits.connections {
            self.metrics.limits("connections").add(1);
        }
        while self.connections.borrow().len() >= self.config.limits.connections {
            self.left.notified().await;
        }
    }

    fn tell(&self, word: Word, whom: impl Fn(&Connection) -> bool) {
        for connection in self.connections.borrow().values().filter(|connection| whom(connection)) {
            connection.tell(word);
        }
    }

    fn tick(&self) {
        let now = Instant::now();
        self.now.set(now);
        self.date.borrow_mut().refresh();
        let limits = &self.config.limits;
        for connection in self.connections.borrow().values() {
            if let Some((word, limit)) = connection.late(now, limits) {
                if word == Word::Abort {
                    self.metrics.limits(limit).add(1);
                }
                connection.tell(word);
            }
        }
        self.cache.borrow_mut().sweep();
        self.upstreams.expire(now, limits);
        self.upstreams.tell();
        let mut tasks = self.tasks.borrow_mut();
        while self.reap(&mut tasks).is_some() {}
        drop(tasks);
        while let Some(ended) = self.upstreams.try_ended() {
            self.note(&ended);
        }
        if let Some(access) = &self.access {
            access.borrow_mut().flush();
        }
    }

    async fn drain(&self, farewell: Farewell, time: Duration) -> Drained {
        self.is_leaving.set(farewell == Farewell::Told);
        // Accept loops that were just told take what waits in their queues first.
        yield_now().await;
        let all = self.connections.borrow().len();
        let until = Instant::now() + time;
        if farewell == Farewell::Told {
            // HTTP/2 has a word for it that loses no request.
            self.tell(Word::Finish, Connection::is_http2);
            let _ = tokio::time::timeout(LAST_REQUEST.min(time), self.empty()).await;
        }
        self.tell(Word::Finish, |_| true);
        if tokio::time::timeout_at(until, self.empty()).await.is_ok() {
            return Drained { finished: all, aborted: 0 };
        }
        let aborted = self.connections.borrow().len();
        self.tell(Word::Abort, |_| true);
        // Whoever does not hear even this is dropped with the thread.
        let _ = tokio::time::timeout(TICK, self.empty()).await;
        Drained { finished: all.saturating_sub(aborted), aborted }
    }

    async fn empty(&self) {
        let mut tick = tokio::time::interval(TICK);
        while !self.connections.borrow().is_empty() {
            // A tunnel's end and a late client's are found by the tick as before.
            tokio::select! {
                () = self.left.notified() => {}
                _ = tick.tick() => self.tick(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
