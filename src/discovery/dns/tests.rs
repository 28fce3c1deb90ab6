//! What is told of names, and when.

use std::{io, sync::Mutex};

use super::*;

/// Answers from a table that a test changes.
#[derive(Default)]
struct Fake {
    answers: Mutex<BTreeMap<Arc<str>, Vec<IpAddr>>>,
    asked: Mutex<usize>,
}

// === impl Fake ===

impl Fake {
    fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.answers.lock().unwrap().insert(name.into(), addresses);
    }
}

impl Resolve for Fake {
    fn resolve(&self, name: Arc<str>) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        *self.asked.lock().unwrap() += 1;
        let answer = self.answers.lock().unwrap().get(&name).cloned();
        let answer = answer.ok_or_else(|| io::Error::other("no such name"));
        async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            answer
        }
        .boxed()
    }
}

fn names(names: &[&str]) -> BTreeSet<Arc<str>> {
    names.iter().map(|&name| name.into()).collect()
}

fn told(answer: Option<Answer>) -> String {
    match answer.expect("the stream goes on") {
        (name, Ok(addresses)) => format!("{name}: {addresses:?}"),
        (name, Err(why)) => format!("{name}: {why}"),
    }
}

#[tokio::test(start_paused = true)]
async fn new_answers_are_told_once_and_sorted() {
    let fake = Arc::new(Fake::default());
    fake.set("db", &["10.0.0.9", "10.0.0.1", "10.0.0.9"]);
    let (wanted, receiver) = watch::channel(names(&["db"]));
    let mut answers = Box::pin(watch_by(fake.clone(), receiver));
    assert_eq!(told(answers.next().await), "db: [10.0.0.1, 10.0.0.9]");
    let quiet = tokio::time::timeout(Duration::from_secs(3), answers.next()).await;
    assert!(quiet.is_err() && *fake.asked.lock().unwrap() >= 3, "{quiet:?}");
    fake.set("db", &["10.0.0.2"]);
    assert_eq!(told(answers.next().await), "db: [10.0.0.2]");
    drop(wanted);
    assert!(answers.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_name_keeps_its_addresses_while_the_resolver_fails() {
    let fake = Arc::new(Fake::default());
    fake.set("db", &["10.0.0.1"]);
    let (_wanted, receiver) = watch::channel(names(&["db", "nowhere"]));
    let mut answers = Box::pin(watch_by(fake.clone(), receiver));
    let mut first = [told(answers.next().await), told(answers.next().await)];
    first.sort();
    assert_eq!(first, ["db: [10.0.0.1]", "nowhere: no such name"]);
    fake.answers.lock().unwrap().clear();
    assert!(tokio::time::timeout(Duration::from_secs(3), answers.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_wanted_anew_is_asked_for_at_once() {
    let fake = Arc::new(Fake::default());
    fake.set("db", &["10.0.0.1"]);
    fake.set("web", &["10.0.0.2"]);
    let (wanted, receiver) = watch::channel(names(&["db"]));
    let mut answers = Box::pin(watch_by(fake, receiver));
    answers.next().await;
    wanted.send_replace(names(&["web"]));
    let soon = tokio::time::timeout(Duration::from_millis(20), answers.next()).await;
    assert_eq!(told(soon.unwrap()), "web: [10.0.0.2]");
    // Forgotten, and so told again when it is wanted again.
    wanted.send_replace(names(&["db", "web"]));
    assert_eq!(told(answers.next().await), "db: [10.0.0.1]");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_names_are_asked_for_a_few_at_a_time() {
    let fake = Arc::new(Fake::default());
    let many: BTreeSet<Arc<str>> = (0..1000).map(|number| format!("n{number}").into()).collect();
    for name in &many {
        fake.set(name, &["10.0.0.1"]);
    }
    let (_wanted, receiver) = watch::channel(many);
    let mut answers = Box::pin(watch_by(fake.clone(), receiver));
    answers.next().await;
    assert!(*fake.asked.lock().unwrap() <= 16);
    for _ in 1..1000 {
        answers.next().await;
    }
}

#[tokio::test]
async fn the_systems_resolver_knows_this_machine() {
    let (_wanted, receiver) = watch::channel(names(&["localhost"]));
    let mut answers = Box::pin(watch(receiver));
    let (name, found) = answers.next().await.unwrap();
    assert!(&*name == "localhost" && found.unwrap().iter().all(IpAddr::is_loopback));
}
