//! Certificates made here, whole and broken.

use super::*;

/// A certificate and its key in PEM.
fn made(names: &[&str]) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 2, 3);
    params.not_after = rcgen::date_time_ymd(2051, 4, 5);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn why(certificate: &str, key: &str) -> (Part, String) {
    let Fault { part, message } = certified_key(certificate.as_bytes(), key.as_bytes()).unwrap_err();
    (part, message)
}

#[test]
fn names_and_times_are_those_of_the_certificate() {
    let (certificate, key) = made(&["b.test", "*.a.test"]);
    let read = certified_key(certificate.as_bytes(), key.as_bytes()).unwrap();
    let names: Vec<String> = read.names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["b.test", "*.a.test"]);
    // Before 2050 a year has two digits, later four.
    assert_eq!((read.not_before, read.not_after), (1_770_076_800, 2_564_265_600));
}

#[test]
fn a_chain_keeps_its_order() {
    let (leaf, key) = made(&["a.test"]);
    let (above, _) = made(&["ca.test"]);
    let read = certified_key(format!("{leaf}{above}").as_bytes(), key.as_bytes()).unwrap();
    let leaf = certified_key(leaf.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!((read.chain.len(), &read.chain[0]), (2, &leaf.chain[0]));
}

#[test]
fn each_fault_says_which_part_and_shows_nothing_of_it() {
    let (certificate, key) = made(&["a.test"]);
    let (_, other) = made(&["a.test"]);
    let mismatch = "it does not belong to the certificate: another key was used for that";
    assert_eq!(why(&certificate, &other), (Part::Key, mismatch.into()));
    assert_eq!(why("", &key), (Part::Certificate, "it has no `CERTIFICATE` in PEM".into()));
    assert_eq!(why(&key, &certificate), (Part::Certificate, "it has no `CERTIFICATE` in PEM".into()));
    assert_eq!(why(&certificate, "abc"), (Part::Key, "it has no `PRIVATE KEY` in PEM".into()));
    let garbled = certificate.replace("MII", "!!!");
    assert_eq!(why(&garbled, &key), (Part::Certificate, "it is not valid PEM".into()));
    let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(
        why(hollow, &key),
        (Part::Certificate, "it is not a valid X.509 certificate of version 3".into())
    );
}

#[test]
fn an_encrypted_key_is_called_so_in_either_form() {
    let (certificate, key) = made(&["a.test"]);
    let encrypted =
        "it is encrypted, and Portolan knows no passphrase: write it in plain (`openssl pkey -in FILE`)";
    for key in [
        key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        key.replace(
            "PRIVATE KEY-----\nM",
            "RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0\n\nM",
        ),
    ] {
        assert_eq!(why(&certificate, &key), (Part::Key, encrypted.into()), "{key}");
    }
}

#[test]
fn what_was_joined_without_an_end_of_line_is_read_whole() {
    let (leaf, key) = made(&["a.test"]);
    let (above, _) = made(&["ca.test"]);
    let joined = [leaf.trim_end(), above.trim_end(), &*key].concat();
    assert_eq!(certified_key(joined.as_bytes(), joined.as_bytes()).unwrap().chain.len(), 2);
    assert_eq!(authorities([above.trim_end(), &*leaf].concat().as_bytes()).unwrap().len(), 2);
}

#[test]
fn no_cut_of_a_certificate_makes_reading_it_panic() {
    let (certificate, key) = made(&["a.test"]);
    let der = certified_key(certificate.as_bytes(), key.as_bytes()).unwrap().chain[0].clone();
    for end in 0..der.len() {
        let _ = validity(&der[..end]);
    }
    for position in 0..der.len().min(200) {
        let mut changed = der.to_vec();
        changed[position] ^= 0xff;
        let _ = validity(&changed);
    }
}

#[test]
fn authorities_are_all_or_none() {
    let (one, key) = made(&["one.test"]);
    let (two, _) = made(&["two.test"]);
    assert_eq!(authorities(format!("{one}{two}").as_bytes()).unwrap().len(), 2);
    assert_eq!(authorities(key.as_bytes()), Err("it has no `CERTIFICATE` in PEM".into()));
    let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let all = format!("{one}{hollow}");
    assert_eq!(
        authorities(all.as_bytes()),
        Err("certificate 2 in it is not a valid X.509 certificate".into())
    );
}
