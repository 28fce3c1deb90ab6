//! Lines as a reader sees them.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use super::*;

fn record() -> Record<'static> {
    Record {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
        request_id: b"abc",
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        method: "GET",
        host: b"a.test",
        path: b"/x?y=1",
        protocol: "HTTP/1.1",
        status: 200,
        bytes_in: 0,
        bytes_out: 5,
        duration: Duration::from_micros(1_234),
        upstream_duration: Some(Duration::from_millis(1)),
        listener: "default/web/http",
        route: "default/r",
        rule: "0",
        backend: "default/b:80",
        endpoint: "b-1",
        reason: "",
        user_agent: b"curl/8",
        referer: b"",
    }
}

/// What is written for `records`.
fn written(format: Format, records: &[Record<'_>]) -> String {
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let shared = Shared::default();
    let (mut log, writer) = start(format, Box::new(shared.clone()), &Metrics::new()).unwrap();
    for record in records {
        log.write(record);
    }
    drop(log);
    writer.join();
    let bytes = shared.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_json_line_is_an_object_without_what_is_absent() {
    let line = written(Format::Json, &[record()]);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["time"], "1970-01-01T00:00:01.500Z");
    assert_eq!(value["status"], 200);
    assert_eq!(value["duration"], 0.001_234);
    assert_eq!(value["endpoint"], "b-1");
    assert!(value.get("referer").is_none() && value.get("reason").is_none(), "{line}");
}

#[test]
fn a_text_line_begins_like_the_combined_format() {
    assert_eq!(
        written(Format::Text, &[record()]),
        "127.0.0.1 - - [1970-01-01T00:00:01.500Z] \"GET /x?y=1 HTTP/1.1\" 200 5 \"-\" \"curl/8\" a.test abc \
         0.001234 default/r default/b:80 b-1\n"
    );
}

#[test]
fn a_client_cannot_forge_a_line() {
    let hostile: &[u8] = b"x\"} \n{\"a\":\"\x1b[31m\\\xff\xe2\x80\xae";
    let record = Record { user_agent: hostile, path: hostile, host: hostile, ..record() };
    for format in [Format::Text, Format::Json] {
        let line = written(format, &[record]);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(!line.contains('\x1b') && !line.contains('\u{202e}'), "{line}");
    }
    let value: serde_json::Value = serde_json::from_str(&written(Format::Json, &[record])).unwrap();
    assert_eq!(value["userAgent"], String::from_utf8_lossy(hostile).as_ref());
}

#[test]
fn many_lines_arrive_whole_and_in_order() {
    let records = vec![record(); 1000];
    let text = written(Format::Json, &records);
    assert_eq!(text.lines().count(), 1000);
    assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[test]
fn what_cannot_be_written_in_time_is_dropped_and_counted() {
    struct Stuck(Receiver<()>);
    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let metrics = Metrics::new();
    let (release, stuck) = std::sync::mpsc::channel();
    let (mut log, writer) = start(Format::Text, Box::new(Stuck(stuck)), &metrics).unwrap();
    for _ in 0..AccessLog::BLOCKS + 10 {
        log.write(&record());
        log.flush();
    }
    drop(release);
    drop(log);
    writer.join();
    let text = metrics.render();
    let dropped = text.lines().find_map(|line| line.strip_prefix("portolan_access_log_dropped_total "));
    let dropped: u32 = dropped.unwrap().parse().unwrap();
    assert!((9..=10).contains(&dropped), "{dropped} lines were dropped");
}
