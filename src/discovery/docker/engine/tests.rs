//! bollard against scripted engines: what is on the wire, and what comes of the answers.

use std::{collections::VecDeque, path::PathBuf};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixListener,
};

use super::*;

/// An engine that answers each request by a function of its path, and notes the paths.
struct Scripted {
    _folder: tempfile::TempDir,
    path: PathBuf,
    asked: Arc<Mutex<VecDeque<String>>>,
    _tasks: crate::runtime::Tasks,
}

// === impl Scripted ===

impl Scripted {
    fn new(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let asked = Arc::new(Mutex::new(VecDeque::new()));
        let notes = asked.clone();
        let mut tasks = crate::runtime::Tasks::new();
        tasks.spawn("engine", async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let head = String::from_utf8(head).unwrap();
                let line = head.lines().next().unwrap_or_default();
                let path = line.trim_end_matches(" HTTP/1.1").to_owned();
                let (status, body) = answer(path.split_once(' ').map_or("", |(_, path)| path));
                notes.lock().unwrap().push_back(path);
                let length = body.len();
                let reply = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
                );
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        Self { _folder: folder, path, asked, _tasks: tasks }
    }

    fn engine(&self) -> Engine {
        Engine::new(Endpoint::Unix(self.path.clone()))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().drain(..).collect()
    }
}

