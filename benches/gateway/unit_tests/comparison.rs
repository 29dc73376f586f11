//! Tests of the statistics, and of the table that compares builds.

use crate::rows::against::{Comparison, Comparisons, Unit};
use crate::table::{median, quartiles};

/// Requirement: quartiles are interpolated between the values of the sorted list.
#[test]
fn quartiles_are_interpolated() {
    let close = |found: [f64; 3], wanted: [f64; 3]| {
        assert!(found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-9), "{found:?}");
    };
    close(quartiles([9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0]), [3.0, 5.0, 7.0]);
    close(quartiles([4.0, 1.0, 2.0, 3.0]), [1.75, 2.5, 3.25]);
    close(quartiles([3.0]), [3.0; 3]);
    close([median([2.0, 1.0]), 0.0, 0.0], [1.5, 0.0, 0.0]);
    assert!(quartiles([]).iter().all(|value| value.is_nan()));
}

fn row(values: [&[f64]; 3], unit: Unit) -> String {
    let names = ["bare proxy", "old", "this build"].map(str::to_owned).to_vec();
    let values = values.iter().map(|values| values.to_vec()).collect();
    Comparisons(vec![Comparison { work: "row".to_owned(), unit, names, values }]).to_string()
}

/// Requirement: a ratio is the median of the ratios of each round, not the ratio of the medians, since the machine may be
/// slower in one round than in another.
#[test]
fn ratios_are_those_of_the_same_round() {
    let table = row([&[10.0, 20.0, 40.0], &[20.0, 40.0, 80.0], &[11.0, 80.0, 44.0]], Unit::Microseconds);
    let wanted = "\
| work | build | median | ÷ old | ÷ bare proxy |
|---|---|---|---|---|
| row | bare proxy | 20.0 µs | – | – |
| row | old | 40.0 µs | – | 2.000 [2.00–2.00] |
| row | this build | 44.0 µs | 0.550 [0.55–1.27] | 1.100 [1.10–2.55] |
";
    assert_eq!(table, wanted);
}

/// Requirement: a party that could not be measured leaves its cells empty, and those of the others that need it.
#[test]
fn a_party_without_a_value_is_left_out() {
    let table = row([&[100.0], &[f64::NAN], &[150.0]], Unit::Instructions);
    assert!(table.contains("| row | old | – | – | – |\n"), "{table}");
    assert!(table.contains("| row | this build | 150 | – | 1.500 |\n"), "{table}");
}
