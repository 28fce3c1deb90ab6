//! The access log: one line for each request, as JSON or text, written by a thread of its own.
//!
//! Why workers collect lines before they send them: waking the writer costs more than a line. What cannot be written in
//! time is dropped and counted: a slow disk must not slow requests.

mod line;

#[cfg(test)]
mod tests;

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use prometheus::IntCounter;

use super::Metrics;
pub use line::Record;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Where lines go. Clones write to the same place; each keeps its own lines until they are flushed.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    lines: Vec<u8>,
    count: u64,
    sender: SyncSender<Vec<u8>>,
    dropped: IntCounter,
}

/// The thread that writes. It ends, with everything written, when every [`AccessLog`] is gone.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<()>,
}

/// Starts the writer. The error is that of starting a thread.
pub fn start(
    format: Format,
    to: Box<dyn Write + Send>,
    metrics: &Metrics,
) -> io::Result<(AccessLog, Writer)> {
    let (sender, receiver) = sync_channel(AccessLog::BLOCKS);
    let dropped = metrics.access_dropped();
    let thread =
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || run(&receiver, to))?;
    Ok((AccessLog { format, lines: Vec::new(), count: 0, sender, dropped }, Writer { thread }))
}

fn run(blocks: &Receiver<Vec<u8>>, mut to: Box<dyn Write + Send>) {
    let mut failing = false;
    while let Ok(block) = blocks.recv() {
        match to.write_all(&block).and_then(|()| to.flush()) {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                tracing::warn!(%error, "cannot write the access log; lines are lost until it works again");
                failing = true;
            }
            Err(_) => {}
        }
    }
}

// === impl AccessLog ===

impl AccessLog {
    /// Blocks of lines that may wait for the writer.
    const BLOCKS: usize = 256;
    /// A block of this many bytes is sent at once.
    const BLOCK: usize = 16 << 10;

    /// Adds the line of a request.
    pub fn write(&mut self, record: &Record<'_>) {
        match self.format {
            Format::Text => line::text(&mut self.lines, record),
            Format::Json => line::json(&mut self.lines, record),
        }
        self.count += 1;
        if self.lines.len() >= Self::BLOCK {
            self.flush();
        }
    }

    /// Sends what was collected to the writer.
    pub fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let block = std::mem::take(&mut self.lines);
        if self.sender.try_send(block).is_err() {
            self.dropped.inc_by(self.count);
        }
        self.count = 0;
    }
}

impl Clone for AccessLog {
    fn clone(&self) -> Self {
        Self {
            format: self.format,
            lines: Vec::new(),
            count: 0,
            sender: self.sender.clone(),
            dropped: self.dropped.clone(),
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

// === impl Writer ===

impl Writer {
    /// Waits until everything is written. Blocks: every [`AccessLog`] must be gone.
    pub fn join(self) {
        // Its panic, should there be one, was printed by the thread itself.
        let _ = self.thread.join();
    }
}
