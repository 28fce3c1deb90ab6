//! How a command ended, and the one place that makes a code of it.

use std::{fmt::Write as _, io, process::ExitCode};

use super::print;

/// How a command ended. Its number is the exit code, documented in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Yes, or done.
    Yes = 0,
    /// No: invalid, not found, not ready. What was asked for could be answered.
    No = 1,
    /// Wrong usage, or input or output that failed: there is no answer.
    Trouble = 2,
    /// The time was over while requests were still under way.
    Late = 3,
}

/// An error with advice that is printed after it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Advised {
    pub message: String,
    pub hint: String,
    pub exit: Exit,
}

/// What could not be read of the command line, or the help that was asked for.
pub fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is no reason to complain.
    let _ = error.print();
    if error.use_stderr() { Exit::Trouble.into() } else { Exit::Yes.into() }
}

/// Prints an error, with what it was caused by, and decides the code.
pub fn report(result: anyhow::Result<Exit>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(error) if is_broken_pipe(&error) => Exit::Yes.into(),
        Err(error) => {
            print::error(&message(&error));
            error.downcast_ref::<Advised>().map_or(Exit::Trouble, |advised| advised.exit).into()
        }
    }
}

/// The error, each cause in a line of its own, and what to do about it.
pub fn message(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        let _ = write!(text, "\n  caused by: {cause}");
    }
    if let Some(advised) = error.downcast_ref::<Advised>().filter(|advised| !advised.hint.is_empty()) {
        let _ = write!(text, "\nhint: {}", advised.hint);
    }
    text
}

/// Whoever reads our output has read enough, such as `head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut errors = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    errors.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

// === impl Exit ===

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

// === impl Advised ===

impl Advised {
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), exit: Exit::Trouble }
    }

    /// The answer is no; nothing went wrong.
    pub fn no(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit: Exit::No, ..Self::new(message, hint) }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_is_printed_with_its_causes_and_the_advice() {
        let error = Err::<(), _>(Advised::new("nothing answers at `127.0.0.1:9080`", "start it"))
            .context("cannot list routes")
            .unwrap_err();
        assert_eq!(
            message(&error),
            "error: cannot list routes\n  caused by: nothing answers at `127.0.0.1:9080`\nhint: start it"
        );
    }

    #[test]
    fn the_advice_is_found_on_either_side_of_a_cause() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = anyhow::Error::new(refused).context(Advised::new("nothing answers", "start it"));
        assert_eq!(
            message(&error),
            "error: nothing answers\n  caused by: connection refused\nhint: start it"
        );
    }

    #[test]
    fn a_closed_pipe_is_quiet_however_deep_it_is() {
        let error =
            Err::<(), _>(io::Error::from(io::ErrorKind::BrokenPipe)).context("cannot print").unwrap_err();
        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&anyhow::anyhow!("broken pipe")));
    }
}
