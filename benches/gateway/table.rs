//! The table, in Markdown.

use std::fmt::{Display, Formatter, Result};

/// One kind of work.
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) nginx: String,
    pub(crate) bare: String,
    pub(crate) ours: String,
    /// The goals, of the first release and of later ones.
    pub(crate) wanted: [&'static str; 2],
}

pub(crate) struct Table(pub(crate) Vec<Row>);

impl Display for Table {
    fn fmt(&self, page: &mut Formatter<'_>) -> Result {
        writeln!(
            page,
            "| work | nginx | bare actix-web + awc | vdm | first | then |\n|---|---|---|---|---|---|"
        )?;
        for Row { work, nginx, bare, ours, wanted: [first, then] } in &self.0 {
            writeln!(page, "| {work} | {nginx} | {bare} | **{ours}** | {first} | {then} |")?;
        }
        Ok(())
    }
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}
