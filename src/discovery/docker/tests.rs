//! The stream as its readers see it, over a scripted engine.

use std::{collections::BTreeMap, sync::Mutex};

use tokio::sync::mpsc;

use super::*;
use crate::runtime::reflect;

/// An engine whose containers a test changes, and whose event streams it feeds and cuts.
#[derive(Default)]
struct Fake {
    containers: Mutex<BTreeMap<WorkloadId, Inspected>>,
    streams: Mutex<Vec<mpsc::UnboundedSender<Result<Happening, Error>>>>,
    log: Mutex<Vec<&'static str>>,
}

// === impl Fake ===

impl Fake {
    fn set(&self, name: &str, state: &str) -> WorkloadId {
        let json = serde_json::json!({ "Id": name, "Name": name, "State": { "Status": state } });
        let container = inspected(serde_json::from_value(json).unwrap()).unwrap();
        let id = container.workload.id.clone();
        self.containers.lock().unwrap().insert(id.clone(), container);
        id
    }

    fn tell(&self, id: &WorkloadId, action: Action, time: i128) {
        let streams = self.streams.lock().unwrap();
        let happening = Happening { id: id.clone(), action, time };
        streams.last().unwrap().send(Ok(happening)).unwrap();
    }

    fn cut(&self) {
        self.streams.lock().unwrap().clear();
    }
}

impl Api for Fake {
    fn version(&self) -> BoxFuture<'static, Result<Version, Error>> {
        self.log.lock().unwrap().push("version");
        std::future::ready(Ok(Version { major: 1, minor: 41 })).boxed()
    }

    fn list(&self) -> BoxFuture<'static, Result<Vec<Sighting>, Error>> {
        self.log.lock().unwrap().push("list");
        let ids: Vec<_> = self.containers.lock().unwrap().keys().map(|id| id.0.clone()).collect();
        let read = |id| sighting(serde_json::from_value(serde_json::json!({ "Id": id })).unwrap());
        std::future::ready(Ok(ids.into_iter().filter_map(read).collect())).boxed()
    }

    fn inspect(&self, id: &WorkloadId) -> BoxFuture<'static, Result<Option<Inspected>, Error>> {
        std::future::ready(Ok(self.containers.lock().unwrap().get(id).cloned())).boxed()
    }

    fn events(&self, _since: i128) -> BoxStream<'static, Result<Happening, Error>> {
        self.log.lock().unwrap().push("events");
        let (sender, mut receiver) = mpsc::unbounded_channel();
        self.streams.lock().unwrap().push(sender);
        futures::stream::poll_fn(move |context| receiver.poll_recv(context)).boxed()
    }
}

/// Reads notices into a store until it holds what `wanted` says.
async fn until(
    notices: &mut (impl Stream<Item = Notice> + Unpin),
    writer: &mut reflect::Writer<Workload>,
    mut wanted: impl FnMut() -> bool,
) {
    let read = async {
        while !wanted() {
            if let Some(Notice::Event(event)) = notices.next().await {
                writer.apply(event);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), read).await.expect("it came to be within 5 s");
}

#[tokio::test(start_paused = true)]
async fn a_store_follows_the_engine_through_cuts_and_silence() {
    let fake = Arc::new(Fake::default());
    let first = fake.set("first", "running");
    let mut notices = Box::pin(follow(fake.clone(), Timing::default()));
    let (mut writer, store) = reflect::store();
    until(&mut notices, &mut writer, || store.is_ready()).await;
    assert_eq!(store.len(), 1);
    assert_eq!(*fake.log.lock().unwrap(), ["version", "events", "list"]);

    let second = fake.set("second", "running");
    fake.tell(&second, Action::Other, 10);
    until(&mut notices, &mut writer, || store.find(&second).is_some()).await;

    // Cut: what happens meanwhile is told by no event.
    fake.cut();
    fake.containers.lock().unwrap().remove(&first);
    until(&mut notices, &mut writer, || store.find(&first).is_none()).await;

    // Half-open: events go into a stream that nobody hears, until it is opened again.
    let deaf = fake.streams.lock().unwrap().pop();
    fake.set("second", "paused");
    let streams = fake.streams.lock().unwrap().len();
    let reopened = async {
        while fake.streams.lock().unwrap().len() == streams {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        fake.tell(&second, Action::Pause, 20);
    };
    let paused = || store.find(&second).is_some_and(|w| w.phase == crate::model::Phase::Paused);
    tokio::join!(reopened, until(&mut notices, &mut writer, paused));
    drop(deaf);
}
