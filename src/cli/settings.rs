//! Stage two: flags, then the environment, then `ControllerConfig`, then defaults become one checked value.
//!
//! Pure: what the process was started with comes in as [`Environment`], so that every rule is a line in a table test.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    num::NonZeroU16,
    path::{Path, PathBuf},
};

use super::args::{
    EngineUrl, RunArgs, Switch,
    parse::{self, EngineScheme, HostTemplates, Invalid},
};
use crate::{
    api::{self, ControllerConfigSpec},
    app::settings::{
        AccessLogFormat, AccessLogSettings, Dialect, Engine, EngineTls, LogFormat, LogSettings, Settings,
    },
    model::{Allowed, Cidr, Oddity},
};

/// What the process was started with, beside its flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    pub docker_host: Option<String>,
    pub docker_tls_verify: bool,
    pub docker_cert_path: Option<PathBuf>,
    pub home: Option<PathBuf>,
    pub state_home: Option<PathBuf>,
    pub is_root: bool,
}

/// The `ControllerConfig` of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct FileConfig {
    pub spec: ControllerConfigSpec,
    /// Where it is written, such as `portolan.yaml:1:1`.
    pub origin: String,
    /// Its own paths are relative to this.
    pub directory: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    pub settings: Settings,
    /// What was said and is not done, in words.
    pub warnings: Vec<String>,
}

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSetting {
    #[error("invalid value `{value}` for {place}: {why}")]
    Value { place: Place, value: String, why: Invalid },
    #[error("{place} is not set: {why}")]
    Missing { place: Place, why: &'static str },
}

/// Where a value was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Flag(&'static str),
    Variable(&'static str),
    /// A field of `ControllerConfig`, and where that is written.
    Field {
        field: &'static str,
        origin: String,
    },
}

/// Decides every setting.
pub fn resolve(
    args: RunArgs,
    file: Option<&FileConfig>,
    environment: &Environment,
) -> Result<Resolved, InvalidSetting> {
    let fields = Fields { file };
    let defaults = Settings::default();
    let mut warnings = Vec::new();
    let settings = Settings {
        docker: engine(&args, fields, environment)?,
        config: paths(args.config, file),
        http: switch(args.http, fields.text("spec.http", |spec| &spec.http, parse::listen)?, defaults.http),
        https: switch(
            args.https,
            fields.text("spec.https", |spec| &spec.https, parse::listen)?,
            defaults.https,
        ),
        admin: switch(
            args.admin,
            fields.text("spec.admin", |spec| &spec.admin, parse::admin)?,
            defaults.admin,
        ),
        admin_token_file: args.admin_token_file.or_else(|| {
            let file = file?;
            Some(file.directory.join(file.spec.admin_token_file.as_ref()?))
        }),
        allow_container_actions: args
            .allow_container_actions
            .or(file.and_then(|file| file.spec.allow_container_actions))
            .unwrap_or(defaults.allow_container_actions),
        state_dir: switch(
            args.state_dir,
            fields.text("spec.stateDir", |spec| &spec.state_dir, parse::directory)?,
            state_dir(environment, &mut warnings),
        ),
        workers: args.workers.or(fields.workers()?).unwrap_or(defaults.workers),
        log: log(args.log_format, args.log_level, fields)?,
        access_log: access_log(args.access_log, args.access_log_path, file),
        compat: compat(args.compat, file),
        hold: or(args.hold, fields.duration("spec.hold", |spec| &spec.hold)?, defaults.hold),
        removal_delay: or(
            args.removal_delay,
            fields.duration("spec.removalDelay", |spec| &spec.removal_delay)?,
            defaults.removal_delay,
        ),
        drain_delay: or(
            args.drain_delay,
            fields.duration("spec.drainDelay", |spec| &spec.drain_delay)?,
            defaults.drain_delay,
        ),
        drain_timeout: or(
            args.drain_timeout,
            fields.duration("spec.drainTimeout", |spec| &spec.drain_timeout)?,
            defaults.drain_timeout,
        ),
        default_host_templates: host_templates(args.default_host_template, fields)?,
        expose_by_default: args
            .expose_by_default
            .or(file.and_then(|file| file.spec.expose_by_default))
            .unwrap_or(defaults.expose_by_default),
        trusted_proxies: trusted_proxies(args.trusted_proxies, fields)?,
        proxy_protocol: proxy_protocol(args.proxy_protocol, file),
        allowed: allowed(args.allow, file),
        resync: or(args.resync, fields.resync()?, defaults.resync),
    };
    warnings.extend(nobody_may_act(&settings));
    warnings.extend(nobody_may_introduce(&settings));
    if !settings.compat.is_empty() {
        warnings.push("labels of others are not read yet: `--compat` has no effect".to_owned());
    }
    Ok(Resolved { settings, warnings })
}

/// The fields of the document, if there is one.
#[derive(Clone, Copy)]
struct Fields<'a> {
    file: Option<&'a FileConfig>,
}

