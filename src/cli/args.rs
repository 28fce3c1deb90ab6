//! What the user typed, and nothing else: stage one of two. [`super::settings`] makes values of it that work.

pub mod actions;
pub mod parse;
pub mod run;
#[cfg(test)]
mod tests;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use actions::{DrainArgs, RolloutArgs};
pub use parse::{EngineUrl, ServerAddress, Switch};
pub use run::RunArgs;

/// An ingress controller for Docker: the Kubernetes Gateway API without Kubernetes
#[derive(Debug, Parser)]
#[command(name = "portolan", version, max_term_width = 100, subcommand_required = true)]
#[command(arg_required_else_help = true, after_help = ROOT_EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the controller and the proxy
    Run(Box<RunArgs>),
    /// Validate files and print what is wrong with them
    Check(CheckArgs),
    /// Show what files would change about the running controller
    Diff(DiffArgs),
    /// Show what the running controller knows, as tables or documents
    Get(GetArgs),
    /// Show everything about one object: spec, origin, conditions, endpoints, recent events
    Describe(DescribeArgs),
    /// Show which listener, route, rule and endpoint a request gets, and why not the others
    Explain(ExplainArgs),
    /// Take a container out of service without breaking off a request
    Drain(DrainArgs),
    /// Replace the containers of a Compose service by new ones, without losing a request
    Rollout(RolloutArgs),
    /// Print the JSON Schemas of the documents
    Schema(SchemaArgs),
    /// Try it out: a proxy, three small backends and a directory of routes to edit
    Demo(DemoArgs),
    /// Ask a running controller whether it is well
    Health(HealthArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct CheckArgs {
    /// Files and directories; `-` is standard input
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// How findings are printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = parse::check_format())]
    pub output: CheckFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckFormat {
    Text,
    Json,
    Github,
}

#[derive(Debug, clap::Args)]
#[command(after_help = DIFF_EXAMPLES)]
pub struct DiffArgs {
    /// Files and directories: all that there would be
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// How differences are printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = parse::diff_format())]
    pub output: DiffFormat,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiffFormat {
    Text,
    Json,
}

#[derive(Debug, clap::Args)]
#[command(after_help = GET_EXAMPLES)]
pub struct GetArgs {
    /// gateways, routes, backends, endpoints, certificates, containers, events, or a kind
    #[arg(value_name = "KIND")]
    pub kind: String,
    /// Only this one; NAMESPACE/NAME works too
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Only this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "table", value_parser = parse::listing_format())]
    pub output: GetFormat,
    /// Keep printing what changes, until interrupted
    #[arg(short, long)]
    pub watch: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetFormat {
    Table,
    Wide,
    Json,
    Yaml,
}

#[derive(Debug, clap::Args)]
#[command(after_help = DESCRIBE_EXAMPLES)]
pub struct DescribeArgs {
    /// gateway, route, backend, certificate, container, or a kind
    #[arg(value_name = "KIND")]
    pub kind: String,
    /// The name; NAMESPACE/NAME works too
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The namespace; without it the name is looked for in all of them
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct ExplainArgs {
    /// A URL, or the name of a container
    #[arg(value_name = "URL|CONTAINER")]
    pub subject: String,
    /// The method of the request
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// A header of the request; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = parse::explain_format())]
    pub output: ExplainFormat,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplainFormat {
    Text,
    Json,
}

/// Where the running controller answers.
#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    /// The admin API of the running controller: HOST:PORT or unix:PATH
    #[arg(long, value_name = "ADDRESS", env = "PORTOLAN_ADMIN", hide_env_values = true)]
    #[arg(default_value = "127.0.0.1:9080", value_parser = parse::server_address)]
    pub admin: ServerAddress,
}

#[derive(Debug, clap::Args)]
#[command(after_help = SCHEMA_EXAMPLES)]
pub struct SchemaArgs {
    /// One kind, such as HTTPRoute; without it one schema that knows all kinds
    #[arg(value_name = "KIND", conflicts_with = "out")]
    pub kind: Option<String>,
    /// Write one file for each kind into this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = DEMO_EXAMPLES)]
pub struct DemoArgs {
    /// Where the routes are written; must be empty or not exist [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The port of the proxy [default: 8080, or a free one]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// The engine whose containers are routed too
    #[arg(long, value_name = "URL|off", env = "PORTOLAN_DOCKER", hide_env_values = true)]
    #[arg(value_parser = parse::engine)]
    pub docker: Option<Switch<EngineUrl>>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = HEALTH_EXAMPLES)]
pub struct HealthArgs {
    /// Ask whether it serves, not only whether it lives
    #[arg(long)]
    pub ready: bool,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = parse::duration)]
    pub timeout: Duration,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

const ROOT_EXAMPLES: &str = "\
Examples:
  portolan demo                       see it work, with nothing else installed
  portolan run --config routes/       serve containers, and the routes of a directory
  portolan check routes/              find mistakes before they are served
  portolan diff routes/               see what a change would do
  portolan get routes                 what is served, and what is not

Exit status: 0 yes or done, 1 no (invalid, not found, not ready), 2 usage, input or output";

const CHECK_EXAMPLES: &str = "\
Examples:
  portolan check                      everything below the current directory
  portolan check routes/ shop.yaml    some directories and files
  portolan check -o github routes/    annotations for a GitHub workflow
  cat route.yaml | portolan check -   standard input

Exit status: 0 valid (warnings are allowed), 1 invalid, 2 usage, or a file that cannot be read";

const DIFF_EXAMPLES: &str = "\
Examples:
  portolan diff routes/               what this directory would change, if it were the configuration
  git stash; portolan diff -o json routes/
                                      for machines

Exit status: 0 nothing would change, 1 something would, 2 a document is invalid, or no controller";

const GET_EXAMPLES: &str = "\
Examples:
  portolan get routes                 all routes of all namespaces
  portolan get containers             the URLs of each container, or why it has none
  portolan get route shop/books -o yaml
                                      one route as a document, with status and origin
  portolan get endpoints -n shop -w   follow the endpoints of one namespace";

const DESCRIBE_EXAMPLES: &str = "\
Examples:
  portolan describe route books       conditions, endpoints and recent events of a route
  portolan describe container web     why a container is or is not reached";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  portolan explain http://shop.example.com/blog
                                      who answers this, and why nobody else
  portolan explain -X POST -H 'X-Env: test' shop.example.com/api
                                      with a method and a header
  portolan explain web                why a container is or is not reached

Exit status: 0 something answers, 1 nothing does, 2 usage, or no controller";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  portolan schema HTTPRoute           one schema
  portolan schema --out schema/       one file for each kind
In a document, this makes an editor check it while you type:
  # yaml-language-server: $schema=schema/httproute.json";

const DEMO_EXAMPLES: &str = "\
Examples:
  portolan demo                       routes in a temporary directory, removed at the end
  portolan demo --dir ./my-routes     routes in a directory that stays";

const HEALTH_EXAMPLES: &str = "\
Examples:
  portolan health                     does it live? for HEALTHCHECK in an image
  portolan health --ready             does it serve? waits for the first table, ends while draining

Exit status: 0 yes, 1 no";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  portolan completions bash > /etc/bash_completion.d/portolan
  portolan completions zsh  > \"${fpath[1]}/_portolan\"
  portolan completions fish > ~/.config/fish/completions/portolan.fish";

// === impl Args ===

impl Args {
    /// Reads the command line; flags that are absent come from the environment. An error is usage, `--help` or
    /// `--version`.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        for sub in command.get_subcommands_mut() {
            *sub = without_empty_variables(std::mem::take(sub));
        }
        let matches = command.clone().try_get_matches_from(arguments)?;
        let mut args = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        if let (Command::Run(run), Some(("run", matches))) = (&mut args.command, matches.subcommand()) {
            run.split_variables(matches);
        }
        Ok(args)
    }
}

/// A variable that is set to nothing counts as not set: Compose files write `PORTOLAN_HTTP: ${HTTP:-}`.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| {
        let empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if empty { arg.env(clap::builder::Resettable::Reset) } else { arg }
    })
}

/// The flags of `run`, for the documentation and the tests.
pub fn run_flags() -> clap::Command {
    RunArgs::augment_args(clap::Command::new("run"))
}
