//! A strict reader of both text formats. It accepts what Prometheus accepts, and no more than the formats' rules allow.

use std::collections::{BTreeMap, BTreeSet};

/// A scrape whose text follows the rules.
pub(super) struct Scrape {
    pub(super) text: String,
    samples: Vec<Sample>,
}

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Scrape {
    /// The sum of all samples with this name and at least these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &Sample| {
            labels.iter().all(|(name, value)| sample.labels.get(*name).is_some_and(|found| found == value))
        };
        // Adding to -0.0, the sum of nothing, would print a minus.
        self.samples
            .iter()
            .filter(|sample| sample.name == name && has(sample))
            .map(|sample| sample.value)
            .fold(0.0, |sum, more| sum + more)
    }

    /// The distinct values of a label.
    pub(super) fn label_values(&self, name: &str, label: &str) -> Vec<&str> {
        let samples = self.samples.iter().filter(|sample| sample.name == name);
        let values: BTreeSet<&str> =
            samples.filter_map(|sample| Some(sample.labels.get(label)?.as_str())).collect();
        values.into_iter().collect()
    }
}

/// Reads OpenMetrics 1.0: families together, counters with `_total`, units at the end of names, `# EOF` at the end.
pub(super) fn open_metrics(text: &str) -> Scrape {
    let body = text.strip_suffix("# EOF\n").expect("the text ends with # EOF");
    read(text, body, Format::Open)
}

/// Reads the text format 0.0.4.
pub(super) fn classic(text: &str) -> Scrape {
    assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "it is the classic format");
    read(text, text, Format::Classic)
}

#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    unit: Option<String>,
}

#[derive(Clone, Copy)]
enum Format {
    Open,
    Classic,
}

fn read(text: &str, body: &str, format: Format) -> Scrape {
    assert!(body.is_empty() || body.ends_with('\n'), "every line ends");
    let (mut samples, mut family, mut seen) = (Vec::new(), Family::default(), BTreeSet::new());
    let mut series = BTreeSet::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let (word, rest) = comment.split_once(' ').expect("a word");
            let (name, value) = rest.split_once(' ').expect("a name and a value");
            match word {
                "HELP" => {
                    assert!(seen.insert(name.to_owned()), "the family {name} stands twice");
                    assert!(!value.trim().is_empty(), "{name} has no help");
                    family = Family { name: name.to_owned(), ..Family::default() };
                }
                "TYPE" => family.kind = value.to_owned(),
                "UNIT" => family.unit = Some(value.to_owned()),
                other => panic!("unknown comment {other}"),
            }
            assert_eq!(name, family.name, "comments of a family stand together");
            continue;
        }
        let sample = sample(line);
        family.check(&sample, format);
        assert!(series.insert((sample.name.clone(), sample.labels.clone())), "twice: {line}");
        samples.push(sample);
    }
    check_histograms(&samples);
    Scrape { text: text.to_owned(), samples }
}

impl Family {
    fn check(&self, sample: &Sample, format: Format) {
        let Self { name, kind, unit } = self;
        if let Some(unit) = unit {
            assert!(name.ends_with(&format!("_{unit}")), "{name} does not end with its unit {unit}");
        }
        let suffix = sample.name.strip_prefix(name.as_str());
        let suffix = suffix.unwrap_or_else(|| panic!("{} stands below {name}", sample.name));
        let is_valid = match (kind.as_str(), format) {
            ("counter", Format::Open) => suffix == "_total",
            ("counter", Format::Classic) => suffix.is_empty() && name.ends_with("_total"),
            ("gauge", _) => suffix.is_empty(),
            ("info", Format::Open) => suffix == "_info" && sample.value == 1.0,
            ("histogram", _) => matches!(suffix, "_bucket" | "_sum" | "_count"),
            _ => false,
        };
        assert!(is_valid, "{} is no sample of the {kind} {name}", sample.name);
        assert_eq!(suffix == "_bucket", sample.labels.contains_key("le"), "{}", sample.name);
        assert!(kind != "counter" || sample.value >= 0.0, "{} is negative", sample.name);
    }
}

/// `name{label="value",…} value`
fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let (name, mut rest) = line.split_at(end);
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    assert!(is_name(name), "{name:?} is no name");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            assert!(is_name(label), "{label:?} is no label: {line}");
            let (value, after) = quoted(after, line);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{label} stands twice: {line}");
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('}').unwrap_or_else(|| panic!("no end: {line}"));
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no blank: {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("{value:?} is no number: {line}"));
    Sample { name: name.to_owned(), labels, value }
}

/// A label's value up to its closing quote, and the text after that.
fn quoted<'t>(text: &'t str, line: &str) -> (String, &'t str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                other => panic!("unknown escape {other:?}: {line}"),
            },
            c => value.push(c),
        }
    }
    panic!("no closing quote: {line}")
}

/// A histogram's name and its labels without `le`.
type Series = (String, BTreeMap<String, String>);

/// Buckets are cumulative, and the last one, `+Inf`, equals the count.
fn check_histograms(samples: &[Sample]) {
    let mut buckets: BTreeMap<Series, Vec<(f64, f64)>> = BTreeMap::new();
    for Sample { name, labels, value } in samples {
        let Some(family) = name.strip_suffix("_bucket") else { continue };
        let mut labels = labels.clone();
        let bound = labels.remove("le").expect("checked before");
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("a number") };
        buckets.entry((family.to_owned(), labels)).or_default().push((bound, *value));
    }
    for ((family, labels), buckets) in buckets {
        let are_sorted = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        assert!(are_sorted, "{family} {labels:?}: {buckets:?}");
        let (bound, most) = buckets.last().expect("one at least");
        assert_eq!(*bound, f64::INFINITY, "{family} has no bucket +Inf");
        let of = |suffix: &str| {
            let name = format!("{family}{suffix}");
            samples
                .iter()
                .find(|sample| sample.name == name && sample.labels == labels)
                .map(|sample| sample.value)
        };
        assert_eq!(of("_count"), Some(*most), "{family} {labels:?}");
        assert!(of("_sum").is_some_and(|sum| sum >= 0.0), "{family} {labels:?}");
    }
}
