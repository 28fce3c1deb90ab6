//! Reads certificates and keys in PEM, and says what is wrong with them without showing them. No I/O.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use memchr::memmem;
use rustls::{Error, InconsistentKeys, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use webpki::EndEntityCert;

use crate::model::{CertifiedKey, Der, HostPattern, KeyForm, PrivateKey};

/// A chain of more certificates than this is not one.
const MAX_CHAIN: usize = 16;

/// More authorities than this are not read.
const MAX_AUTHORITIES: usize = 1024;

/// What cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) part: Part,
    pub(super) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Certificate,
    Key,
}

/// A certificate with its chain, and the key that belongs to it.
pub(super) fn certified_key(certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, Fault> {
    let fault = |part, message: &str| Fault { part, message: message.to_owned() };
    let chain: Vec<CertificateDer<'static>> =
        certificates(certificate).map_err(|message| fault(Part::Certificate, &message))?;
    let Some(first) = chain.first().filter(|_| chain.len() <= MAX_CHAIN) else {
        let message = format!("a chain has at most {MAX_CHAIN} certificates, this one has {}", chain.len());
        return Err(fault(Part::Certificate, &message));
    };
    let Some((names, validity)) = names(first).zip(validity(first)) else {
        return Err(fault(Part::Certificate, "it is not a valid X.509 certificate of version 3"));
    };
    let key = private_key(key).map_err(|message| fault(Part::Key, message))?;
    let private = in_der(&key).ok_or_else(|| fault(Part::Key, "its form is not known"))?;
    let provider = aws_lc_rs::default_provider();
    match rustls::sign::CertifiedKey::from_der(chain.clone(), key, &provider) {
        Ok(_) => {}
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            return Err(fault(
                Part::Key,
                "it does not belong to the certificate: another key was used for that",
            ));
        }
        Err(_) => return Err(fault(Part::Key, "it is not a key of RSA, ECDSA or Ed25519 that can be used")),
    }
    Ok(CertifiedKey {
        chain: chain.iter().map(|certificate| Der::from(&**certificate)).collect(),
        key: private,
        names,
        not_before: validity.0,
        not_after: validity.1,
    })
}

/// The certificates of authorities.
pub(super) fn authorities(text: &[u8]) -> Result<Vec<Der>, String> {
    let all = certificates(text)?;
    if all.len() > MAX_AUTHORITIES {
        return Err(format!("it has {} certificates; the most is {MAX_AUTHORITIES}", all.len()));
    }
    let mut roots = rustls::RootCertStore::empty();
    for (index, certificate) in all.iter().enumerate() {
        let place = index + 1;
        roots
            .add(certificate.clone())
            .map_err(|_| format!("certificate {place} in it is not a valid X.509 certificate"))?;
    }
    Ok(all.iter().map(|certificate| Der::from(&**certificate)).collect())
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&in_lines(text)).collect();
    match all {
        Ok(all) if all.is_empty() => Err("it has no `CERTIFICATE` in PEM".to_owned()),
        Ok(all) => Ok(all),
        Err(_) => Err("it is not valid PEM".to_owned()),
    }
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, &'static str> {
    PrivateKeyDer::from_pem_slice(&in_lines(text)).map_err(|error| {
        // `ENCRYPTED PRIVATE KEY`, or `Proc-Type: 4,ENCRYPTED` within one.
        let is_encrypted = memmem::find(text, b"ENCRYPTED").is_some();
        if is_encrypted {
            "it is encrypted, and Portolan knows no passphrase: write it in plain (`openssl pkey -in FILE`)"
        } else if matches!(error, rustls_pki_types::pem::Error::NoItemsFound) {
            "it has no `PRIVATE KEY` in PEM"
        } else {
            "it is not valid PEM"
        }
    })
}

/// With each part on lines of its own: of parts that were joined without an end of line between them, the parser would
/// leave out the second without a word.
fn in_lines(text: &[u8]) -> Cow<'_, [u8]> {
    const END: &[u8] = b"-----";
    const JOINT: &[u8] = b"----------BEGIN ";
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = memmem::find(rest, JOINT) {
        let (before, after) = rest.split_at(at + END.len());
        lines.extend_from_slice(before);
        lines.push(b'\n');
        rest = after;
    }
    if lines.is_empty() {
        return Cow::Borrowed(text);
    }
    lines.extend_from_slice(rest);
    Cow::Owned(lines)
}

fn in_der(key: &PrivateKeyDer<'_>) -> Option<PrivateKey> {
    match key {
        PrivateKeyDer::Pkcs8(key) => Some(PrivateKey::new(KeyForm::Pkcs8, key.secret_pkcs8_der())),
        PrivateKeyDer::Sec1(key) => Some(PrivateKey::new(KeyForm::Sec1, key.secret_sec1_der())),
        PrivateKeyDer::Pkcs1(key) => Some(PrivateKey::new(KeyForm::Pkcs1, key.secret_pkcs1_der())),
        _ => None,
    }
}

/// The DNS names of a certificate; `None` if it cannot be read at all.
fn names(certificate: &CertificateDer<'_>) -> Option<Vec<HostPattern>> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let mut names: Vec<HostPattern> =
        certificate.valid_dns_names().filter_map(|name| HostPattern::parse(name).ok()).collect();
    names.sort();
    names.dedup();
    Some(names)
}

// === validity ===

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `notBefore` and `notAfter` in seconds since 1970 (RFC 5280 section 4.1).
fn validity(certificate: &[u8]) -> Option<(i64, i64)> {
    let (certificate, _) = value(certificate, SEQUENCE)?;
    let (signed, _) = value(certificate, SEQUENCE)?;
    let (_, rest) = value(signed, VERSION)?;
    let (_, rest) = value(rest, INTEGER)?;
    let (_, rest) = value(rest, SEQUENCE)?;
    let (_, rest) = value(rest, SEQUENCE)?;
    let (validity, _) = value(rest, SEQUENCE)?;
    let (before, rest) = time(validity)?;
    let (after, _) = time(rest)?;
    Some((before, after))
}

/// The bytes of the next DER value, which must have this tag, and what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    (*first == tag).then_some(())?;
    rest.split_at_checked(length)
}

/// `YYMMDDHHMMSSZ`, or the same with four digits of the year.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest, year_digits) = match *der.first()? {
        UTC_TIME => value(der, UTC_TIME).map(|(text, rest)| (text, rest, 2))?,
        GENERALIZED_TIME => value(der, GENERALIZED_TIME).map(|(text, rest)| (text, rest, 4))?,
        _ => return None,
    };
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z').filter(|text| text.is_ascii())?;
    let (year, others) = text.split_at_checked(year_digits)?;
    let year: i16 = year.parse().ok()?;
    let year = match (year_digits, year) {
        (2, 50..) => year + 1900,
        (2, _) => year + 2000,
        (_, year) => year,
    };
    let part = |index: usize| others.get(index * 2..index * 2 + 2)?.parse::<i8>().ok();
    let date = jiff::civil::DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, 0).ok()?;
    let time = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some((time.as_second(), rest))
}
