//! Each input is fed whole, and again byte by byte: both must be read alike.

use super::*;

/// The state after `text`, or the offset at which it is refused.
fn read(text: &str) -> Result<State, usize> {
    let mut whole = Scanner::new();
    let result = whole.feed(text.as_bytes()).map(|()| whole.state()).map_err(|Refused(at)| at);
    let mut single = Scanner::new();
    let bytewise = text
        .bytes()
        .enumerate()
        .try_for_each(|(at, byte)| single.feed(&[byte]).map_err(|_| at))
        .map(|()| single.state());
    assert_eq!(result, bytewise, "{text:?}");
    result
}

fn head(headers: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}

#[test]
fn messages_follow_each_other() {
    let messages = [
        head(""),
        head("Content-Length: 3\r\n") + "abc",
        "\r\n".to_owned() + &head("content-length:\t0 \r\n"),
        head("Transfer-Encoding: Chunked\r\n") + "3\r\nabc\r\n0A;a=\"b\"\r\n0123456789\r\n0\r\n\r\n",
        head("transfer-encoding: chunked\r\n") + "0\r\nChecksum: 1\r\nOther: 2\r\n\r\n",
        head("Upgrade: h2c\r\nConnection: upgrade\r\n"),
    ];
    assert_eq!(read(&messages.concat()), Ok(State::Between));
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    for bad in [
        head("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
        head("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
        head("Content-Length: 3\r\nContent-Length: 3\r\n"),
        head("Content-Length: 3\r\nContent-Length: 4\r\n"),
        head("Content-Length: 3, 3\r\n"),
        head("Content-Length: +3\r\n"),
        head("Content-Length: -3\r\n"),
        head("Content-Length: 0x3\r\n"),
        head("Content-Length:\r\n"),
        head("Content-Length: 9999999999999999999\r\n"),
        head("Transfer-Encoding: gzip, chunked\r\n"),
        head("Transfer-Encoding: chunked, chunked\r\n"),
        head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        head("Transfer-Encoding: \u{b}chunked\r\n"),
        head("Transfer-Encoding:\r\n"),
        head("X: y\nZ: w\r\n"),
        "GET / HTTP/1.1\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\n\n".to_owned(),
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    ] {
        assert!(read(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_chunked_body_has_one_reading() {
    for bad in [
        "\r\n",
        "x\r\n",
        "3 \r\n",
        " 3\r\n",
        "3\n",
        "+3\r\n",
        "0x3\r\n",
        "3\r\nabcd",
        "3\r\nabc\n",
        "3\r\nabc\rx",
        "3;a\nb\r\n",
        "3;\u{0}\r\n",
        "1000000000000000\r\n",
        "0\r\n\n",
        "0\r\nA: b\n\r\n",
        "0\r\n\u{0}\r\n",
    ] {
        assert!(read(&(head("Transfer-Encoding: chunked\r\n") + bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn a_long_extension_or_trailer_ends() {
    let chunked = head("Transfer-Encoding: chunked\r\n");
    assert!(read(&format!("{chunked}3;{}", "a".repeat(300))).is_err());
    assert!(read(&format!("{chunked}0\r\nA: {}", "a".repeat(9000))).is_err());
}

#[test]
fn refused_bytes_begin_at_the_end_of_the_line_that_shows_it() {
    let text = head("Content-Length: 3\r\nContent-Length: 3\r\n");
    let end = text.rfind("3\r\n").unwrap() + "3\r".len();
    assert_eq!(read(&text), Err(end));
    let mut scanner = Scanner::new();
    assert!(scanner.feed(text.as_bytes()).is_err());
    assert_eq!(scanner.feed(b"GET"), Err(Refused(0)));
}

#[test]
fn after_a_request_for_a_websocket_bytes_are_not_http() {
    let upgrade = head("Connection: upgrade\r\nUpgrade: WebSocket\r\n");
    assert_eq!(read(&(upgrade + "\x01\n\n\n")), Ok(State::Opaque));
    let with_body = head("Content-Length: 1\r\nUpgrade: websocket\r\n");
    assert_eq!(read(&(with_body + "x")), Ok(State::Between));
}

#[test]
fn the_state_tells_whether_a_head_has_begun() {
    for (text, state) in [
        ("", State::Between),
        ("\r\n", State::Between),
        ("G", State::RequestLine),
        ("GET / HTTP/1.1\r\n", State::Header),
        ("GET / HTTP/1.1\r\nHost", State::Header),
    ] {
        assert_eq!(read(text), Ok(state), "{text:?}");
    }
}

#[test]
fn how_long_a_line_may_be_does_not_depend_on_its_parts() {
    for spaces in 90..130 {
        for end in ["\r\n", "\r\r\n"] {
            let _ = read(&format!(
                "POST / HTTP/1.1\r\nTransfer-Encoding:{}chunked{end}\r\n0\r\n\r\n",
                " ".repeat(spaces)
            ));
        }
    }
}

#[test]
fn a_line_in_many_parts_is_still_read() {
    let long = format!("X: {}\r\n", "y".repeat(500));
    let text = head(&format!("{long}Content-Length: 2\r\n{long}")) + "ab";
    for size in [1, 7, 64, 200] {
        let mut scanner = Scanner::new();
        for part in text.as_bytes().chunks(size) {
            scanner.feed(part).unwrap();
        }
        assert_eq!(scanner.state(), State::Between, "in parts of {size}");
    }
    assert!(read(&head(&format!("Content-Length: {}1\r\n", " ".repeat(300)))).is_err());
}
