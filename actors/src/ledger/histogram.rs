//! A histogram of durations with a bounded error: percentiles are within 2 % of the true value.

use std::time::Duration;

/// Buckets in each power of two. A bucket is at most 1/32 of its value wide, so its middle is within 1.6 %.
const PER_OCTAVE: u64 = 32;
/// Up to this many microseconds, each value has its own bucket.
const EXACT: u64 = 2 * PER_OCTAVE;
/// 2^37 µs is 38 hours; longer durations count as that.
const MAX: u64 = 1 << 37;

/// The bits of an entry that hold its count: room for a million durations a second, for eight years.
const COUNT_BITS: u32 = 48;
const MOST: u64 = (1 << COUNT_BITS) - 1;

/// Counts durations in buckets that grow with the duration. A bucket in use takes eight bytes; an empty one takes no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Bucket and count in one number, in the order of the buckets: half the size of a pair of them.
    entries: Vec<u64>,
}

impl Histogram {
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.add(bucket(micros), 1);
    }

    pub fn merge(&mut self, other: &Self) {
        // Most histograms are merged once into an empty one, or have a single duration.
        if self.entries.is_empty() {
            self.entries.clone_from(&other.entries);
            return;
        }
        for (bucket, count) in other.pairs() {
            self.add(bucket, count);
        }
    }

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.pairs().fold(0, |sum: u64, (_, count)| sum.saturating_add(count))
    }

    /// The duration that this share of all durations does not exceed, such as 0.95; `None` if there are none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((count as f64 * share).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0u64;
        for (bucket, count) in self.pairs() {
            seen = seen.saturating_add(count);
            if seen >= rank {
                return Some(Duration::from_micros(middle(bucket)));
            }
        }
        None
    }

    /// The durations, each as the middle of its bucket, with their number.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.pairs().map(|(bucket, count)| (Duration::from_micros(middle(bucket)), count))
    }

    /// Ten bytes for each bucket in use; see [`Histogram::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(10 * self.entries.len());
        for (bucket, count) in self.pairs() {
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

    /// Two to three bytes for most buckets in use: the distance from the bucket before and the count, seven bits to a byte.
    pub fn pack(&self) -> Box<[u8]> {
        let (mut bytes, mut before) = (Vec::with_capacity(3 * self.entries.len()), 0);
        for (bucket, count) in self.pairs() {
            pack_number(&mut bytes, u64::from(bucket - before));
            pack_number(&mut bytes, count);
            before = bucket;
        }
        bytes.into_boxed_slice()
    }

    /// Adds what [`Histogram::pack`] has written.
    pub fn merge_packed(&mut self, mut bytes: &[u8]) {
        let mut bucket = 0u64;
        while let (Some(distance), Some(count)) = (unpack_number(&mut bytes), unpack_number(&mut bytes)) {
            bucket = bucket.saturating_add(distance).min(u64::from(self::bucket(MAX)));
            self.add(bucket as u16, count);
        }
    }

    /// Each bucket with its count.
    fn pairs(&self) -> impl Iterator<Item = (u16, u64)> {
        self.entries.iter().map(|entry| ((entry >> COUNT_BITS) as u16, entry & MOST))
    }

    fn add(&mut self, bucket: u16, count: u64) {
        let entry = |count: u64| u64::from(bucket) << COUNT_BITS | count.min(MOST);
        // What has been stored or packed comes in order.
        if self.entries.last().is_none_or(|last| (last >> COUNT_BITS) < u64::from(bucket)) {
            self.entries.push(entry(count));
            return;
        }
        match self.entries.binary_search_by_key(&bucket, |entry| (entry >> COUNT_BITS) as u16) {
            Ok(at) => self.entries[at] = entry((self.entries[at] & MOST).saturating_add(count)),
            Err(at) => self.entries.insert(at, entry(count)),
        }
    }
}

fn pack_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The next number; `None` at the end.
fn unpack_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if *first < 0x80 {
            break;
        }
    }
    Some(number)
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

        /// Requirement: a packed histogram loses nothing, and takes less room than one that is not packed.
        #[test]
        fn a_packed_histogram_is_the_same(values in proptest::collection::vec((0..MAX, 1..1_000_000_000u64), 0..50)) {
            let mut histogram = Histogram::default();
            for (value, count) in values {
                histogram.add(bucket(value), count);
            }
            let packed = histogram.pack();
            prop_assert!(packed.len() <= 7 * histogram.entries.len());
            let mut unpacked = Histogram::default();
            unpacked.merge_packed(&packed);
            prop_assert_eq!(unpacked, histogram);
        }

        /// Requirement: a merged histogram is the one of all durations, whichever is merged into which.
        #[test]
        fn merging_is_recording_all(
            one in proptest::collection::vec(0..MAX, 0..50),
            other in proptest::collection::vec(0..MAX, 0..50),
        ) {
            let of = |values: &[u64]| {
                let mut histogram = Histogram::default();
                values.iter().for_each(|value| histogram.record(Duration::from_micros(*value)));
                histogram
            };
            let mut merged = of(&one);
            merged.merge(&of(&other));
            prop_assert_eq!(merged, of(&[one, other].concat()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(histogram) = Histogram::from_bytes(&bytes) {
                prop_assert!(histogram.quantile(1.0).is_none_or(|longest| longest.as_micros() <= 2 * u128::from(MAX)));
            }
        }
    }
}
