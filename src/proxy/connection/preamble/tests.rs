//! Table tests of PROXY headers.

use super::*;

#[test]
fn lines_of_version_1() {
    for (text, expected) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443", Ok(Some("192.0.2.1:56324"))),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 1 2", Ok(Some("[2001:db8::1]:1"))),
        ("PROXY UNKNOWN", Ok(None)),
        ("PROXY UNKNOWN ffff::1 ffff::2 1 2", Ok(None)),
        ("PROXY TCP4 2001:db8::1 198.51.100.1 1 2", Err(Refused::Invalid)),
        ("PROXY TCP6 192.0.2.1 198.51.100.1 1 2", Err(Refused::Invalid)),
        ("PROXY TCP4 192.0.2.1 198.51.100.1 1", Err(Refused::Invalid)),
        ("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3", Err(Refused::Invalid)),
        ("PROXY TCP4 192.0.2.1 198.51.100.1 +1 2", Err(Refused::Invalid)),
        ("PROXY TCP4 192.0.2.1 198.51.100.1 1 65536", Err(Refused::Invalid)),
        ("PROXY TCP4  192.0.2.1 198.51.100.1 1 2", Err(Refused::Invalid)),
        ("PROXY TCP4 192.0.2.256 198.51.100.1 1 2", Err(Refused::Invalid)),
        ("PROXY UDP4 192.0.2.1 198.51.100.1 1 2", Err(Refused::Invalid)),
        ("PROXY ", Err(Refused::Invalid)),
        ("PROXY", Err(Refused::Invalid)),
    ] {
        let expected = expected.map(|address| address.map(|address| address.parse().unwrap()));
        assert_eq!(line(text.as_bytes()), expected, "{text}");
    }
    assert_eq!(line(b"PROXY \xff"), Err(Refused::Invalid));
}

#[test]
fn heads_of_version_2() {
    let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];
    let mut v6 = [0; 36];
    v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    v6[33] = 7;
    let with_extension = [&v4[..], &[0x03, 0, 4, 1, 2, 3, 4]].concat();
    for (command, family, body, expected) in [
        (0x21, 0x11, &v4[..], Ok(Some("192.0.2.1:56324"))),
        (0x21, 0x11, &with_extension, Ok(Some("192.0.2.1:56324"))),
        (0x21, 0x21, &v6, Ok(Some("[2001:db8::]:7"))),
        (0x20, 0x11, &v4, Ok(None)),
        (0x20, 0x00, &[], Ok(None)),
        (0x21, 0x00, &[], Ok(None)),
        (0x21, 0x31, &[0; 216], Ok(None)),
        (0x21, 0x11, &v4[..11], Err(Refused::Invalid)),
        (0x21, 0x11, &[], Err(Refused::Invalid)),
        (0x21, 0x21, &v6[..35], Err(Refused::Invalid)),
        (0x21, 0x12, &v4, Err(Refused::Invalid)),
        (0x22, 0x11, &v4, Err(Refused::Invalid)),
        (0x11, 0x11, &v4, Err(Refused::Invalid)),
        (0xff, 0xff, &v4, Err(Refused::Invalid)),
    ] {
        let expected = expected.map(|address| address.map(|address| address.parse().unwrap()));
        assert_eq!(binary(command, family, body), expected, "{command:x} {family:x} {body:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(command: u8, family: u8, bytes: Vec<u8>, text: String) {
        let _ = line(&bytes);
        let _ = line(format!("PROXY TCP4 {text}").as_bytes());
        let _ = line(format!("PROXY TCP6 {text} 1 2").as_bytes());
        let _ = (binary(command, family, &bytes), binary(0x21, 0x11, &bytes), binary(0x21, 0x21, &bytes));
    }
}
