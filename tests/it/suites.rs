//! Tools of others that look for faults in servers; `tests/run` installs them.

mod autobahn;
mod slowhttptest;
mod sslscan;

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::{left_out, output, process::Process};

/// Whether a tool is there; says that the test is left out if not. `ask` is what makes it end at once.
fn have(tool: &str, ask: &str) -> bool {
    let mut asked = Command::new(tool);
    asked.arg(ask).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let is_there = asked.status().is_ok();
    if !is_there {
        left_out(&format!("{tool} (`tests/run` installs it)"));
    }
    is_there
}
