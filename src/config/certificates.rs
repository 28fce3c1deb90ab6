//! Reads certificate files again when they change, and makes self-signed certificates before they end.

mod kept;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::Stream;
use tokio::{sync::watch, task::spawn_blocking, time::Instant};

use super::pem::{self, Part};
use crate::model::{CertificateOrders, CertificateSource, CertifiedKey, HostPattern, Issued, ResourceId};
use kept::Kept;

/// What became of the certificate of one object.
pub type Answer = (ResourceId, Issued);

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// A file of certificates has no more bytes than this.
const MAX_BYTES: u64 = 1 << 20;

/// The clock of a client may be so many seconds behind.
const SKEW: i64 = 3600;

/// Tells each order's outcome when it is new. A file that can no longer be used keeps its last good certificate, and
/// what is made here is kept in `folder`, where there is one. The stream ends when `orders` does.
pub fn watch(
    orders: watch::Receiver<CertificateOrders>,
    folder: Option<PathBuf>,
) -> impl Stream<Item = Answer> + Send + 'static {
    let watcher = Watcher {
        orders,
        kept: Kept { folder },
        known: Arc::default(),
        news: VecDeque::new(),
        next: Instant::now() + EVERY,
    };
    futures::stream::unfold(watcher, |mut watcher| async {
        watcher.next().await.map(|answer| (answer, watcher))
    })
}

struct Watcher {
    orders: watch::Receiver<CertificateOrders>,
    kept: Kept,
    known: Arc<BTreeMap<ResourceId, Known>>,
    news: VecDeque<Answer>,
    next: Instant,
}

/// What is known of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    source: CertificateSource,
    /// Of the files as they were read.
    stamps: Option<[Option<Stamp>; 2]>,
    issued: Issued,
}

/// A certificate that was made here, and the same with its key in PEM.
struct Made {
    key: CertifiedKey,
    text: String,
}

/// Tells whether a file is another one, has another content, or may be read now: a program can set the time of the
/// content back, but not that of the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

// === impl Watcher ===

impl Watcher {
    async fn next(&mut self) -> Option<Answer> {
        loop {
            if let Some(answer) = self.news.pop_front() {
                return Some(answer);
            }
            // Both can be asked again: the deadline stays.
            tokio::select! {
                changed = self.orders.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.next) => {}
            }
            self.next = Instant::now() + EVERY;
            let orders = self.orders.borrow_and_update().clone();
            if orders.is_empty() && self.known.is_empty() {
                continue;
            }
            let (before, kept) = (self.known.clone(), self.kept.clone());
            let now = unix_seconds();
            let round = spawn_blocking(move || look(&orders, &before, &kept, now));
            // The runtime shuts down.
            let Ok(known) = round.await else { return None };
            for (id, now) in &known {
                if self.known.get(id).is_none_or(|before| before.issued != now.issued) {
                    self.news.push_back((id.clone(), now.issued.clone()));
                }
            }
            self.known = Arc::new(known);
        }
    }
}

/// Looks at all orders once.
fn look(
    orders: &CertificateOrders,
    before: &BTreeMap<ResourceId, Known>,
    kept: &Kept,
    now: i64,
) -> BTreeMap<ResourceId, Known> {
    for gone in before.keys().filter(|id| !orders.contains_key(id)) {
        kept.forget(gone);
    }
    let outcome = |(id, source): (&ResourceId, &CertificateSource)| {
        let before = before.get(id);
        let same = before.filter(|before| before.source == *source);
        let known = match source {
            CertificateSource::Files { certificate, key } => read(source, (certificate, key), before),
            CertificateSource::SelfSigned { names, valid_for } => match same {
                Some(same) if !is_due(same, now) => same.clone(),
                Some(_) | None => {
                    let known = kept.load(id, names, *valid_for);
                    let made = match known.filter(|key| same.is_none() && !is_ending(key, now)) {
                        Some(key) => Ok(key),
                        None => self_signed(names, *valid_for, now).map(|made| {
                            kept.save(id, &made);
                            made.key
                        }),
                    };
                    Known { source: source.clone(), stamps: None, issued: outcome_of(made, same) }
                }
            },
            // Nobody orders these.
            CertificateSource::Secret(_) | CertificateSource::Acme => return None,
        };
        Some((id.clone(), known))
    };
    orders.iter().filter_map(outcome).collect()
}

