//! `portolan completions`: a script for a shell.

use clap::CommandFactory as _;

use super::{
    args::{Args, CompletionsArgs},
    exit::Exit,
    print,
};

pub fn completions(args: &CompletionsArgs) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "portolan", &mut script);
    print::data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Yes)
}
