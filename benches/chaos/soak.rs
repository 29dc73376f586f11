//! Constant load for a long time, and the slope of memory.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Trouble;
use crate::arguments::Arguments;
use crate::gateway::{Gateway, Usage};
use crate::load::{Load, World};
use crate::order::Mix;

const INTERVAL: Duration = Duration::from_secs(10);
/// Standard errors beyond which a slope is not noise.
const SIGNIFICANT: f64 = 3.0;
/// Growth in KiB that is no trend, however long the run: the C library enlarges its heap in steps of 128 KiB, and one such step
/// in the time that is measured looks like a slope without noise. A longer run therefore finds a smaller slope.
const HEAP_STEP: f64 = 128.0;

/// A line through samples, with the standard error of its slope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slope {
    per_minute: f64,
    error: f64,
}

/// One reading.
#[derive(Clone, Copy)]
struct Sample {
    minutes: f64,
    master: Usage,
    worker: Usage,
}

pub(crate) fn run(gateway: &Gateway, world: &World, arguments: &Arguments) -> Result<(), Trouble> {
    let load = Load {
        mix: Mix::Soak,
        clients: 20,
        seed: arguments.seed,
        pause: Duration::from_millis(400),
        requests: usize::MAX,
    };
    let crowd = load.start(world);
    let (began, length) = (Instant::now(), Duration::from_secs(arguments.minutes * 60));
    let worker = gateway.worker()?;
    let mut samples = Vec::new();
    while began.elapsed() < length {
        sleep(INTERVAL.min(length.saturating_sub(began.elapsed())));
        let (master, worker) = (Usage::of(gateway.master())?, Usage::of(worker)?);
        let sample = Sample { minutes: began.elapsed().as_secs_f64() / 60.0, master, worker };
        eprintln!("{:6.2} min  master {master:?}  worker {worker:?}", sample.minutes);
        samples.push(sample);
    }
    crowd.stop()?;
    let second_half = &samples[samples.len() / 2..];
    for (name, usage) in
        [("master", (|sample| sample.master) as fn(&Sample) -> Usage), ("worker", |s| s.worker)]
    {
        let points: Vec<_> =
            second_half.iter().map(|sample| (sample.minutes, usage(sample).resident_kib as f64)).collect();
        let slope = Slope::of(&points).ok_or("too few samples: run for at least 2 minutes")?;
        println!("{name}: {:+.1} KiB/min, standard error {:.1}", slope.per_minute, slope.error);
        let minutes = points.last().map_or(0.0, |last| last.0) - points.first().map_or(0.0, |first| first.0);
        if slope.grows(minutes) {
            world.history.violate(format!("the memory of the {name} grows: {slope:?}"));
        }
    }
    Ok(())
}

impl Slope {
    /// Least squares.
    pub(crate) fn of(points: &[(f64, f64)]) -> Option<Self> {
        if points.len() < 3 {
            return None;
        }
        let count = points.len() as f64;
        let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
        let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
        let spread: f64 = points.iter().map(|point| (point.0 - mean_x).powi(2)).sum();
        let common: f64 = points.iter().map(|point| (point.0 - mean_x) * (point.1 - mean_y)).sum();
        let per_minute = common / spread;
        let rest: f64 =
            points.iter().map(|point| (point.1 - mean_y - per_minute * (point.0 - mean_x)).powi(2)).sum();
        Some(Self { per_minute, error: (rest / (count - 2.0) / spread).sqrt() })
    }

    /// Whether it is a trend over so many minutes.
    pub(crate) fn grows(self, minutes: f64) -> bool {
        self.per_minute * minutes > HEAP_STEP && self.per_minute > SIGNIFICANT * self.error
    }
}
