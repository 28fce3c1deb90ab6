//! Bodies, cut anywhere.

use proptest::prelude::*;

use super::*;

/// Feeds pieces, and gives the data, the trailers, and whether the end was seen.
fn decoded(
    mut decoder: Decoder,
    pieces: &[&[u8]],
) -> Result<(Vec<u8>, Option<HeaderMap>, bool), &'static str> {
    let mut input = BytesMut::new();
    let (mut data, mut trailers) = (Vec::new(), None);
    for piece in pieces {
        input.extend_from_slice(piece);
        while let Some(frame) = decoder.decode(&mut input)? {
            match frame.into_data() {
                Ok(bytes) => data.extend_from_slice(&bytes),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
    }
    Ok((data, trailers, decoder.is_done()))
}

#[test]
fn a_body_ends_where_its_length_says() {
    assert_eq!(decoded(Decoder::sized(3), &[b"ab", b"cdef"]), Ok((b"abc".to_vec(), None, true)));
    assert_eq!(decoded(Decoder::sized(3), &[b"ab"]), Ok((b"ab".to_vec(), None, false)));
}

#[test]
fn a_body_until_the_close_ends_with_it_and_others_do_not() {
    let mut decoder = Decoder::until_close();
    assert_eq!((decoder.close(), decoder.is_done()), (Ok(()), true));
    assert!(Decoder::sized(3).close().is_err());
    assert!(Decoder::chunked().close().is_err());
}

#[test]
fn trailers_come_last() {
    let text = b"3;x=y\r\nabc\r\n0\r\nGrpc-Status: 0\r\n\r\n";
    let (data, trailers, is_done) = decoded(Decoder::chunked(), &[text]).unwrap();
    assert_eq!((&data[..], is_done), (&b"abc"[..], true));
    assert_eq!(trailers.unwrap()["grpc-status"], "0");
}

#[test]
fn whoever_has_the_last_piece_knows_that_it_is_the_last() {
    let mut decoder = Decoder::chunked();
    let mut input = BytesMut::from(&b"3\r\nabc\r\n0\r\n\r\n"[..]);
    assert!(decoder.decode(&mut input).unwrap().is_some());
    assert!(decoder.is_done() && input.is_empty());
}

#[test]
fn what_are_no_chunks_is_refused() {
    let long = [b"3;".to_vec(), vec![b'x'; Decoder::SIZE_LINE]].concat();
    for text in [&b"\r\n"[..], b"x\r\n", b"-1\r\n", b"3\r\nabcd\r\n", b"11111111111111111\r\n", &long] {
        assert!(decoded(Decoder::chunked(), &[text]).is_err(), "{:?}", String::from_utf8_lossy(text));
    }
}

#[test]
fn what_is_sent_is_as_long_as_it_was_told() {
    let mut out = Vec::new();
    let mut encoder = Encoder::sized(3);
    assert_eq!(encoder.encode(Bytes::from_static(b"ab"), &mut out).unwrap().data, "ab");
    assert!(encoder.end(None, &[], &mut out).is_err());
    assert!(encoder.encode(Bytes::from_static(b"cd"), &mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn only_trailers_that_were_announced_are_sent() {
    let mut trailers = HeaderMap::new();
    for name in ["x-sum", "x-other"] {
        trailers.insert(HeaderName::from_static(name), http::HeaderValue::from_static("1"));
    }
    let announced = ["x-sum", "x-absent"].map(HeaderName::from_static);
    let mut out = Vec::new();
    Encoder::chunked().end(Some(&trailers), &announced, &mut out).unwrap();
    assert_eq!(out, b"0\r\nx-sum: 1\r\n\r\n");
}

proptest! {
    #[test]
    fn chunks_come_out_as_they_went_in_wherever_they_are_cut(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        cut in 1_usize..20,
    ) {
        let mut wire = Vec::new();
        let mut encoder = Encoder::chunked();
        for piece in &pieces {
            let framed = encoder.encode(Bytes::from(piece.clone()), &mut wire).unwrap();
            wire.extend_from_slice(&framed.data);
            wire.extend_from_slice(framed.after);
        }
        encoder.end(None, &[], &mut wire).unwrap();
        let cuts: Vec<&[u8]> = wire.chunks(cut).collect();
        prop_assert_eq!(decoded(Decoder::chunked(), &cuts), Ok((pieces.concat(), None, true)));
    }

    #[test]
    fn nothing_that_comes_is_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 1_usize..50) {
        let cuts: Vec<&[u8]> = bytes.chunks(cut).collect();
        let _ = decoded(Decoder::chunked(), &cuts);
        let _ = crate::proxy::http1::response::read(&mut BytesMut::from(&bytes[..]), 0, &http::Method::GET);
    }
}
