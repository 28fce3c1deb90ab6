//! The log: what happened, for people (text) or machines (JSON). Silent while nothing changes.

use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "the log level `{level}` is not valid: write `info`, or directives such as `portolan=debug,hyper=warn`"
    )]
    Level { level: String, source: tracing_subscriber::filter::ParseError },
    #[error("a log was set up before")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends the events of this process to standard error. `level` is a level, or directives by module.
pub fn install(format: Format, level: &str) -> Result<(), Error> {
    let filter = filter(level)?;
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let layer = match format {
        Format::Text => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            layer.with_ansi(ansi).boxed()
        }
        Format::Json => layer.json().flatten_event(true).with_current_span(false).with_ansi(false).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    Ok(())
}

fn filter(level: &str) -> Result<EnvFilter, Error> {
    // Libraries speak of every connection below `warn`; that is their log, not ours.
    let directives =
        if level.contains(['=', ',']) { level.to_owned() } else { format!("warn,portolan={level}") };
    EnvFilter::try_new(directives).map_err(|source| Error::Level { level: level.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_for_our_own_events() {
        assert_eq!(filter("debug").unwrap().to_string(), "portolan=debug,warn");
        assert_eq!(filter("info,hyper=trace").unwrap().to_string(), "hyper=trace,info");
    }

    #[test]
    fn a_level_that_does_not_exist_is_named() {
        let error = filter("portolan=loud").unwrap_err().to_string();
        assert!(error.contains("`portolan=loud`"), "{error}");
    }
}
