//! The heat map of durations: how many requests took how long, in each interval.

use std::time::Duration;

use vandamme_actors::clock::Millis;
use vandamme_actors::history::UsageRow;

use crate::dashboard::units::Elapsed;

/// The upper ends of the bands, in milliseconds; the last band has none.
const BANDS: [u64; 8] = [100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000];
/// The size of a cell in the drawing.
const WIDTH: usize = 8;
const HEIGHT: usize = 16;

/// The cells that have requests.
#[derive(Debug, Default)]
pub(super) struct Heat {
    pub(super) cells: Vec<Cell>,
    columns: usize,
}

#[derive(Debug)]
pub(super) struct Cell {
    pub(super) x: usize,
    pub(super) y: usize,
    /// From 0 to 1, with two decimal places.
    pub(super) opacity: String,
    pub(super) title: String,
}

impl Heat {
    pub(super) fn new(times: &[Millis], rows: &[UsageRow]) -> Self {
        let mut counts = vec![];
        for row in rows {
            let Ok(column) = times.binary_search(&row.start) else { continue };
            let mut bands = [0_u64; BANDS.len() + 1];
            for (duration, count) in row.sums.elapsed.buckets() {
                bands[band(duration)] += count;
            }
            counts.extend(
                bands
                    .into_iter()
                    .enumerate()
                    .filter(|(_, count)| *count > 0)
                    .map(|(band, count)| (column, band, count)),
            );
        }
        let most = counts.iter().map(|(.., count)| *count).max().unwrap_or(1);
        let cell = |(column, band, count): (usize, usize, u64)| Cell {
            x: column * WIDTH,
            y: (BANDS.len() - band) * HEIGHT,
            // By the logarithm, so that a single slow request is visible beside many fast ones.
            opacity: format!("{:.2}", 0.2 + 0.8 * (count as f64).ln_1p() / (most as f64).ln_1p()),
            title: format!("{count} × {}", label(band)),
        };
        Self { cells: counts.into_iter().map(cell).collect(), columns: times.len() }
    }

    pub(super) fn width(&self) -> usize {
        self.columns * WIDTH
    }

    pub(super) fn height(&self) -> usize {
        (BANDS.len() + 1) * HEIGHT
    }

    /// The names of the bands, the longest durations first.
    pub(super) fn labels(&self) -> Vec<String> {
        (0..=BANDS.len()).rev().map(label).collect()
    }
}

fn band(duration: Duration) -> usize {
    BANDS.iter().position(|end| duration.as_millis() < u128::from(*end)).unwrap_or(BANDS.len())
}

fn label(band: usize) -> String {
    let shown = |millis: u64| {
        let text = Elapsed(Some(Duration::from_millis(millis))).to_string();
        text.replace(".00 s", " s").replace(".0 s", " s").replace(" 0 s", "")
    };
    match BANDS.get(band) {
        Some(end) => format!("< {}", shown(*end)),
        None => format!("≥ {}", shown(BANDS[BANDS.len() - 1])),
    }
}

#[cfg(test)]
mod tests {
    use vandamme_actors::history::UsageSums;

    use super::*;

    /// Requirement: every request is in one cell, in the column of its interval and the row of its duration.
    #[test]
    fn every_request_is_in_the_cell_of_its_duration() {
        let mut sums = UsageSums::default();
        for millis in [50, 50, 2000, 900_000] {
            sums.elapsed.record(Duration::from_millis(millis));
        }
        let heat = Heat::new(&[0, 1000, 2000], &[UsageRow { start: 1000, group: vec![], sums }]);
        let cells: Vec<_> =
            heat.cells.iter().map(|cell| (cell.x, cell.y / HEIGHT, cell.title.as_str())).collect();
        assert_eq!(cells, [(WIDTH, 8, "2 × < 100 ms"), (WIDTH, 5, "1 × < 3 s"), (WIDTH, 0, "1 × ≥ 5 min")]);
        assert_eq!(heat.cells[0].opacity, "1.00");
    }
}
