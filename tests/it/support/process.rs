//! A process that ends with its value, and whose words are kept.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use super::{output, run_id, wait};

pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

// === impl Process ===

impl Process {
    /// Starts `command`; both of its outputs are kept.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// The same with something else than nothing as its input.
    pub fn start_with(command: &mut Command, input: impl Into<Stdio>) -> Self {
        command.env("PORTOLAN_TEST_RUN", run_id()).stdin(input);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = Arc::default();
        keep(child.stdout.take(), &lines);
        keep(child.stderr.take(), &lines);
        let name = command.get_program();
        let name = std::path::Path::new(name).file_name().unwrap_or(OsStr::new("process")).to_string_lossy();
        Self { name: format!("{name} ({})", child.id()), child, lines }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has said so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first line that `pick` finds something in, once it is there.
    #[track_caller]
    pub fn line<T>(&mut self, what: &str, mut pick: impl FnMut(&str) -> Option<T>) -> T {
        wait::eventually(wait::SOON, what, || {
            let lines = self.lines();
            let found = lines.iter().find_map(|line| pick(line));
            if found.is_none() {
                self.must_run();
            }
            found.ok_or_else(|| lines.join("\n"))
        })
    }

    /// Panics if it has ended, with its last words.
    #[track_caller]
    pub fn must_run(&mut self) {
        if let Some(status) = self.exited() {
            panic!("{} ended with {status}:\n{}", self.name, self.lines().join("\n"));
        }
    }

    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of the process")
    }

    /// `TERM`, `HUP`, `KILL`, `STOP`, …
    pub fn signal(&self, name: &str) {
        let _ =
            output(Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &self.id().to_string()]));
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let name = self.name.clone();
        wait::eventually(within, &format!("{name} ends"), || {
            self.exited().ok_or_else(|| format!("it runs, and said:\n{}", self.lines().join("\n")))
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal("TERM");
            let mut patience = 600;
            while patience > 0 && matches!(self.child.try_wait(), Ok(None)) {
                thread::sleep(Duration::from_millis(5));
                patience -= 1;
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            let lines = self.lines();
            let last = &lines[lines.len().saturating_sub(60)..];
            eprintln!("--- the last words of {}:\n{}", self.name, last.join("\n"));
        }
    }
}

fn keep(pipe: Option<impl Read + Send + 'static>, lines: &Arc<Mutex<Vec<String>>>) {
    let Some(pipe) = pipe else { return };
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
}
