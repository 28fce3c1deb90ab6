//! `portolan health`: for `HEALTHCHECK`, so that an image needs no other program.

use anyhow::Context as _;

use super::{
    args::HealthArgs,
    client::{Client, block_on},
    exit::Exit,
    print,
};

/// Yes or no, never trouble: Docker knows only 0 and 1, and silence is a no.
pub fn health(args: &HealthArgs) -> anyhow::Result<Exit> {
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let client = Client::new(args.server.admin.clone());
    let answer = block_on(async {
        let answer = tokio::time::timeout(args.timeout, client.get(path)).await;
        answer.with_context(|| format!("no answer within {:?}", args.timeout))?
    });
    match answer {
        Ok(answer) => {
            // Docker keeps what is printed and shows it in `docker inspect`.
            print::message(String::from_utf8_lossy(&answer.body).trim_end());
            Ok(if answer.status.is_success() { Exit::Yes } else { Exit::No })
        }
        Err(error) => {
            print::error(&super::exit::message(&error));
            Ok(Exit::No)
        }
    }
}
