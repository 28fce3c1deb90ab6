//! Arguments, exit codes, printing.
//!
//! [`args`] is what was typed, [`settings`] makes values of it that work, and each command takes those plain values.
//! Data goes to standard output, everything else to standard error; the exit code is decided here and nowhere else.

pub mod acting;
pub mod args;
pub mod check;
pub mod client;
pub mod completions;
pub mod demo;
pub mod describe;
pub mod diff;
pub mod drain;
pub mod exit;
pub mod explain;
pub mod get;
pub mod health;
pub mod print;
pub mod progress;
pub mod rollout;
pub mod run;
pub mod schema;
pub mod settings;

use std::{ffi::OsString, process::ExitCode};

use exit::Exit;

/// The whole program: reads the command line, does what it says, and tells how it went.
pub fn start(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match args::Args::read(arguments) {
        Ok(args) => args,
        Err(error) => return exit::usage(&error),
    };
    exit::report(dispatch(args.command))
}

fn dispatch(command: args::Command) -> anyhow::Result<Exit> {
    match command {
        args::Command::Check(args) => check::check(&args),
        args::Command::Schema(args) => schema::schema(&args),
        args::Command::Get(args) => get::get(&args),
        args::Command::Describe(args) => describe::describe(&args),
        args::Command::Diff(args) => diff::diff(&args),
        args::Command::Drain(args) => drain::drain(&args),
        args::Command::Rollout(args) => rollout::rollout(&args),
        args::Command::Explain(args) => explain::explain(&args),
        args::Command::Health(args) => health::health(&args),
        args::Command::Demo(args) => demo::demo(args),
        args::Command::Run(args) => run::run(*args),
        args::Command::Completions(args) => completions::completions(&args),
    }
}
