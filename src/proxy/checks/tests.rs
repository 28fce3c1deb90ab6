//! The seeds, and bytes that are close to them.

use std::{fs, path::Path};

use proptest::prelude::*;

/// Every seed of a target, cut off anywhere, and with one byte changed or put in.
#[track_caller]
fn holds(target: &str, check: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut count = 0;
    for seed in fs::read_dir(seeds).unwrap() {
        let seed = fs::read(seed.unwrap().path()).unwrap();
        check(&seed);
        for at in 0..seed.len() {
            check(&seed[..at]);
            for byte in *b"\0\t\r\n ,:;0fx\xff" {
                let mut changed = seed.clone();
                changed[at] = byte;
                check(&changed);
                changed.insert(at, seed[at]);
                check(&changed);
            }
        }
        count += 1;
    }
    assert!(count >= 6, "{count} seeds of `{target}`");
}

#[test]
fn messages_begin_and_end_alike_however_they_are_cut() {
    holds("framing", super::framing);
}

#[test]
fn requests_are_read_alike_and_written_as_one() {
    holds("request", super::request);
}

#[test]
fn answers_are_read_alike_however_they_are_cut() {
    holds("answer", super::answer);
}

#[test]
fn introductions_name_somebody_or_are_refused() {
    holds("introduction", super::introduction);
}

#[test]
fn a_chain_of_proxies_ends_with_the_last_one() {
    holds("forwarded", super::forwarded);
}

proptest! {
    #[test]
    fn any_bytes_will_do(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        super::framing(&bytes);
        super::request(&bytes);
        super::answer(&bytes);
        super::introduction(&bytes);
        super::forwarded(&bytes);
    }
}
