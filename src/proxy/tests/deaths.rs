//! A worker that dies, and its successor.

use super::*;
use crate::proxy::Death;

#[tokio::test]
async fn the_successor_of_a_dead_worker_serves_who_waited_and_counts_on() {
    let server = Server::echo().await;
    let mut proxy = Proxy::start(config(), serving(&[server.address]));
    let mut idle = proxy.connect().await;
    idle.send(get("/before")).await;
    assert_eq!(idle.reply().await.status, 200);

    proxy.workers.kill(0);
    let death = soon(proxy.deaths.next()).await;
    assert_eq!(death, Death { worker: 0, cause: "lost at sea".to_owned() });
    assert_eq!(idle.rest().await, b"", "its connections are gone");
    let mut waiting = proxy.connect().await;
    waiting.send(get("/waits")).await;

    proxy.workers.revive(0).unwrap();
    assert_eq!(waiting.reply().await.status, 200);
    let text = proxy.metrics.render();
    let requests = text.lines().filter(|line| line.starts_with("portolan_http_requests_total{"));
    let requests: Vec<_> = requests.filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(requests, ["2"], "{text}");
    until("only the connection that is open is counted", || {
        let text = proxy.metrics.render();
        let open = text.lines().filter(|line| line.starts_with("portolan_connections{"));
        open.filter_map(|line| line.rsplit(' ').next()?.parse::<u32>().ok()).sum::<u32>() == 1
    })
    .await;
    // What is opened and closed later is as ever.
    proxy.workers.close(&[asked()]);
    let refused = async || TcpStream::connect(proxy.address).await.is_err();
    while !soon(refused()).await {}
}
