//! The threads of the data plane, seen from the control side.
//!
//! The sockets are kept here; a worker accepts on duplicates. So a worker that dies takes no waiting connection with it:
//! its successor finds them in the queues, and nothing is bound anew.

mod restarts;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{SocketAddr, TcpListener},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    thread::JoinHandle,
};

use rustls::server::ProducesTickets;
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot},
};

use super::{
    config::Config,
    failures, health,
    listen::{self, Bound, Rivals},
    tls::{self, Terminator},
    upstream::Fleet,
    worker::{Command, Drained, Farewell, Worker, run},
};
use crate::{
    model::{FailureReport, HealthReport},
    route::Table,
    runtime::{
        live::{Live, live},
        tasks,
    },
    telemetry::{AccessLog, Metrics},
};
pub use restarts::Restarts;

/// The running workers. Dropping it stops them without a drain.
pub struct Workers {
    seed: Seed,
    threads: Vec<Thread>,
    /// By the address that was asked for.
    open: BTreeMap<SocketAddr, Bound>,
    /// Not used yet.
    opened: Opened,
    /// A successor has duplicates of the sockets: it could not have those that are opened now.
    is_lent: bool,
}

/// Sockets that listen already, beside the workers that may accept on them.
#[derive(Debug, Default)]
pub struct Opened {
    /// Of a process and its successor: by the address that was asked for.
    pub by_address: BTreeMap<SocketAddr, Vec<TcpListener>>,
    /// Of a supervisor, who keeps them open whatever happens: so do we, for listeners that may come.
    pub activated: Vec<TcpListener>,
}

/// What is found out about endpoints.
#[derive(Clone, Debug)]
pub struct Findings {
    pub health: Live<HealthReport>,
    pub failures: Live<FailureReport>,
}

/// Tells which workers have died.
#[derive(Debug)]
pub struct Deaths(mpsc::UnboundedReceiver<Death>);

/// The end of a worker that nobody asked for. Its connections are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    pub worker: usize,
    pub cause: String,
}

/// What every worker begins with.
#[derive(Clone)]
struct Seed {
    config: Arc<Config>,
    table: Live<Table>,
    metrics: Metrics,
    access: Option<AccessLog>,
    tickets: Option<Arc<dyn ProducesTickets>>,
    fleet: Arc<Fleet>,
    died: mpsc::UnboundedSender<Death>,
}

#[derive(Debug)]
struct Thread {
    commands: mpsc::UnboundedSender<Command>,
    handle: JoinHandle<()>,
}

// === impl Workers ===

impl Workers {
    /// Starts the threads; they serve `table` on the sockets that [`Workers::open`] gives them.
    pub fn start(
        config: Config,
        table: &Live<Table>,
        metrics: &Metrics,
        access: Option<&AccessLog>,
    ) -> io::Result<(Self, Deaths)> {
        let (died, deaths) = mpsc::unbounded_channel();
        let seed = Seed {
            fleet: Arc::new(Fleet::new(config.workers.get())),
            config: Arc::new(config),
            table: table.clone(),
            metrics: metrics.clone(),
            access: access.cloned(),
            tickets: tls::tickets(),
            died,
        };
        let threads = (0..seed.config.workers.get()).map(|number| seed.clone().start(number));
        let threads = threads.collect::<io::Result<_>>()?;
        let workers =
            Self { seed, threads, open: BTreeMap::new(), opened: Opened::default(), is_lent: false };
        Ok((workers, Deaths(deaths)))
    }

    /// Starts a worker again that has died.
    pub fn revive(&mut self, worker: usize) -> io::Result<()> {
        let Some(thread) = self.threads.get_mut(worker) else { return Ok(()) };
        let fresh = self.seed.clone().start(worker)?;
        for (address, bound) in &self.open {
            fresh.accept(*address, bound.of(worker)?);
        }
        *thread = fresh;
        Ok(())
    }

    /// Listens on these addresses, each by all workers or by none, and tells the real address of each: port 0 becomes
    /// one that is free. An address that is open already is left alone. Connections are found in the table by the
    /// address that was asked for, and wait until it is there.
    pub fn open(&mut self, addresses: &[SocketAddr]) -> BTreeMap<SocketAddr, io::Result<SocketAddr>> {
        addresses.iter().map(|address| (*address, self.open_one(*address))).collect()
    }

