//! What a command that takes its time is doing, on standard error: a line for each step. What is waited for changes in
//! place on a terminal; elsewhere it is a line when it changes, and not too often.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::Duration,
};

use tokio::time::Instant;

use super::print;

#[derive(Debug)]
pub struct Progress {
    place: Place,
    /// What was said last of what is waited for, and when.
    waiting: Option<(String, Instant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Terminal,
    Pipe,
}

// === impl Progress ===

impl Progress {
    /// Between two lines about the same wait, where nobody watches.
    const PAUSE: Duration = Duration::from_secs(5);

    pub fn new() -> Self {
        let place = if stderr().is_terminal() { Place::Terminal } else { Place::Pipe };
        Self { place, waiting: None }
    }

    /// A step that is done.
    pub fn step(&mut self, text: &str) {
        self.clear();
        print::message(text);
    }

    /// What is waited for now.
    pub fn wait(&mut self, text: &str) {
        let now = Instant::now();
        match (self.place, &self.waiting) {
            (_, Some((last, _))) if last == text => return,
            (Place::Pipe, Some((_, at))) if now.duration_since(*at) < Self::PAUSE => return,
            // Nobody is left to tell when this fails.
            (Place::Terminal, _) => drop(write!(stderr().lock(), "\r\u{1b}[K{text} …")),
            (Place::Pipe, _) => print::message(text),
        }
        self.waiting = Some((text.to_owned(), now));
    }

    fn clear(&mut self) {
        if self.waiting.take().is_some() && self.place == Place::Terminal {
            let _ = write!(stderr().lock(), "\r\u{1b}[K");
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
