//! Futures that live and die with the one that polls them: for what a library wants to start on its own.
//!
//! Why not tasks: what a connection has started must not outlive it, and there is nobody else to tell of its end.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use futures::{StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};

/// The futures. Dropping it drops them all.
#[derive(Default)]
pub struct Nest {
    inbox: Rc<Inbox>,
    running: FuturesUnordered<LocalBoxFuture<'static, ()>>,
}

/// Adds to a [`Nest`], also from within its futures.
#[derive(Clone)]
pub struct Starter(Rc<Inbox>);

#[derive(Default)]
struct Inbox {
    new: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    state: Cell<State>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Whoever adds has to wake it.
    #[default]
    Asleep,
    /// It looks at what is new before it rests.
    Awake,
    Gone,
}

// === impl Nest ===

impl Nest {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn starter(&self) -> Starter {
        Starter(self.inbox.clone())
    }

    pub fn is_empty(&self) -> bool {
        self.running.is_empty() && self.inbox.new.borrow().is_empty()
    }

    /// Polls the owner, then everything that was started; the result is the owner's.
    pub fn poll_beside<T>(
        &mut self,
        cx: &mut Context<'_>,
        owner: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.inbox.state.set(State::Awake);
        let result = owner(cx);
        loop {
            self.running.extend(self.inbox.new.take());
            while let Poll::Ready(Some(())) = self.running.poll_next_unpin(cx) {}
            if self.inbox.new.borrow().is_empty() {
                break;
            }
        }
        let mut waker = self.inbox.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        self.inbox.state.set(State::Asleep);
        result
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        // What is started later would be polled by nobody and hold itself for ever.
        self.inbox.state.set(State::Gone);
        drop(self.inbox.new.take());
    }
}

// === impl Starter ===

impl Starter {
    /// Starts a future; it is dropped at once if the nest is gone.
    pub fn start(&self, future: LocalBoxFuture<'static, ()>) {
        match self.0.state.get() {
            State::Gone => {}
            State::Awake => self.0.new.borrow_mut().push(future),
            State::Asleep => {
                self.0.new.borrow_mut().push(future);
                if let Some(waker) = &*self.0.waker.borrow() {
                    waker.wake_by_ref();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use super::*;

    #[tokio::test]
    async fn what_is_started_runs_beside_its_owner() {
        let mut nest = Nest::new();
        let starter = nest.starter();
        let ran = Rc::new(Cell::new(0));
        let (inner, seen) = (starter.clone(), ran.clone());
        starter.start(Box::pin(async move {
            inner.start(Box::pin(async move { seen.set(seen.get() + 1) }));
        }));
        poll_fn(|cx| nest.poll_beside(cx, |_| Poll::Ready(()))).await;
        assert_eq!((ran.get(), nest.is_empty()), (1, true));
    }

    #[tokio::test]
    async fn a_start_from_outside_wakes_the_owner() {
        let mut nest = Nest::new();
        let starter = nest.starter();
        let ran = Rc::new(Cell::new(false));
        let (seen, done) = (ran.clone(), ran.clone());
        let running = poll_fn(move |cx| {
            let _ = nest.poll_beside(cx, |_| Poll::<()>::Pending);
            if done.get() { Poll::Ready(()) } else { Poll::Pending }
        });
        let starting = async {
            tokio::task::yield_now().await;
            starter.start(Box::pin(async move { seen.set(true) }));
        };
        futures::join!(running, starting);
        assert!(ran.get());
    }

    #[test]
    fn nothing_outlives_its_nest() {
        let nest = Nest::new();
        let starter = nest.starter();
        let held = Rc::new(());
        let (first, second) = (held.clone(), held.clone());
        starter.start(Box::pin(async move {
            pending::<()>().await;
            drop(first);
        }));
        drop(nest);
        starter.start(Box::pin(async move { drop(second) }));
        assert_eq!(Rc::strong_count(&held), 1);
    }
}
