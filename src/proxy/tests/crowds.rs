//! Who gets requests where several could: by chance, while others are busy, gone, left out or not asked yet.

use super::*;
use crate::model::{BackendPolicy, Balancing};

#[tokio::test]
async fn every_endpoint_of_every_backend_of_a_rule_gets_its_share() {
    for balancing in [Balancing::LeastRequest, Balancing::Random] {
        let mut servers = Vec::new();
        for _ in 0..4 {
            servers.push(Server::echo().await);
        }
        let choice = |(index, pair): (usize, &[Server])| {
            let endpoints = pair.iter().map(|server| endpoint(server.address)).collect();
            let policy = BackendPolicy { balancing: balancing.clone(), ..BackendPolicy::default() };
            let name = format!("default/{index}").into();
            let backend = Backend { name, endpoints, policy: Arc::new(policy), reason: "".into() };
            Choice::new(1, Target::Backend(Arc::new(backend)), Vec::new())
        };
        let backends = Weighted::new(servers.chunks(2).enumerate().map(choice).collect());
        let proxy =
            Proxy::start(config(), table(vec![("/", Rule { backends, ..rule(backend(Vec::new())) })]));
        let mut client = proxy.connect().await;
        for _ in 0..200 {
            client.send(get("/")).await;
            assert_eq!(client.reply().await.status, 200);
        }
        let heard: Vec<usize> = servers.iter().map(|server| server.heard().len()).collect();
        assert!(heard.iter().all(|heard| (20..=80).contains(heard)), "{balancing:?}: {heard:?}");
    }
}