fn or<T>(flag: Option<T>, field: Option<T>, default: T) -> T {
    flag.or(field).unwrap_or(default)
}

fn switch<T>(flag: Option<Switch<T>>, field: Option<Switch<T>>, default: Option<T>) -> Option<T> {
    flag.or(field).map_or(default, Option::from)
}

/// The document adds its paths to those in which it was found.
fn paths(mut paths: Vec<PathBuf>, file: Option<&FileConfig>) -> Vec<PathBuf> {
    if let Some(file) = file {
        paths.extend(file.spec.config.iter().map(|path| file.directory.join(path)));
    }
    let mut seen = std::collections::BTreeSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    paths
}

fn engine(
    args: &RunArgs,
    fields: Fields<'_>,
    environment: &Environment,
) -> Result<Option<Engine>, InvalidSetting> {
    let field = fields.text("spec.docker", |spec| &spec.docker, parse::engine)?;
    let url = match (args.docker.clone().or(field), &environment.docker_host) {
        (Some(url), _) => url,
        (None, Some(host)) => parse::engine(host).map_err(|why| InvalidSetting::Value {
            place: Place::Variable("DOCKER_HOST"),
            value: host.clone(),
            why,
        })?,
        (None, None) => return Ok(Settings::default().docker),
    };
    let given = args.docker_cert_path.clone().or_else(|| {
        let file = fields.file?;
        Some(file.directory.join(file.spec.docker_cert_path.as_ref()?))
    });
    Ok(match url {
        Switch::Off => None,
        Switch::On(EngineUrl::Unix(path)) => Some(Engine::Unix(path)),
        Switch::On(EngineUrl::Tcp { host, port, scheme }) => {
            let tls = tls(scheme, given, environment)?;
            let port = port.unwrap_or(if tls.is_some() { 2376 } else { 2375 });
            Some(Engine::Tcp { host, port, tls })
        }
    })
}

/// As the docker command decides: TLS where certificates are given or the environment asks for it.
fn tls(
    scheme: EngineScheme,
    given: Option<PathBuf>,
    environment: &Environment,
) -> Result<Option<EngineTls>, InvalidSetting> {
    let wanted = match scheme {
        EngineScheme::Http => false,
        EngineScheme::Https => true,
        EngineScheme::Tcp => given.is_some() || environment.docker_tls_verify,
    };
    if !wanted {
        return Ok(None);
    }
    let usual = || environment.home.as_ref().map(|home| home.join(".docker"));
    let path = given.or_else(|| environment.docker_cert_path.clone()).or_else(usual);
    let why = "TLS to the engine needs a directory with ca.pem, cert.pem and key.pem";
    let missing = || InvalidSetting::Missing { place: Place::Flag("--docker-cert-path"), why };
    path.map(|cert_path| Some(EngineTls { cert_path })).ok_or_else(missing)
}

