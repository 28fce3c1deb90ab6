//! The commands that act on containers.

use std::{path::PathBuf, time::Duration};

use super::{ServerArgs, parse};

#[derive(Debug, clap::Args)]
#[command(after_help = DRAIN_EXAMPLES)]
pub struct DrainArgs {
    /// The container's name, id, or the beginning of its id
    #[arg(value_name = "CONTAINER")]
    pub container: String,
    /// Stop it when nothing is under way any more
    #[arg(long, conflicts_with = "cancel")]
    pub then_stop: bool,
    /// Give it requests again
    #[arg(long)]
    pub cancel: bool,
    /// Drain it although it is the last endpoint of a backend, whose requests then wait for --hold and get 503
    #[arg(long, conflicts_with = "cancel")]
    pub force: bool,
    /// How long requests under way may take to end
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse::duration)]
    pub timeout: Duration,
    #[command(flatten)]
    pub token: TokenArgs,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = ROLLOUT_EXAMPLES)]
pub struct RolloutArgs {
    /// The service of the Compose file
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// The Compose project, where several have a service of this name
    #[arg(short, long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// A Compose file; may be given again [default: as Compose finds it here, else the one of the running containers]
    #[arg(short, long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How long the new containers may take to get ready
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse::duration)]
    pub timeout: Duration,
    /// How long requests under way at the old containers may take to end
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse::duration)]
    pub drain_timeout: Duration,
    #[command(flatten)]
    pub token: TokenArgs,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What shows the controller that this is allowed.
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// The file of the token that the controller was started with
    #[arg(long, value_name = "FILE", env = "PORTOLAN_ADMIN_TOKEN_FILE", hide_env_values = true)]
    pub admin_token_file: Option<PathBuf>,
}

const DRAIN_EXAMPLES: &str = "\
Examples:
  portolan drain web-2                no new requests; returns when nothing is under way any more
  portolan drain web-2 --then-stop    and stops it then
  portolan drain web-2 --cancel       gives it requests again

WebSockets and downloads count as requests under way. A container that is drained runs on until
that is taken back or it stops. Ctrl-C takes it back. The controller needs --admin-token-file, and
--allow-container-actions for --then-stop.

Exit status: 0 drained (and stopped), 1 refused or taken back, 2 usage, input or output, no token,
3 requests were still under way after --timeout: it is still drained, and not stopped";

const ROLLOUT_EXAMPLES: &str = "\
Examples:
  docker compose build web && portolan rollout web
                                      what the Compose file says now, without losing a request
  portolan rollout web -p shop -f /srv/shop/compose.yaml --timeout 2m

Starts as many new containers as there are, by `docker compose` or `docker-compose`; waits until the
controller finds them ready (running, healthy if they have a HEALTHCHECK, checks passed, accepting
connections); gives the old ones no more requests and waits until theirs have ended; stops and
removes them. When the new ones do not get ready, or on Ctrl-C, they are removed and the old ones
serve on. The controller needs --admin-token-file and --allow-container-actions.

Exit status: 0 done, 1 rolled back (the old containers serve), 2 usage, input or output, no token,
3 done, but requests were still under way after --drain-timeout and may have been cut";
