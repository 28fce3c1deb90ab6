//! Counters and histograms of which each worker has its own part: one writer each, summed when they are read.
//!
//! Why not the counters of the library: an atomic addition on a cache line that two cores share costs a hundred
//! nanoseconds; a load and a store to a line of one's own cost two.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus::{core::Desc, proto};

/// One worker's part of a counter or gauge. Only that worker may write it.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

/// One worker's part of a histogram of durations. Only that worker may write it.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Durations {
    // First, so that it shares a cache line with the buckets that most requests fall into.
    nanos: Count,
    /// By bucket, not summed up; the last one is for everything above the bounds.
    buckets: [Count; BOUNDS.len() + 1],
}

/// The series of one metric, by label values.
#[derive(Debug)]
pub(super) struct Family<const LABELS: usize, V> {
    desc: Desc,
    labels: [&'static str; LABELS],
    kind: proto::MetricType,
    /// Each series has at most one part for each worker.
    series: Mutex<BTreeMap<Labels<LABELS>, Parts<V>>>,
}

pub(super) type Labels<const LABELS: usize> = [Arc<str>; LABELS];

type Parts<V> = Vec<Option<Arc<V>>>;

/// What can be summed over workers.
pub(super) trait Part: Default + Send + Sync {
    fn metric(parts: &[Option<Arc<Self>>], kind: proto::MetricType) -> proto::Metric;
}

/// Upper bounds of the buckets, in microseconds.
const BOUNDS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

// === impl Count ===

impl Count {
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// For gauges. Never goes below zero.
    pub fn subtract(&self, less: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(less), Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[expect(clippy::cast_precision_loss, reason = "the format has nothing else; exact up to 2^53")]
fn float(value: u64) -> f64 {
    value as f64
}

fn sum<'a>(counts: impl Iterator<Item = &'a Count>) -> u64 {
    counts.fold(0, |sum, count| sum.wrapping_add(count.get()))
}

impl Part for Count {
    fn metric(parts: &[Option<Arc<Self>>], kind: proto::MetricType) -> proto::Metric {
        let value = float(sum(parts.iter().flatten().map(|part| &**part)));
        let mut metric = proto::Metric::default();
        if kind == proto::MetricType::GAUGE {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        } else {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        metric
    }
}

// === impl Durations ===

impl Durations {
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].add(1);
        self.nanos.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl Part for Durations {
    fn metric(parts: &[Option<Arc<Self>>], _kind: proto::MetricType) -> proto::Metric {
        let parts = || parts.iter().flatten();
        let mut cumulative = 0;
        let mut buckets = Vec::with_capacity(BOUNDS.len());
        for (index, bound) in BOUNDS.iter().enumerate() {
            cumulative += sum(parts().map(|part| &part.buckets[index]));
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(float(*bound) / 1e6);
            bucket.set_cumulative_count(cumulative);
            buckets.push(bucket);
        }
        let mut histogram = proto::Histogram::default();
        histogram.set_sample_count(cumulative + sum(parts().map(|part| &part.buckets[BOUNDS.len()])));
        histogram.set_sample_sum(float(sum(parts().map(|part| &part.nanos))) / 1e9);
        histogram.set_bucket(buckets);
        let mut metric = proto::Metric::default();
        metric.set_histogram(histogram);
        metric
    }
}

// === impl Family ===

impl<const LABELS: usize, V: Part> Family<LABELS, V> {
    pub(super) fn new(
        name: &str,
        help: &str,
        kind: proto::MetricType,
        labels: [&'static str; LABELS],
    ) -> Result<Self, prometheus::Error> {
        let names = labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), names, std::collections::HashMap::new())?;
        Ok(Self { desc, labels, kind, series: Mutex::default() })
    }

    /// The part of `worker` in the series of these label values.
    pub(super) fn part(&self, worker: usize, labels: Labels<LABELS>) -> Arc<V> {
        let mut series = self.lock();
        let parts = series.entry(labels).or_default();
        if parts.len() <= worker {
            parts.resize_with(worker + 1, || None);
        }
        parts[worker].get_or_insert_with(Arc::default).clone()
    }

    /// Forgets the series for which `live` does not hold.
    pub(super) fn retain(&self, live: impl Fn(&Labels<LABELS>) -> bool) {
        self.lock().retain(|labels, _| live(labels));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Labels<LABELS>, Parts<V>>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pairs(&self, values: &Labels<LABELS>) -> Vec<proto::LabelPair> {
        let pair = |(name, value): (&&'static str, &Arc<str>)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value.to_string());
            pair
        };
        let mut pairs: Vec<_> = self.labels.iter().zip(values).map(pair).collect();
        pairs.sort();
        pairs
    }
}

impl<const LABELS: usize> Family<LABELS, Count> {
    /// Forgets the series for which `live` does not hold, once they are 0. Whether that was all of them.
    pub(super) fn retain_used(&self, live: impl Fn(&Labels<LABELS>) -> bool) -> bool {
        let is_used = |parts: &Parts<Count>| parts.iter().flatten().any(|part| part.get() != 0);
        let mut series = self.lock();
        series.retain(|labels, parts| live(labels) || is_used(parts));
        series.keys().all(live)
    }
}

impl<const LABELS: usize, V: Part> prometheus::core::Collector for Family<LABELS, V> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let metrics: Vec<_> = self
            .lock()
            .iter()
            .map(|(labels, parts)| {
                let mut metric = V::metric(parts, self.kind);
                metric.set_label(self.pairs(labels));
                metric
            })
            .collect();
        if metrics.is_empty() {
            return Vec::new();
        }
        let mut family = proto::MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(self.kind);
        family.set_metric(metrics);
        vec![family]
    }
}
