//! Who may have something done, what is asked for then, and what each answer says.

use std::collections::BTreeSet;

use tokio::sync::mpsc;

use super::*;
use crate::model::{Declined, DrainAsk, DrainState, Why};

/// An actor that notes what it is asked for and answers the same each time.
async fn acting(
    answer: Result<Done, Declined>,
    token: Option<&str>,
) -> (Running, Arc<std::sync::Mutex<Vec<(String, Deed)>>>, crate::runtime::Tasks, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let token = token.map(|token| {
        let path = directory.path().join("token");
        std::fs::write(&path, token).unwrap();
        TokenFile(path)
    });
    let (asked, mut actions) = mpsc::channel::<Action>(1);
    let noted = Arc::new(std::sync::Mutex::new(Vec::new()));
    let book = noted.clone();
    let mut tasks = crate::runtime::Tasks::new();
    tasks.spawn("actor", async move {
        while let Some(action) = actions.recv().await {
            book.lock().unwrap().push((action.container, action.deed));
            let _ = action.answer.send(answer.clone());
        }
    });
    let running = start_with(Report::default(), Actions { token, asked }).await;
    (running, noted, tasks, directory)
}

fn drained() -> Done {
    let state = DrainState {
        id: WorkloadId("abc".into()),
        name: "web".into(),
        phase: Phase::Running,
        health: Health::Unchecked,
        is_draining: true,
        is_own: false,
        addresses: Arc::new(BTreeSet::new()),
    };
    Done::Drain(state, 3)
}

fn request(line: &str, token: &str) -> String {
    let shown = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{shown}Content-Length: 0\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn an_action_needs_the_token_and_looking_does_not() {
    let (mut running, noted, _tasks, _directory) = acting(Ok(drained()), Some("s3cret\n")).await;
    let drain = "POST /api/v1/containers/web/drain";
    let bare = running.ask(&request(drain, "")).await;
    assert_eq!(bare.status, 401, "{}", bare.body);
    assert!(bare.head.contains("www-authenticate: bearer"), "{}", bare.head);
    assert!(bare.body.contains("--admin-token-file"), "{}", bare.body);
    let wrong = running.ask(&request(drain, "s3cre")).await;
    assert_eq!(wrong.status, 401, "{}", wrong.body);
    assert!(!wrong.body.contains("s3cret"), "{}", wrong.body);
    assert_eq!(*noted.lock().unwrap(), []);

    let done = running.ask(&request(drain, "s3cret")).await;
    let answer: Value = serde_json::from_str(&done.body).unwrap();
    assert_eq!((done.status, &answer["draining"], &answer["inFlight"]), (200, &json!(true), &json!(3)));
    assert_eq!(running.get("/api/v1/containers/web/drain").await.status, 200);
    let asked = |ask| ("web".to_owned(), Deed::Drain(ask));
    assert_eq!(*noted.lock().unwrap(), [asked(DrainAsk::Begin), asked(DrainAsk::Look)]);
}

#[tokio::test]
async fn without_a_token_file_nothing_is_done_and_the_answer_says_what_to_do() {
    let (mut running, noted, _tasks, _directory) = acting(Ok(drained()), None).await;
    for verb in ["drain", "probe", "start", "stop", "restart", "remove"] {
        let answer = running.ask(&request(&format!("POST /api/v1/containers/web/{verb}"), "s3cret")).await;
        assert_eq!(answer.status, 403, "{verb}: {}", answer.body);
        assert!(answer.body.contains("start it with `--admin-token-file FILE`"), "{}", answer.body);
    }
    assert_eq!(*noted.lock().unwrap(), []);
}

#[tokio::test]
async fn each_path_and_method_is_one_deed() {
    let (mut running, noted, _tasks, _directory) = acting(Ok(drained()), Some("t")).await;
    for (line, deed) in [
        ("POST /api/v1/containers/w%20b/drain", Some(Deed::Drain(DrainAsk::Begin))),
        ("POST /api/v1/containers/w%20b/drain?force=true", Some(Deed::Drain(DrainAsk::Force))),
        ("DELETE /api/v1/containers/w%20b/drain", Some(Deed::Drain(DrainAsk::Cancel))),
        ("POST /api/v1/containers/w%20b/probe", Some(Deed::Probe)),
        ("POST /api/v1/containers/w%20b/start", Some(Deed::Start)),
        ("POST /api/v1/containers/w%20b/stop", Some(Deed::Stop)),
        ("POST /api/v1/containers/w%20b/restart", Some(Deed::Restart)),
        ("POST /api/v1/containers/w%20b/remove", Some(Deed::Remove)),
        ("POST /api/v1/containers/w%20b/exec", None),
        ("DELETE /api/v1/containers/w%20b/stop", None),
        ("POST /api/v1/containers/w%20b/drain?forced=true", None),
    ] {
        noted.lock().unwrap().clear();
        let answer = running.ask(&request(line, "t")).await;
        assert_eq!(answer.status == 200, deed.is_some(), "{line}: {}", answer.body);
        let expected: Vec<_> = deed.map(|deed| ("w b".to_owned(), deed)).into_iter().collect();
        assert_eq!(*noted.lock().unwrap(), expected, "{line}");
    }
}

#[tokio::test]
async fn a_refusal_has_the_status_of_its_reason_and_the_actors_words() {
    for (why, status) in [
        (Why::Unknown, 404),
        (Why::Conflict, 409),
        (Why::Forbidden, 403),
        (Why::Unready, 503),
        (Why::Engine, 502),
    ] {
        let declined = Declined { why, reason: "Because", message: "do something else".to_owned() };
        let (mut running, _, _tasks, _directory) = acting(Err(declined), Some("t")).await;
        let answer = running.ask(&request("POST /api/v1/containers/web/stop", "t")).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(
            answer.body.contains("do something else") && answer.body.contains("Because"),
            "{}",
            answer.body
        );
    }
}
