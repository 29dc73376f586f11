//! The measured values of one row, and their table.

use std::fmt::{self, Display, Formatter};

use crate::table::{median, quartiles};

/// The unit of a row, and how its values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Microseconds,
    Milliseconds,
    Instructions,
    Kibibytes,
    Streams,
}

/// One row: the bare proxy, the other builds, and the build under test.
pub(crate) struct Comparison {
    pub(crate) work: String,
    pub(crate) unit: Unit,
    /// The name of each party, the bare proxy first.
    pub(crate) names: Vec<String>,
    /// The values of each party, one of each round; NaN where one could not be measured.
    pub(crate) values: Vec<Vec<f64>>,
}

pub(crate) struct Comparisons(pub(crate) Vec<Comparison>);

/// The number of the bare proxy, and of the build that the others are compared with.
const BARE: usize = 0;
const BEFORE: usize = 1;

impl Unit {
    fn write(self, value: f64) -> String {
        if value.is_nan() {
            return "–".to_owned();
        }
        match self {
            Self::Microseconds => format!("{value:.1} µs"),
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Kibibytes => format!("{value:.1} KiB"),
            Self::Instructions | Self::Streams => format!("{value:.0}"),
        }
    }
}

impl Comparison {
    /// The ratios of a party to another in the same rounds: their median, and their quartiles if there are several.
    fn over(&self, party: usize, other: usize) -> String {
        let ratios = self.values[party].iter().zip(&self.values[other]).map(|(value, base)| value / base);
        let [lower, middle, upper] = quartiles(ratios);
        match (party == other || !middle.is_finite(), self.values[party].len()) {
            (true, _) => "–".to_owned(),
            (false, 1) => format!("{middle:.3}"),
            (false, _) => format!("{middle:.3} [{lower:.2}–{upper:.2}]"),
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, page: &mut Formatter<'_>) -> fmt::Result {
        for (party, name) in self.names.iter().enumerate() {
            let value = self.unit.write(median(self.values[party].iter().copied()));
            let over_before = if party == BARE { "–".to_owned() } else { self.over(party, BEFORE) };
            let over_bare = self.over(party, BARE);
            writeln!(page, "| {} | {name} | {value} | {over_before} | {over_bare} |", self.work)?;
        }
        Ok(())
    }
}

impl Display for Comparisons {
    fn fmt(&self, page: &mut Formatter<'_>) -> fmt::Result {
        let names = self.0.first().map(|row| row.names.as_slice()).unwrap_or_default();
        let before = names.get(BEFORE).map_or("before", String::as_str);
        writeln!(
            page,
            "| work | build | median | ÷ {before} | ÷ {} |",
            names.first().map_or("bare", String::as_str)
        )?;
        writeln!(page, "|---|---|---|---|---|")?;
        self.0.iter().try_for_each(|row| write!(page, "{row}"))
    }
}