fn state_dir(environment: &Environment, warnings: &mut Vec<String>) -> Option<PathBuf> {
    if environment.is_root {
        return Some("/var/lib/portolan".into());
    }
    let below_home = || environment.home.as_ref().map(|home| home.join(".local/state"));
    let state = environment.state_home.clone().or_else(below_home).map(|state| state.join("portolan"));
    if state.is_none() {
        warnings
            .push("the last known state is not kept: there is no home directory; set `--state-dir`".into());
    }
    state
}

fn log(
    format: Option<LogFormat>,
    level: Option<String>,
    fields: Fields<'_>,
) -> Result<LogSettings, InvalidSetting> {
    let defaults = LogSettings::default();
    let field = fields.file.and_then(|file| file.spec.log_format).map(|format| match format {
        api::LogFormat::Text => LogFormat::Text,
        api::LogFormat::Json => LogFormat::Json,
    });
    Ok(LogSettings {
        format: or(format, field, defaults.format),
        level: or(
            level,
            fields.text("spec.logLevel", |spec| &spec.log_level, parse::log_level)?,
            defaults.level,
        ),
    })
}

fn access_log(
    format: Option<AccessLogFormat>,
    path: Option<PathBuf>,
    file: Option<&FileConfig>,
) -> AccessLogSettings {
    let field = file.and_then(|file| Some((file, file.spec.access_log.as_ref()?)));
    let field_format = field.and_then(|(_, log)| log.format).map(|format| match format {
        api::AccessLogFormat::Text => AccessLogFormat::Text,
        api::AccessLogFormat::Json => AccessLogFormat::Json,
        api::AccessLogFormat::Off => AccessLogFormat::Off,
    });
    let field_path = field.and_then(|(file, log)| Some(file.directory.join(log.path.as_ref()?)));
    AccessLogSettings {
        format: or(format, field_format, AccessLogFormat::default()),
        path: path.or(field_path),
    }
}

fn compat(flag: Vec<Dialect>, file: Option<&FileConfig>) -> Vec<Dialect> {
    let mut dialects = match file {
        Some(file) if flag.is_empty() => file.spec.compat.iter().copied().map(dialect).collect(),
        Some(_) | None => flag,
    };
    dialects.sort();
    dialects.dedup();
    dialects
}

fn dialect(written: api::Dialect) -> Dialect {
    match written {
        api::Dialect::Traefik => Dialect::Traefik,
        api::Dialect::NginxProxy => Dialect::NginxProxy,
        api::Dialect::Caddy => Dialect::Caddy,
        api::Dialect::DockerFlow => Dialect::DockerFlow,
    }
}

fn host_templates(
    flag: Option<Switch<HostTemplates>>,
    fields: Fields<'_>,
) -> Result<Vec<String>, InvalidSetting> {
    let field =
        fields.text("spec.defaultHostTemplate", |spec| &spec.default_host_template, parse::host_templates)?;
    let default = HostTemplates(Settings::default().default_host_templates);
    Ok(switch(flag, field, Some(default)).map_or_else(Vec::new, |templates| templates.0))
}

fn proxy_protocol(flag: Vec<NonZeroU16>, file: Option<&FileConfig>) -> Vec<NonZeroU16> {
    match file {
        Some(file) if flag.is_empty() => file.spec.proxy_protocol.clone(),
        Some(_) | None => flag,
    }
}

fn allowed(flag: Vec<Oddity>, file: Option<&FileConfig>) -> Allowed {
    let oddity = |written: &api::Oddity| match written {
        api::Oddity::EncodedSlash => Oddity::EncodedSlash,
        api::Oddity::Underscore => Oddity::Underscore,
    };
    match file {
        Some(file) if flag.is_empty() => file.spec.allow.iter().map(oddity).collect(),
        Some(_) | None => flag.into_iter().collect(),
    }
}

/// Ports that ask for a PROXY header where nobody's would be believed.
fn nobody_may_introduce(settings: &Settings) -> Option<String> {
    let ports: Vec<String> = settings.proxy_protocol.iter().map(ToString::to_string).collect();
    (!ports.is_empty() && settings.trusted_proxies.is_empty()).then(|| {
        format!(
            "every connection on port {} will be closed: `--proxy-protocol` takes PROXY headers only from \
             `--trusted-proxies`, which names nobody; name the load balancers there",
            ports.join(", ")
        )
    })
}

