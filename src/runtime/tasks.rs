//! The one place that starts tasks: each has a name and an owner, and is stopped when its owner is dropped.
//!
//! Why not bare spawns: a task that panics or returns early would leave a program that looks alive and does nothing.
//! Here its end is a value that the owner waits for; for a task that should run for ever it is a reason to shut down.

use std::{
    any::Any,
    fmt,
    future::Future,
    io,
    panic::{AssertUnwindSafe, resume_unwind},
    thread,
};

use futures::{FutureExt as _, future::LocalBoxFuture};
use tokio::{
    runtime::Builder,
    sync::oneshot,
    task::{JoinSet, spawn_blocking, spawn_local},
};
use tracing::Instrument as _;

/// Running tasks. Dropping it stops them all.
#[derive(Debug, Default)]
pub struct Tasks {
    running: JoinSet<Ended>,
    /// Those of tasks that have one of their own.
    threads: Vec<thread::JoinHandle<()>>,
}

/// A task that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub name: &'static str,
    pub end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Returned,
    /// With the panic's message.
    Panicked(String),
}

// === impl Tasks ===

impl Tasks {
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task in a span of its name.
    pub fn spawn(&mut self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let span = tracing::debug_span!("task", name);
        self.running.spawn(watch(name, future).instrument(span));
    }

