//! The flags of `run`. Each has a variable `PORTOLAN_…` and a field of `ControllerConfig`; what is absent is `None`, so
//! that the layers below can speak.

use std::{
    num::{NonZeroU16, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use clap::{ArgMatches, parser::ValueSource};

use super::parse::{self, EngineUrl, HostTemplates, Switch};
use crate::{
    app::settings::{AccessLogFormat, AdminAddress, Dialect, LogFormat},
    model::{Cidr, Oddity},
};

#[derive(Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// A file or directory of documents, watched for changes; may be given again [default: none]
    #[arg(long, value_name = "PATH", env = "PORTOLAN_CONFIG", hide_env_values = true)]
    pub config: Vec<PathBuf>,

    #[arg(
        help = "The engine: unix:///PATH, tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]"
    )]
    #[arg(long, value_name = "URL|off", env = "PORTOLAN_DOCKER", hide_env_values = true)]
    #[arg(value_parser = parse::engine)]
    pub docker: Option<Switch<EngineUrl>>,

    #[arg(
        help = "ca.pem, cert.pem and key.pem for an engine behind TLS [default: $DOCKER_CERT_PATH with $DOCKER_TLS_VERIFY]"
    )]
    #[arg(long, value_name = "DIR", env = "PORTOLAN_DOCKER_CERT_PATH", hide_env_values = true)]
    pub docker_cert_path: Option<PathBuf>,

    /// Where HTTP is served when no Gateway says so: ADDRESS:PORT, :PORT or PORT [default: 0.0.0.0:80]
    #[arg(long, value_name = "ADDR|off", env = "PORTOLAN_HTTP", hide_env_values = true)]
    #[arg(value_parser = parse::listen)]
    pub http: Option<Switch<std::net::SocketAddr>>,

    /// Where HTTPS is served when no Gateway says so and there is a certificate [default: 0.0.0.0:443]
    #[arg(long, value_name = "ADDR|off", env = "PORTOLAN_HTTPS", hide_env_values = true)]
    #[arg(value_parser = parse::listen)]
    pub https: Option<Switch<std::net::SocketAddr>>,

    /// Where health, metrics and the API are served: ADDRESS:PORT, unix:PATH [default: 127.0.0.1:9080]
    #[arg(long, value_name = "ADDR|off", env = "PORTOLAN_ADMIN", hide_env_values = true)]
    #[arg(value_parser = parse::admin)]
    pub admin: Option<Switch<AdminAddress>>,

    /// The file of the token that actions at the API need, such as `portolan drain` [default: none: no actions]
    #[arg(long, value_name = "FILE", env = "PORTOLAN_ADMIN_TOKEN_FILE", hide_env_values = true)]
    pub admin_token_file: Option<PathBuf>,

    /// Whether actions may also start, stop, restart and remove containers; else the engine is only read [default: false]
    #[arg(long, value_name = "true|false", env = "PORTOLAN_ALLOW_CONTAINER_ACTIONS", hide_env_values = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub allow_container_actions: Option<bool>,

    /// Where the last known state is kept, to serve from after a restart without an engine
    /// [default: /var/lib/portolan for root, else ~/.local/state/portolan]
    #[arg(long, value_name = "DIR|off", env = "PORTOLAN_STATE_DIR", hide_env_values = true)]
    #[arg(value_parser = parse::directory)]
    pub state_dir: Option<Switch<PathBuf>>,

    /// Threads that serve requests [default: one a core]
    #[arg(long, value_name = "N", env = "PORTOLAN_WORKERS", hide_env_values = true)]
    #[arg(value_parser = parse::workers)]
    pub workers: Option<NonZeroUsize>,

    /// The form of log lines, on standard error: text or json [default: text]
    #[arg(long, value_name = "FORMAT", env = "PORTOLAN_LOG_FORMAT", hide_env_values = true)]
    #[arg(value_parser = parse::log_format(), hide_possible_values = true)]
    pub log_format: Option<LogFormat>,

    /// What is logged: error, warn, info, debug, trace, or directives such as portolan=debug [default: info]
    #[arg(long, value_name = "LEVEL", env = "PORTOLAN_LOG_LEVEL", hide_env_values = true)]
    #[arg(value_parser = parse::log_level)]
    pub log_level: Option<String>,

    /// One line for each request, on standard output: text, json or off [default: text]
    #[arg(long, value_name = "FORMAT", env = "PORTOLAN_ACCESS_LOG", hide_env_values = true)]
    #[arg(value_parser = parse::access_log_format(), hide_possible_values = true)]
    pub access_log: Option<AccessLogFormat>,

    /// A file for the lines of requests instead
    #[arg(long, value_name = "FILE", env = "PORTOLAN_ACCESS_LOG_PATH", hide_env_values = true)]
    pub access_log_path: Option<PathBuf>,

    /// Labels of others that are read too: traefik, nginx-proxy, caddy, docker-flow [default: none]
    #[arg(long, value_name = "LIST", env = "PORTOLAN_COMPAT", hide_env_values = true)]
    #[arg(value_delimiter = ',', value_parser = parse::dialect(), hide_possible_values = true)]
    pub compat: Vec<Dialect>,

    /// How long a request waits for an endpoint where its route has none; 0s does not wait [default: 5s]
    #[arg(long, value_name = "DURATION", env = "PORTOLAN_HOLD", hide_env_values = true)]
    #[arg(value_parser = parse::duration)]
    pub hold: Option<Duration>,

    /// How long a route stays after its last endpoint went [default: 10s]
    #[arg(long, value_name = "DURATION", env = "PORTOLAN_REMOVAL_DELAY", hide_env_values = true)]
    #[arg(value_parser = parse::duration)]
    pub removal_delay: Option<Duration>,

    /// How long connections are still accepted after SIGTERM [default: 0s]
    #[arg(long, value_name = "DURATION", env = "PORTOLAN_DRAIN_DELAY", hide_env_values = true)]
    #[arg(value_parser = parse::duration)]
    pub drain_delay: Option<Duration>,

    /// How long requests under way may take to end after that [default: 30s]
    #[arg(long, value_name = "DURATION", env = "PORTOLAN_DRAIN_TIMEOUT", hide_env_values = true)]
    #[arg(value_parser = parse::duration)]
    pub drain_timeout: Option<Duration>,

    /// How often the engine is listed in full, to find what an event missed [default: 60s]
    #[arg(long, value_name = "DURATION", env = "PORTOLAN_RESYNC", hide_env_values = true)]
    #[arg(value_parser = parse::interval)]
    pub resync: Option<Duration>,

    /// Host names of containers without labels, of {name}, {service} and {project}, separated by commas
    /// [default: {name}.docker.localhost,{name}.localhost,{service}.{project}.docker.localhost]
    #[arg(long, value_name = "LIST|off", env = "PORTOLAN_DEFAULT_HOST_TEMPLATE", hide_env_values = true)]
    #[arg(value_parser = parse::host_templates)]
    pub default_host_template: Option<Switch<HostTemplates>>,

    /// Whether containers are served that do not say portolan.enable=true [default: true]
    #[arg(long, value_name = "true|false", env = "PORTOLAN_EXPOSE_BY_DEFAULT", hide_env_values = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub expose_by_default: Option<bool>,

    /// Addresses and networks whose X-Forwarded-… headers are believed, such as 10.0.0.0/8 [default: none]
    #[arg(long, value_name = "LIST", env = "PORTOLAN_TRUSTED_PROXIES", hide_env_values = true)]
    #[arg(value_delimiter = ',')]
    pub trusted_proxies: Vec<Cidr>,

    /// Ports on which every connection has to begin with a PROXY header from one of --trusted-proxies [default: none]
    #[arg(long, value_name = "PORTS", env = "PORTOLAN_PROXY_PROTOCOL", hide_env_values = true)]
    #[arg(value_delimiter = ',')]
    pub proxy_protocol: Vec<NonZeroU16>,

    /// What is refused in requests, or left out of them, otherwise: encoded-slash (%2F in paths), underscore (_ in names
    /// of headers) [default: none]
    #[arg(long, value_name = "LIST", env = "PORTOLAN_ALLOW", hide_env_values = true)]
    #[arg(value_delimiter = ',', value_parser = parse::oddity(), hide_possible_values = true)]
    pub allow: Vec<Oddity>,

    /// Take the place of the process that runs with this state directory, without a refused or lost connection
    #[arg(long)]
    pub take_over: bool,
}

const EXAMPLES: &str = "\
Examples:
  portolan run                        containers of this machine, on port 80
  portolan run --config routes/ --http 8080
                                      and the routes of a directory, on another port
  portolan run --docker off --config routes/
                                      routes only
  portolan run --config routes/ --take-over
                                      instead of the one that runs, which drains

Each flag but --take-over has a variable, and a field of ControllerConfig (a document below --config);
the flag wins over the variable, which wins over the document. Durations: 500ms, 10s, 1m, 1h30m.
Logs go to standard error. SIGTERM and Ctrl-C finish what is under way first. SIGUSR2 starts the program
anew, with the same flags and --take-over: that is an upgrade in place.";

// === impl RunArgs ===

impl RunArgs {
    /// In a variable, several paths are separated by colons, as in `PATH`. A flag holds one path, whatever is in it.
    pub(super) fn split_variables(&mut self, matches: &ArgMatches) {
        if matches.value_source("config") == Some(ValueSource::EnvVariable) {
            let joined = std::mem::take(&mut self.config);
            let split = joined.iter().flat_map(std::env::split_paths);
            self.config = split.filter(|path| !path.as_os_str().is_empty()).collect();
        }
    }
}