fn trusted_proxies(flag: Vec<Cidr>, fields: Fields<'_>) -> Result<Vec<Cidr>, InvalidSetting> {
    let Some(file) = fields.file.filter(|_| flag.is_empty()) else { return Ok(flag) };
    let parse = |text: &String| {
        text.parse::<Cidr>()
            .map_err(|error| fields.invalid("spec.trustedProxies", text, Invalid(error.to_string())))
    };
    file.spec.trusted_proxies.iter().map(parse).collect()
}

/// Actions on containers that nobody could ask for.
fn nobody_may_act(settings: &Settings) -> Option<String> {
    let has_token = settings.admin_token_file.is_some() && settings.admin.is_some();
    (settings.allow_container_actions && !has_token).then(|| {
        "`--allow-container-actions` has no effect: actions are asked for at the admin API with a token; name its file \
         with `--admin-token-file`"
            .to_owned()
    })
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// A field that is written as text, parsed as the flag is.
    fn text<T>(
        self,
        field: &'static str,
        of: impl FnOnce(&'a ControllerConfigSpec) -> &'a Option<String>,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Result<Option<T>, InvalidSetting> {
        let Some(text) = self.file.and_then(|file| of(&file.spec).as_deref()) else { return Ok(None) };
        parse(text).map(Some).map_err(|why| self.invalid(field, text, why))
    }

    fn duration(
        self,
        field: &'static str,
        of: impl FnOnce(&'a ControllerConfigSpec) -> &'a Option<api::Duration>,
    ) -> Result<Option<std::time::Duration>, InvalidSetting> {
        let Some(text) = self.file.and_then(|file| of(&file.spec).as_deref()) else { return Ok(None) };
        parse::duration(text).map(Some).map_err(|why| self.invalid(field, text, why))
    }

    fn resync(self) -> Result<Option<std::time::Duration>, InvalidSetting> {
        let Some(text) = self.file.and_then(|file| file.spec.resync.as_deref()) else { return Ok(None) };
        parse::interval(text).map(Some).map_err(|why| self.invalid("spec.resync", text, why))
    }

    fn workers(self) -> Result<Option<std::num::NonZeroUsize>, InvalidSetting> {
        let Some(number) = self.file.and_then(|file| file.spec.workers) else { return Ok(None) };
        let text = number.to_string();
        parse::workers(&text).map(Some).map_err(|why| self.invalid("spec.workers", &text, why))
    }

    fn invalid(self, field: &'static str, value: &str, why: Invalid) -> InvalidSetting {
        let origin = self.file.map(|file| file.origin.clone()).unwrap_or_default();
        InvalidSetting::Value { place: Place::Field { field, origin }, value: value.to_owned(), why }
    }
}

// === impl Environment ===

impl Environment {
    /// Reads it. This and the `env` of flags are the only places that do.
    pub fn read() -> Self {
        let text = |name: &str| std::env::var_os(name)?.into_string().ok().filter(|text| !text.is_empty());
        let path = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Self {
            docker_host: text("DOCKER_HOST"),
            docker_tls_verify: text("DOCKER_TLS_VERIFY").is_some(),
            docker_cert_path: path("DOCKER_CERT_PATH"),
            home: path("HOME"),
            state_home: path("XDG_STATE_HOME").filter(|path| path.is_absolute()),
            is_root: is_root(Path::new("/proc/self")),
        }
    }
}

/// The owner of the process's own directory is its user; asking the system needs `unsafe`.
fn is_root(own: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(own).is_ok_and(|metadata| metadata.uid() == 0)
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag `{name}`"),
            Self::Variable(name) => write!(f, "variable `{name}`"),
            Self::Field { field, origin } => write!(f, "`{field}` of ControllerConfig ({origin})"),
        }
    }
}