/// A failure keeps what was good.
fn outcome_of(result: Result<CertifiedKey, String>, before: Option<&Known>) -> Issued {
    match result {
        Ok(key) => Issued { good: Some(Arc::new(key)), problem: None },
        Err(problem) => Issued {
            good: before.and_then(|before| before.issued.good.clone()),
            problem: Some(problem.into()),
        },
    }
}

// === files ===

fn read(source: &CertificateSource, (certificate, key): (&Path, &Path), before: Option<&Known>) -> Known {
    let stamps = [stamp(certificate), stamp(key)];
    if let Some(before) = before
        && before.source == *source
        && before.stamps == Some(stamps)
    {
        return before.clone();
    }
    let result =
        content(certificate).and_then(|text| Ok((text, content(key)?))).and_then(|(text, secret)| {
            pem::certified_key(&text, &secret).map_err(|fault| {
                let path = match fault.part {
                    Part::Certificate => certificate,
                    Part::Key => key,
                };
                format!("`{}`: {}", path.display(), fault.message)
            })
        });
    let mut issued = outcome_of(result, before);
    // The same certificate again: whoever has it keeps it.
    if let Some(good) = before.and_then(|before| before.issued.good.clone())
        && issued.good.as_ref() == Some(&good)
    {
        issued.good = Some(good);
    }
    Known { source: source.clone(), stamps: Some(stamps), issued }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some(Stamp {
        file: (meta.dev(), meta.ino()),
        size: meta.size(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
    })
}

fn content(path: &Path) -> Result<Vec<u8>, String> {
    // Opening a pipe would wait for somebody who writes to it, and hold up all the others.
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Err(format!("`{}` is no file: name one with PEM in it", path.display()));
    }
    let mut content = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut content));
    match read {
        Ok(_) if content.len() as u64 > MAX_BYTES => {
            Err(format!("`{}` has more than {MAX_BYTES} bytes: not read", path.display()))
        }
        Ok(_) => Ok(content),
        Err(error) => Err(format!("`{}` cannot be read: {error}", path.display())),
    }
}

// === self-signed ===

fn is_due(known: &Known, now: i64) -> bool {
    known.issued.good.as_ref().is_none_or(|key| is_ending(key, now))
}

/// Whether a third of its life or less is left.
fn is_ending(key: &CertifiedKey, now: i64) -> bool {
    key.not_after - now <= (key.not_after - key.not_before) / 3
}

/// For how many seconds a certificate is valid that is to be so for this long.
fn lifetime(valid_for: Duration) -> i64 {
    i64::try_from(valid_for.as_secs()).unwrap_or(i64::MAX).saturating_add(SKEW)
}

fn self_signed(names: &[HostPattern], valid_for: Duration, now: i64) -> Result<Made, String> {
    let failed = |error: rcgen::Error| format!("cannot be made: {error}");
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = rcgen::CertificateParams::new(texts).map_err(failed)?;
    let common_name = names.first().map_or_else(|| "portolan".to_owned(), ToString::to_string);
    params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    let begin = now - SKEW;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let after = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    params.not_before = epoch + after(begin);
    // RFC 5280 knows no year beyond 9999.
    params.not_after = epoch + after(begin.saturating_add(lifetime(valid_for)).min(253_000_000_000));
    let certificate = params.self_signed(&key).map_err(failed)?;
    let text = certificate.pem() + &key.serialize_pem();
    let key = pem::certified_key(text.as_bytes(), text.as_bytes()).map_err(|fault| fault.message)?;
    Ok(Made { key, text })
}

fn unix_seconds() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}
