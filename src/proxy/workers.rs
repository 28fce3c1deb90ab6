//! The threads of the data plane, seen from the control side.

use std::{collections::BTreeMap, io, net::SocketAddr, rc::Rc, sync::Arc, thread::JoinHandle};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot},
};

use super::{
    config::Config,
    health,
    listen::{self, Rivals},
    tls::{self, Terminator},
    upstream::Fleet,
    worker::{Command, Drained, Worker, run},
};
use crate::{
    model::HealthReport,
    route::Table,
    runtime::live::{Live, live},
    telemetry::{AccessLog, Metrics},
};

/// The running workers. Dropping it stops them without a drain.
#[derive(Debug)]
pub struct Workers {
    config: Arc<Config>,
    threads: Vec<Thread>,
    fleet: Arc<Fleet>,
    /// What was asked for, and what it became: port 0 becomes a port.
    open: BTreeMap<SocketAddr, SocketAddr>,
}

/// Tells which workers have died.
#[derive(Debug)]
pub struct Deaths(mpsc::UnboundedReceiver<usize>);

#[derive(Debug)]
struct Thread {
    commands: mpsc::UnboundedSender<Command>,
    handle: JoinHandle<()>,
}

/// Tells of a thread's end, however it comes about.
struct Death(usize, mpsc::UnboundedSender<usize>);

// === impl Workers ===

impl Workers {
    /// Starts the threads; they serve `table` on the sockets that [`Workers::open`] gives them.
    pub fn start(
        config: Config,
        table: &Live<Table>,
        metrics: &Metrics,
        access: Option<&AccessLog>,
    ) -> io::Result<(Self, Deaths)> {
        let config = Arc::new(config);
        let tickets = tls::tickets();
        let (died, deaths) = mpsc::unbounded_channel();
        let fleet = Arc::new(Fleet::new(config.workers.get()));
        let mut threads = Vec::with_capacity(config.workers.get());
        for number in 0..config.workers.get() {
            let runtime =
                move || Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            let (sender, commands) = mpsc::unbounded_channel();
            let (config, table, fleet) = (config.clone(), table.clone(), fleet.clone());
            let (metrics, access) = (metrics.clone(), access.cloned());
            let tickets = tickets.clone();
            let death = Death(number, died.clone());
            let work = move || {
                let _death = death;
                match runtime() {
                    Ok(runtime) => runtime.block_on(async {
                        let news = fleet.news();
                        let own = (fleet, Terminator::new(tickets));
                        let worker = Worker::new(number, config, &table, (&metrics, access), own);
                        run(Rc::new(worker), table, commands, news).await;
                    }),
                    Err(error) => tracing::error!(%error, "cannot start a worker's runtime"),
                }
            };
            let handle = std::thread::Builder::new().name(format!("proxy-{number}")).spawn(work)?;
            threads.push(Thread { commands: sender, handle });
        }
        Ok((Self { config, threads, fleet, open: BTreeMap::new() }, Deaths(deaths)))
    }

    /// Listens on these addresses, each by all workers or by none, and tells the real address of each: port 0 becomes
    /// one that is free. An address that is open already is left alone. Connections are found in the table by the
    /// address that was asked for.
    pub fn open(&mut self, addresses: &[SocketAddr]) -> BTreeMap<SocketAddr, io::Result<SocketAddr>> {
        addresses.iter().map(|address| (*address, self.open_one(*address))).collect()
    }

    fn open_one(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        if let Some(real) = self.open.get(&address) {
            return Ok(*real);
        }
        let is_port_ours = self.open.values().any(|real| real.port() == address.port());
        let rivals = if is_port_ours { Rivals::Ours } else { Rivals::Refuse };
        let (real, sockets) = listen::bind(address, self.config.workers, rivals)?;
        for (thread, socket) in self.threads.iter().zip(sockets) {
            thread.tell(Command::Open(address, socket));
        }
        self.open.insert(address, real);
        Ok(real)
    }

    /// Stops listening on these addresses; their connections finish what is under way.
    pub fn close(&mut self, addresses: &[SocketAddr]) {
        for address in addresses.iter().filter(|address| self.open.remove(address).is_some()) {
            for thread in &self.threads {
                thread.tell(Command::Close(*address));
            }
        }
    }

    /// What asks the endpoints of `table` whether they live, for all workers, until it is dropped; and what it finds
    /// out. It may run on any thread.
    pub fn watch(&self, table: Live<Table>) -> (impl Future<Output = ()> + Send + use<>, Live<HealthReport>) {
        let (publisher, reports) = live(HealthReport::default());
        (health::run(self.fleet.clone(), table, publisher), reports)
    }

    /// The open addresses as they were asked for, with the real ones.
    pub fn addresses(&self) -> &BTreeMap<SocketAddr, SocketAddr> {
        &self.open
    }

    /// Goes on accepting for the configured delay, then stops, lets work under way finish until the configured time is
    /// over, aborts the rest and ends the threads.
    pub async fn drain(self) -> Drained {
        tokio::time::sleep(self.config.drain_delay).await;
        let mut answers = Vec::new();
        for thread in &self.threads {
            let (sender, answer) = oneshot::channel();
            thread.tell(Command::Drain(self.config.drain_timeout, sender));
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
}

// === impl Deaths ===

impl Deaths {
    /// Waits until a worker has died, which none should, and gives its number. Safe to drop half-way.
    pub async fn next(&mut self) -> usize {
        match self.0.recv().await {
            Some(number) => number,
            None => std::future::pending().await,
        }
    }
}

// === impl Thread ===

impl Thread {
    fn tell(&self, command: Command) {
        // A dead worker hears nothing; `died` tells of it.
        let _ = self.commands.send(command);
    }
}

// === impl Death ===

impl Drop for Death {
    fn drop(&mut self) {
        // Nobody may be listening any more: then the end was asked for.
        let _ = self.1.send(self.0);
    }
}