    fn open_one(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        if let Some(bound) = self.open.get(&address) {
            return Ok(bound.real);
        }
        let bound = self.bind(address)?;
        let real = bound.real;
        let shares: Vec<_> =
            (0..self.threads.len()).map(|worker| bound.of(worker)).collect::<io::Result<_>>()?;
        for (thread, sockets) in self.threads.iter().zip(shares) {
            thread.accept(address, sockets);
        }
        self.open.insert(address, bound);
        Ok(real)
    }

    fn bind(&mut self, address: SocketAddr) -> io::Result<Bound> {
        let workers = self.seed.config.workers;
        let opened = if let Some(sockets) = self.opened.by_address.remove(&address) {
            sockets
        } else {
            let fitting = listen::fitting(&self.opened.activated, address).into_iter();
            fitting.map(TcpListener::try_clone).collect::<io::Result<_>>()?
        };
        if !opened.is_empty() {
            return Bound::adopt(opened, workers);
        }
        if self.is_lent {
            return Err(io::Error::other("another process is taking over; it is tried again if that fails"));
        }
        let ours = self.open.values().map(|bound| bound.real.port());
        let mut ours = ours.chain(self.opened.by_address.keys().map(SocketAddr::port));
        let rivals = if ours.any(|port| port == address.port()) { Rivals::Ours } else { Rivals::Refuse };
        listen::bind(address, workers, rivals)
    }

    /// Uses these sockets where their addresses are asked for, instead of binding.
    pub fn adopt(&mut self, opened: Opened) {
        self.opened = opened;
    }

    /// Endpoints, by backend, that another process has just found healthy: they serve until a check finds otherwise.
    pub fn vouch(&self, healthy: BTreeMap<Arc<str>, BTreeSet<String>>) {
        self.seed.fleet.vouch(healthy);
    }

    /// Closes what a predecessor had open and nobody has asked for; tells where that was.
    pub fn close_unused(&mut self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.opened.by_address).into_keys().collect()
    }

    /// The supervisor's sockets that nobody has asked for.
    pub fn unused(&self) -> Vec<SocketAddr> {
        let is_used = |real: &SocketAddr| self.open.values().any(|bound| bound.real == *real);
        let real = self.opened.activated.iter().filter_map(|socket| socket.local_addr().ok());
        real.filter(|real| !is_used(real)).collect()
    }

    /// Duplicates of all sockets, for a successor. Nothing else is opened until [`Workers::keep`].
    pub fn lend(&mut self) -> io::Result<Opened> {
        let by_address = self.open.iter().map(|(address, bound)| Ok((*address, bound.duplicates()?)));
        let activated = self.opened.activated.iter().map(TcpListener::try_clone);
        let lent = Opened {
            by_address: by_address.collect::<io::Result<_>>()?,
            activated: activated.collect::<io::Result<_>>()?,
        };
        self.is_lent = true;
        Ok(lent)
    }

    /// There is no successor after all.
    pub fn keep(&mut self) {
        self.is_lent = false;
    }

    /// Stops listening on these addresses; their connections finish what is under way.
    pub fn close(&mut self, addresses: &[SocketAddr]) {
        // Ours first: the workers close the last ones, after they have emptied the queues.
        for address in addresses.iter().filter(|address| self.open.remove(address).is_some()) {
            for thread in &self.threads {
                thread.tell(Command::Close(*address));
            }
        }
    }

    /// What asks the endpoints of `table` whether they live, for all workers, and collects what these find out, until it
    /// is dropped; and what comes of it. It may run on any thread.
    pub fn watch(&self, table: Live<Table>) -> (impl Future<Output = ()> + Send + use<>, Findings) {
        let (healths, health) = live(HealthReport::default());
        let (failed, failures) = live(FailureReport::default());
        let fleet = &self.seed.fleet;
        let checks = health::run(fleet.clone(), table, healths);
        let tells = failures::run(fleet.clone(), failed);
        // Neither ends.
        (async { ((), ()) = futures::join!(checks, tells) }, Findings { health, failures })
    }

    /// How many requests and tunnels are under way at these addresses, over all workers.
    pub fn under_way(
        &self,
        addresses: &Arc<BTreeSet<SocketAddr>>,
    ) -> impl Future<Output = u64> + Send + use<> {
        let ask = |thread: &Thread| {
            let (sender, answer) = oneshot::channel();
            thread.tell(Command::Count(addresses.clone(), sender));
            answer
        };
        let answers: Vec<_> = self.threads.iter().map(ask).collect();
        async {
            let mut sum = 0;
            for answer in answers {
                // A worker that has died has none.
                sum += answer.await.unwrap_or_default();
            }
            sum
        }
    }

    /// Goes on accepting for the configured delay, then stops, lets work under way finish until the configured time is
    /// over, aborts the rest and ends the threads.
    pub async fn drain(self) -> Drained {
        tokio::time::sleep(self.seed.config.drain_delay).await;
        self.end(Farewell::Closed).await
    }

    /// The same at once, after somebody else has begun to accept on the sockets: connections without a request may make
    /// a last one.
    pub async fn retire(self) -> Drained {
        self.end(Farewell::Told).await
    }

    async fn end(mut self, farewell: Farewell) -> Drained {
        self.open.clear();
        self.opened = Opened::default();
        let mut answers = Vec::new();
        for thread in &self.threads {
            let (sender, answer) = oneshot::channel();
            thread.tell(Command::Drain(farewell, self.seed.config.drain_timeout, sender));
            answers.push(answer);
        }
        let mut sum = Drained::default();
        for answer in answers {
            // A worker that has died has no connections left.
            let drained = answer.await.unwrap_or_default();
            sum.finished += drained.finished;
            sum.aborted += drained.aborted;
        }
        let handles: Vec<JoinHandle<()>> = self.threads.into_iter().map(|thread| thread.handle).collect();
        let join = move || handles.into_iter().for_each(|handle| drop(handle.join()));
        // Only a panic of the closure could fail it.
        let _ = tokio::task::spawn_blocking(join).await;
        sum
    }

    /// Makes a worker panic, outside of any connection.
    #[cfg(test)]
    pub(crate) fn kill(&self, worker: usize) {
        self.threads[worker].tell(Command::Panic);
    }
}