fn versions(minimum: &str, newest: &str) -> String {
    format!(r#"{{"ApiVersion":"{newest}","MinAPIVersion":"{minimum}"}}"#)
}

/// An engine that offers these versions and refuses all others, as real ones do.
fn speaks(minimum: &'static str, newest: &'static str) -> impl Fn(&str) -> (u16, String) {
    move |path| {
        let asked = path.strip_prefix("/v").and_then(|rest| rest.split('/').next());
        let asked: Option<Version> = asked.and_then(|version| version.parse().ok());
        let (low, high): (Version, Version) = (minimum.parse().unwrap(), newest.parse().unwrap());
        match asked {
            Some(asked) if asked < low => (400, r#"{"message":"client version is too old"}"#.to_owned()),
            Some(asked) if asked > high => (400, r#"{"message":"client version is too new"}"#.to_owned()),
            _ if path.ends_with("/version") => (200, versions(minimum, newest)),
            _ => (200, "[]".to_owned()),
        }
    }
}

#[tokio::test]
async fn the_settled_version_is_in_every_path_after_the_first() {
    for (minimum, newest, spoken) in [
        ("1.12", "1.41", "1.41"),
        ("1.24", "1.24", "1.24"),
        ("1.44", "1.52", "1.52"),
        ("1.60", "1.61", "1.60"),
    ] {
        let scripted = Scripted::new(speaks(minimum, newest));
        let engine = scripted.engine();
        assert_eq!(engine.version().await.unwrap().to_string(), spoken);
        assert_eq!(engine.list().await.unwrap(), []);
        let asked = scripted.asked();
        assert_eq!(asked[0], "GET /version");
        assert_eq!(asked[1], format!("GET /v{spoken}/containers/json?all=true&size=false"));
    }
}

#[tokio::test]
async fn an_engine_that_was_replaced_by_an_older_one_is_asked_anew() {
    let newest = Arc::new(Mutex::new("1.52"));
    let spoken = newest.clone();
    let scripted = Scripted::new(move |path| speaks("1.24", *spoken.lock().unwrap())(path));
    let engine = scripted.engine();
    assert_eq!(engine.version().await.unwrap().to_string(), "1.52");
    *newest.lock().unwrap() = "1.41";
    assert_eq!(engine.version().await.unwrap().to_string(), "1.41");
    assert!(engine.list().await.is_ok());
}

#[tokio::test]
async fn a_proxy_that_wants_a_version_in_every_path_gets_one() {
    let scripted = Scripted::new(|path| match path {
        "/version" => (403, "Forbidden".to_owned()),
        path => speaks("1.24", "1.41")(path),
    });
    let engine = scripted.engine();
    assert_eq!(engine.version().await.unwrap().to_string(), "1.41");
    assert!(engine.list().await.is_ok());
}

#[tokio::test]
async fn a_refusal_names_the_request_and_the_switch() {
    let scripted = Scripted::new(|path| match path {
        "/version" => (200, versions("1.24", "1.41")),
        _ => (403, "<html><body><h1>403 Forbidden</h1></body></html>".to_owned()),
    });
    let engine = scripted.engine();
    engine.version().await.unwrap();
    let id = WorkloadId("abc".into());
    let events = engine.events(0).next().await.unwrap().unwrap_err();
    for (error, words) in [
        (
            engine.list().await.unwrap_err(),
            "`GET /containers/json` is refused by the socket proxy; allow `CONTAINERS=1`",
        ),
        (
            engine.inspect(&id).await.unwrap_err(),
            "`GET /containers/{id}/json` is refused by the socket proxy; allow `CONTAINERS=1`",
        ),
        (events, "`GET /events` is refused by the socket proxy; allow `EVENTS=1`"),
    ] {
        assert_eq!(error.to_string(), words);
    }
    assert!(scripted.asked().iter().all(|asked| asked.starts_with("GET ")));
}

#[tokio::test]
async fn a_container_that_is_gone_is_no_error() {
    let scripted = Scripted::new(|path| match path {
        "/version" => (200, versions("1.24", "1.41")),
        "/v1.41/containers/broken/json" => (200, "{".to_owned()),
        _ => (404, r#"{"message":"No such container: abc"}"#.to_owned()),
    });
    let engine = scripted.engine();
    engine.version().await.unwrap();
    assert_eq!(engine.inspect(&WorkloadId("abc".into())).await.unwrap(), None);
    let broken = engine.inspect(&WorkloadId("broken".into())).await.unwrap_err();
    assert!(broken.is_local(), "{broken}");
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named_and_found_when_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("engine.sock");
    let engine = Engine::new(Endpoint::Unix(path.clone()));
    let error = engine.version().await.unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()) && !error.is_local(), "{error}");
    let scripted = Scripted::new(speaks("1.24", "1.41"));
    std::fs::rename(&scripted.path, &path).unwrap();
    assert_eq!(engine.version().await.unwrap().to_string(), "1.41");
}

#[tokio::test]
async fn events_are_asked_for_from_a_time_on_and_filtered_by_the_engine() {
    let scripted = Scripted::new(|_| (200, String::new()));
    let engine = scripted.engine();
    assert!(engine.events(1_795_257_436_742_194_674).next().await.is_none());
    let asked = scripted.asked().pop().unwrap();
    assert!(asked.starts_with("GET /events?since=1795257436.742194674&filters=%7B"), "{asked}");
    assert!(asked.contains("health_status") && asked.contains("network"), "{asked}");
}

#[test]
fn recorded_events_are_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/docker/events.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let read: Vec<_> =
        text.lines().filter_map(|line| happening(serde_json::from_str(line).unwrap())).collect();
    assert_eq!(read.len(), text.lines().count());
    let signal = |name| Action::Kill(Signal::parse(name));
    assert_eq!((&read[0].id.0[..6], read[0].action), ("eccc08", signal("HUP")));
    // A network's event is about the container that it names.
    assert_eq!((&read[1].id.0[..6], read[1].action), ("4b4272", Action::Other));
    assert_eq!(read[0].time, 1_795_257_669_178_787_600);
    let actions: Vec<_> = read.iter().map(|happening| happening.action).collect();
    for action in [signal("TERM"), signal("KILL"), Action::Die] {
        assert!(actions.contains(&action), "{action:?}");
    }
}

#[test]
fn other_engines_words_for_events_are_understood() {
    for (event, action) in [
        (r#"{"Type":"container","Action":"died","Actor":{"ID":"a"},"time":5}"#, Action::Die),
        (
            r#"{"Type":"container","Action":"health_status: healthy","Actor":{"ID":"a"},"time":5}"#,
            Action::Other,
        ),
        (r#"{"Action":"remove","Actor":{"ID":"a"},"time":5}"#, Action::Destroy),
        (r#"{"Type":"container","Action":"kill","Actor":{"ID":"a"},"time":5}"#, Action::Kill(None)),
    ] {
        let read = happening(serde_json::from_str(event).unwrap()).unwrap();
        assert_eq!((read.action, read.time), (action, 5_000_000_000), "{event}");
    }
    for nobody in [r#"{"Type":"network","Action":"connect","Actor":{"ID":"n"}}"#, "{}"] {
        assert_eq!(happening(serde_json::from_str(nobody).unwrap()), None);
    }
}
