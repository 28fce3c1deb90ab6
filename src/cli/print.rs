//! Standard output for data, standard error for messages, and whether either may be coloured.

use std::io::{self, IsTerminal as _, Write as _};

/// Whether text may carry colour. It never carries meaning: every word is there without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Colour,
}

/// Writes data. A closed pipe is an error that [`super::exit`] keeps quiet about.
pub fn data(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a message for the person at the terminal.
pub fn message(text: &str) {
    // Nobody is left to tell when this fails.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes an error, its first word in red where that is welcome.
pub fn error(text: &str) {
    let painted = text.strip_prefix("error:").map(|rest| format!("\u{1b}[1;31merror\u{1b}[0m:{rest}"));
    match (Paint::of_stderr(), painted) {
        (Paint::Colour, Some(painted)) => message(&painted),
        (Paint::Colour | Paint::Plain, _) => message(text),
    }
}

pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

// === impl Paint ===

impl Paint {
    pub fn of_stdout() -> Self {
        Self::choose(io::stdout().is_terminal().then_some(()))
    }

    pub fn of_stderr() -> Self {
        Self::choose(io::stderr().is_terminal().then_some(()))
    }

    /// Colour on a terminal that knows it, unless `NO_COLOR` is set to something.
    fn choose(terminal: Option<()>) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if terminal.is_none() || refused || dumb { Self::Plain } else { Self::Colour }
    }

    /// `text` in a colour of the terminal, by its SGR code.
    pub fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}
