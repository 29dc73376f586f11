//! A histogram of durations with a bounded error: percentiles are within 2 % of the true value.

use std::time::Duration;

/// Buckets in each power of two. A bucket is at most 1/32 of its value wide, so its middle is within 1.6 %.
const PER_OCTAVE: u64 = 32;
/// Up to this many microseconds, each value has its own bucket.
const EXACT: u64 = 2 * PER_OCTAVE;
/// 2^37 µs is 38 hours; longer durations count as that.
const MAX: u64 = 1 << 37;

/// Counts durations in buckets that grow with the duration. Empty buckets take no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Bucket and count, in the order of the buckets.
    buckets: Vec<(u16, u64)>,
}

impl Histogram {
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.add(bucket(micros), 1);
    }

    pub fn merge(&mut self, other: &Self) {
        for &(bucket, count) in &other.buckets {
            self.add(bucket, count);
        }
    }

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum: u64, (_, count)| sum.saturating_add(*count))
    }

    /// The duration that this share of all durations does not exceed, such as 0.95; `None` if there are none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((count as f64 * share).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0u64;
        for &(bucket, count) in &self.buckets {
            seen = seen.saturating_add(count);
            if seen >= rank {
                return Some(Duration::from_micros(middle(bucket)));
            }
        }
        None
    }

    /// The durations, each as the middle of its bucket, with their number.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.buckets.iter().map(|&(bucket, count)| (Duration::from_micros(middle(bucket)), count))
    }

    /// Five bytes or more for each bucket in use; see [`Histogram::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![];
        for (bucket, count) in &self.buckets {
            bytes.extend(bucket.to_le_bytes());
            bytes.extend(count.to_le_bytes());
        }
        bytes
    }

    /// `None` for bytes that [`Histogram::to_bytes`] does not write.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut histogram = Self::default();
        let chunks = bytes.chunks_exact(10);
        if !chunks.remainder().is_empty() {
            return None;
        }
        for chunk in chunks {
            let (bucket, count) = chunk.split_at(2);
            let bucket = u16::from_le_bytes(bucket.try_into().ok()?);
            histogram.add(bucket.min(self::bucket(MAX)), u64::from_le_bytes(count.try_into().ok()?));
        }
        Some(histogram)
    }

    fn add(&mut self, bucket: u16, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }
}

fn bucket(micros: u64) -> u16 {
    let micros = micros.min(MAX);
    if micros < EXACT {
        return micros as u16;
    }
    let shift = u64::from(micros.ilog2()) - u64::from(PER_OCTAVE.ilog2());
    (shift * PER_OCTAVE + (micros >> shift)) as u16
}

/// The middle of a bucket, in microseconds.
fn middle(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < EXACT {
        return bucket;
    }
    let shift = bucket / PER_OCTAVE - 1;
    let mantissa = bucket % PER_OCTAVE + PER_OCTAVE;
    (mantissa << shift) + ((1 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Checklist 18: p50, p95 and p99 over a known set of 1,000 durations are within 2 %.
    #[test]
    fn percentiles_are_within_two_percent() {
        let mut histogram = Histogram::default();
        for millis in 1..=1000 {
            histogram.record(Duration::from_millis(millis));
        }
        for (share, expected) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = histogram.quantile(share).unwrap().as_secs_f64() * 1000.0;
            assert!((found - expected).abs() <= expected * 0.02, "{share}: {found}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn a_value_is_within_two_percent_of_its_bucket(micros in 0..MAX) {
            let found = middle(bucket(micros));
            prop_assert!(found.abs_diff(micros) as f64 <= micros as f64 * 0.02, "{} for {}", found, micros);
        }

        #[test]
        fn bytes_hold_the_whole_histogram(values in proptest::collection::vec(any::<u64>(), 0..50)) {
            let mut histogram = Histogram::default();
            for value in values {
                histogram.record(Duration::from_micros(value));
            }
            prop_assert_eq!(Histogram::from_bytes(&histogram.to_bytes()), Some(histogram));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(histogram) = Histogram::from_bytes(&bytes) {
                prop_assert!(histogram.quantile(1.0).is_none_or(|longest| longest.as_micros() <= 2 * u128::from(MAX)));
            }
        }
    }
}