    /// Starts a task on a thread of its own, which gives way to others where the processor is short: for what works long
    /// at a time and is not waited for by a request. An error means that there is no thread to be had.
    pub fn spawn_aside(
        &mut self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let cannot = |error| io::Error::other(format!("cannot start the thread of `{name}`: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let span = tracing::debug_span!("task", name);
        let task = watch(name, future).instrument(span);
        let work = move || {
            give_way(NICE);
            let ended = runtime.block_on(async {
                tokio::select! {
                    ended = task => Some(ended),
                    // Nobody wants to know any more.
                    _ = stopped => None,
                }
            });
            // Whoever owned the task may be gone.
            let _ = ended.map(|ended| tell.send(ended));
        };
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(work).map_err(cannot)?);
        self.running.spawn(async move {
            // Dropped with this task, which tells the thread.
            let _stop = stop;
            match told.await {
                Ok(ended) => ended,
                Err(_) => Ended { name, end: End::Panicked("its thread ended".to_owned()) },
            }
        });
        Ok(())
    }

    /// Starts a task on this thread, inside a `LocalSet`. It has no span: entering one at each poll would show. In a box:
    /// on its way into a task, and out of it at its end, a future is moved some times.
    pub fn spawn_local(&mut self, name: &'static str, future: LocalBoxFuture<'static, ()>) {
        self.running.spawn_local(watch(name, future));
    }

    /// Waits for the next task to end; pends for ever while there is none. Safe in a `select!`: nothing is lost when it
    /// is dropped half-way.
    pub async fn ended(&mut self) -> Ended {
        loop {
            match self.running.join_next().await {
                Some(Ok(ended)) => return ended,
                // Only `stop` aborts tasks, and their panics are caught.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// A task that is over already, if any.
    pub fn try_ended(&mut self) -> Option<Ended> {
        loop {
            if let Ok(ended) = self.running.try_join_next()? {
                return Some(ended);
            }
        }
    }

    pub fn len(&self) -> usize {
        self.running.len()
    }

    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Waits until every task has ended by itself, and returns those that panicked.
    pub async fn finish(&mut self) -> Vec<Ended> {
        let mut panicked = Vec::new();
        while !self.is_empty() {
            if let Some(Ok(ended)) = self.running.join_next().await
                && ended.end != End::Returned
            {
                panicked.push(ended);
            }
        }
        panicked
    }

    /// Stops every task where it is, and waits until all are dropped.
    pub async fn stop(&mut self) {
        self.running.shutdown().await;
        for thread in self.threads.drain(..) {
            // A panic of the task was caught and told.
            let _ = spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Starts a task on this thread, inside a `LocalSet`, whose end `tell` is told. Its owner is the thread: it is stopped
/// with that. For connections, which come and go too often to be kept in a set.
pub fn start_local(
    name: &'static str,
    future: LocalBoxFuture<'static, ()>,
    tell: impl FnOnce(Ended) + 'static,
) {
    drop(spawn_local(watch(name, future).map(tell)));
}

/// Gets about a third of what another thread gets.
const NICE: i32 = 5;
/// Gets what others leave.
const QUIET: i32 = 19;

/// Lets the other threads of this machine go before this one. What it starts does the same.
fn give_way(nice: i32) {
    // Without it, it is as it was.
    let _ = rustix::process::setpriority_process(None, nice);
}

/// Does work for which nobody waits on a thread that gets what others leave; blocks until it is done.
pub fn quietly<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let quiet = || {
        give_way(QUIET);
        work()
    };
    thread::scope(|scope| scope.spawn(quiet).join().unwrap_or_else(|panic| resume_unwind(panic)))
}

/// No `async fn`: that would have room for the future twice, as it came and as it is polled.
fn watch(name: &'static str, future: impl Future<Output = ()>) -> impl Future<Output = Ended> {
    // Whatever the future shared is not used after a panic: the owner shuts down, or the connection is gone.
    AssertUnwindSafe(future).catch_unwind().map(move |result| {
        let end = match result {
            Ok(()) => End::Returned,
            Err(panic) => End::Panicked(words(&*panic)),
        };
        Ended { name, end }
    })
}

/// What a panic said.
pub fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

// === impl Ended ===

/// ``task `discovery` panicked: …``, or ``task `discovery` ended early``.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.end {
            End::Returned => write!(f, "task `{}` ended early", self.name),
            End::Panicked(message) => write!(f, "task `{}` panicked: {message}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn an_early_end_and_a_panic_are_told_by_name() {
        let mut tasks = Tasks::new();
        tasks.spawn("short", async {});
        assert_eq!(tasks.ended().await.to_string(), "task `short` ended early");
        tasks.spawn("broken", async { panic!("at {}", "sea") });
        assert_eq!(tasks.ended().await.to_string(), "task `broken` panicked: at sea");
    }

    #[tokio::test]
    async fn a_task_aside_has_a_thread_that_ends_with_it() {
        let mut tasks = Tasks::new();
        let name = || thread::current().name().map(str::to_owned);
        let (tell, told) = oneshot::channel();
        let task = async move {
            let _ = tell.send((name(), rustix::process::getpriority_process(None)));
        };
        tasks.spawn_aside("aside", task).unwrap();
        let (thread, nice) = told.await.unwrap();
        assert_eq!(thread.as_deref(), Some("aside"));
        assert!(nice.unwrap() > rustix::process::getpriority_process(None).unwrap());
        assert_eq!(tasks.ended().await.to_string(), "task `aside` ended early");
        tasks.spawn_aside("broken", async { panic!("at sea") }).unwrap();
        assert_eq!(tasks.ended().await.to_string(), "task `broken` panicked: at sea");
        let held = Arc::new(());
        let kept = held.clone();
        let endless = async move {
            std::future::pending::<()>().await;
            drop(kept);
        };
        tasks.spawn_aside("endless", endless).unwrap();
        tasks.stop().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn a_local_task_needs_not_be_send() {
        let local = tokio::task::LocalSet::new();
        let mut tasks = Tasks::new();
        let shared = std::rc::Rc::new(std::cell::Cell::new(0));
        let seen = shared.clone();
        local
            .run_until(async {
                tasks.spawn_local("connection", Box::pin(async move { seen.set(1) }));
                assert_eq!(tasks.ended().await.end, End::Returned);
            })
            .await;
        assert_eq!(shared.get(), 1);
    }

    #[tokio::test]
    async fn stopping_drops_every_task() {
        let mut tasks = Tasks::new();
        let alive = Arc::new(());
        let held = alive.clone();
        tasks.spawn("endless", async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        tokio::task::yield_now().await;
        tasks.stop().await;
        assert_eq!((Arc::strong_count(&alive), tasks.is_empty()), (1, true));
    }

    #[tokio::test]
    async fn finishing_waits_for_all_and_keeps_the_panics() {
        let mut tasks = Tasks::new();
        tasks.spawn("good", async { tokio::task::yield_now().await });
        tasks.spawn("bad", async { panic!("lost") });
        let panicked = tasks.finish().await;
        assert_eq!(panicked, [Ended { name: "bad", end: End::Panicked("lost".to_owned()) }]);
        assert!(tasks.try_ended().is_none());
    }

    #[tokio::test]
    async fn without_tasks_nothing_ends() {
        assert!(Tasks::new().ended().now_or_never().is_none());
    }
}
