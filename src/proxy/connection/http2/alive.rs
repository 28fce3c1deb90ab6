//! Whether the other end of a connection is there still.

use std::{
    cell::Cell,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep};

/// Asks for a sign of life where none came by itself (RFC 9113 section 6.7).
pub(super) struct KeepAlive {
    pings: PingPong,
    every: Duration,
    patience: Duration,
    state: State,
    sleep: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Listening,
    Asked,
}

// === impl KeepAlive ===

impl KeepAlive {
    /// Asks after a silence of `every`, and gives up when for `patience` nothing comes.
    pub(super) fn new(pings: PingPong, every: Duration, patience: Duration) -> Self {
        let sleep = Box::pin(tokio::time::sleep(every));
        Self { pings, every, patience, state: State::Listening, sleep }
    }

    /// Ready when the other end is gone. `heard` tells whether something came since it was last unset, which is done here.
    pub(super) fn poll_gone(&mut self, heard: &Cell<bool>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.state == State::Asked && self.pings.poll_pong(cx).is_ready() {
                self.state = State::Listening;
                self.wait(self.every);
            }
            ready!(self.sleep.as_mut().poll(cx));
            let has_heard = heard.replace(false);
            match self.state {
                // The answer may be behind much that comes slowly.
                State::Listening | State::Asked if has_heard => self.wait(self.every),
                State::Asked => return Poll::Ready(()),
                State::Listening => {
                    // It fails where the connection has ended, which whoever reads is told.
                    let _sent = self.pings.send_ping(Ping::opaque());
                    self.state = State::Asked;
                    self.wait(self.patience);
                }
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        self.sleep.as_mut().reset(Instant::now() + time);
    }
}
