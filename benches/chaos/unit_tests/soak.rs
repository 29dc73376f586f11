//! Which slopes count as a leak.

use crate::soak::Slope;

/// A sample every ten seconds for 15 minutes: this growth per minute, and noise of 40 KiB.
fn grows(per_minute: f64) -> bool {
    let sample = |number: u32| {
        let minutes = f64::from(number) / 6.0;
        (minutes, 20_000.0 + per_minute * minutes + f64::from(number * 7919 % 80))
    };
    let points: Vec<_> = (0..90).map(sample).collect();
    Slope::of(&points).expect("enough samples").grows(15.0)
}

/// Requirement (issue 15, 7): a leak of 12 KiB a minute, 17 MiB a day, is found within 30 minutes; noise is not a leak.
#[test]
fn a_slow_leak_is_found_and_noise_is_not() {
    assert!(grows(12.0) && grows(100.0));
    assert!(!grows(0.0) && !grows(-50.0));
}

/// Requirement: one step of the heap is not a leak.
#[test]
fn one_step_is_no_trend() {
    let step = |number: u32| (f64::from(number) / 6.0, if number < 45 { 20_000.0 } else { 20_080.0 });
    let points: Vec<_> = (0..90).map(step).collect();
    assert!(!Slope::of(&points).expect("enough samples").grows(15.0));
}
