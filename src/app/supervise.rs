//! Starts workers of the data plane again that have died, unless that does not help.

use std::sync::{Arc, Mutex};

use tokio::{sync::oneshot, time::Instant};

use crate::{
    proxy::{Death, Deaths, Restarts, Workers},
    telemetry::Metrics,
};

/// Runs until it gives up, and says why.
pub(super) async fn supervise(
    workers: Arc<Mutex<Option<Workers>>>,
    mut deaths: Deaths,
    metrics: Metrics,
    given_up: oneshot::Sender<String>,
) {
    let mut restarts = Restarts::default();
    let words = loop {
        let Death { worker, cause } = deaths.next().await;
        if let Err(words) = revive(&workers, &mut restarts, &metrics, (worker, cause)).await {
            break words;
        }
    };
    // Nobody may be waiting for it: then all of it ends already.
    let _ = given_up.send(words);
}

/// Starts a worker, until it runs or there is no hope.
async fn revive(
    workers: &Mutex<Option<Workers>>,
    restarts: &mut Restarts,
    metrics: &Metrics,
    (worker, mut cause): (usize, String),
) -> Result<(), String> {
    loop {
        tracing::error!(
            worker,
            "a thread that serves requests has ended by a fault of Portolan's own, and its connections with it: {cause}; \
             it is started again; please report it"
        );
        let Some(pause) = restarts.next(Instant::now()) else {
            return Err(format!(
                "threads that serve requests have ended {} times within {} s, the last time by: {cause}",
                Restarts::MOST,
                Restarts::WITHIN.as_secs()
            ));
        };
        tokio::time::sleep(pause).await;
        // Without workers they drain: then nobody comes back.
        let revived = super::lock(workers).as_mut().map_or(Ok(()), |workers| workers.revive(worker));
        match revived {
            Ok(()) => {
                metrics.worker_restarted();
                return Ok(());
            }
            Err(error) => cause = format!("it cannot be started: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use crate::app::{self, Running, Settings, lock, settings::AccessLogFormat};

    async fn start() -> (Running, SocketAddr) {
        let mut settings = Settings {
            docker: None,
            http: Some("127.0.0.1:0".parse().unwrap()),
            https: None,
            admin: None,
            workers: NonZeroUsize::new(2).unwrap(),
            ..Settings::default()
        };
        settings.access_log.format = AccessLogFormat::Off;
        let mut running = app::start(settings).await.unwrap();
        running.report.changed().await;
        let address = running.http.unwrap();
        (running, address)
    }

    /// Asks over a connection of its own.
    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn kill(running: &Running, worker: usize) {
        lock(&running.workers).as_ref().unwrap().kill(worker);
    }

    #[tokio::test]
    async fn a_dead_worker_comes_back_and_no_new_connection_is_lost() {
        let (mut running, address) = start().await;
        kill(&running, 1);
        // Some of these are given to the socket of the dead one, and wait.
        for _ in 0..40 {
            let answer = ask(address).await;
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        }
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while !running.metrics.render().contains("portolan_worker_restarts_total 1") {
            assert!(tokio::time::Instant::now() < deadline, "it is not counted");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(tokio::time::timeout(Duration::ZERO, running.failed()).await.is_err());
        running.shutdown().await;
    }

    #[tokio::test]
    async fn workers_that_keep_dying_end_the_process_with_the_cause() {
        let (mut running, _) = start().await;
        let workers = running.workers.clone();
        let killer = async {
            loop {
                lock(&workers).as_ref().unwrap().kill(0);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let failure = tokio::select! {
            failure = running.failed() => failure,
            () = killer => unreachable!(),
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("it goes on for ever"),
        };
        assert_eq!(
            failure,
            "threads that serve requests have ended 5 times within 60 s, the last time by: lost at sea"
        );
    }
}