// === impl Seed ===

impl Seed {
    /// Starts the thread of a worker.
    fn start(self, number: usize) -> io::Result<Thread> {
        let (sender, commands) = mpsc::unbounded_channel();
        let work = move || {
            let died = self.died.clone();
            let end = catch_unwind(AssertUnwindSafe(|| self.work(number, commands)));
            let cause = match end {
                Ok(Ok(())) => return,
                Ok(Err(cause)) => cause,
                Err(panic) => tasks::words(&*panic),
            };
            // Nobody may be listening any more: then all of it ends.
            let _ = died.send(Death { worker: number, cause });
        };
        let handle = std::thread::Builder::new().name(format!("proxy-{number}")).spawn(work)?;
        Ok(Thread { commands: sender, handle })
    }

    /// Works until it is told to end; `Err` says why it has ended without that.
    fn work(self, number: usize, commands: mpsc::UnboundedReceiver<Command>) -> Result<(), String> {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let runtime = runtime.map_err(|error| format!("it has no runtime: {error}"))?;
        let Self { config, table, metrics, access, tickets, fleet, died: _ } = self;
        let work = async {
            let news = fleet.news();
            let own = (fleet, Terminator::new(tickets));
            let worker = Worker::new(number, config, &table, (&metrics, access), own);
            run(Rc::new(worker), table, commands, news).await
        };
        // What is left of its connections is dropped after the panic, not during it: one more would end the process.
        catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)))
            .unwrap_or_else(|panic| Err(tasks::words(&*panic)))
    }
}

// === impl Deaths ===

impl Deaths {
    /// Waits until a worker has died, which none should. Safe to drop half-way.
    pub async fn next(&mut self) -> Death {
        match self.0.recv().await {
            Some(death) => death,
            None => std::future::pending().await,
        }
    }
}

// === impl Thread ===

impl Thread {
    fn accept(&self, address: SocketAddr, sockets: Vec<TcpListener>) {
        for socket in sockets {
            self.tell(Command::Open(address, socket));
        }
    }

    fn tell(&self, command: Command) {
        // A dead worker hears nothing; `died` tells of it.
        let _ = self.commands.send(command);
    }
}
