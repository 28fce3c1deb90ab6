//! `portolan drain`: a container gets no new requests, and what is under way finishes before anything else happens.

use http::Method;

use super::{
    acting::{Acting, Emptied, Look, requests},
    args::DrainArgs,
    client::block_on,
    exit::Exit,
    print,
    progress::Progress,
    run::signals::Signals,
};

/// Exit code 0 where it is drained, 1 where that is refused or taken back, 3 where the time was over.
pub fn drain(args: &DrainArgs) -> anyhow::Result<Exit> {
    block_on(async {
        let acting = Acting::new(&args.server, &args.token).await?;
        if args.cancel {
            let look = Look::of(&acting.ask(Method::DELETE, &args.container, "drain").await??);
            print::message(&format!("container `{}` gets requests again", look.name));
            return Ok(Exit::Yes);
        }
        run(&acting, args).await
    })
}

async fn run(acting: &Acting, args: &DrainArgs) -> anyhow::Result<Exit> {
    let mut signals = Signals::new()?;
    let mut progress = Progress::new();
    let verb = if args.force { "drain?force=true" } else { "drain" };
    if args.then_stop
        && let Some(look) = acting.look(&args.container).await?.filter(|look| look.phase == "running")
    {
        // It runs already, so this changes nothing, but says whether stopping will be possible.
        acting.ask(Method::POST, &look.id, "start").await??;
    }
    let look = Look::of(&acting.ask(Method::POST, &args.container, verb).await??);
    let name = &look.name;
    progress.step(&format!("container `{name}` gets no new requests"));
    let ids = [look.id.clone()];
    // The wait only asks: nothing is lost when a signal ends it.
    let emptied = tokio::select! {
        emptied = acting.empty(&ids, args.timeout, &mut progress) => emptied?,
        signal = signals.next() => {
            acting.ask(Method::DELETE, &look.id, "drain").await??;
            progress.step(&format!("{signal}: container `{name}` gets requests again"));
            return Ok(Exit::No);
        }
    };
    match emptied {
        Emptied::Empty => progress.step(&format!("container `{name}` is drained: nothing is under way")),
        Emptied::Late(left) => {
            let stopped = if args.then_stop { " and was not stopped" } else { "" };
            progress.step(&format!(
                "after {:?} container `{name}` still has {}; it stays drained{stopped}: run this again, or take it \
                 back with `portolan drain --cancel {name}`",
                args.timeout,
                requests(left)
            ));
            return Ok(Exit::Late);
        }
        Emptied::Ended(now) if now.phase == "running" => {
            progress.step(&format!("somebody else took it back: container `{name}` gets requests again"));
            return Ok(Exit::No);
        }
        Emptied::Ended(now) => {
            progress.step(&format!("container `{name}` stopped by itself: it is {}", now.phase));
            return Ok(if args.then_stop { Exit::Yes } else { Exit::No });
        }
    }
    if args.then_stop {
        progress.wait(&format!("stopping container `{name}`"));
        acting.ask(Method::POST, &look.id, "stop").await??;
        progress.step(&format!("container `{name}` is stopped"));
    }
    Ok(Exit::Yes)
}
