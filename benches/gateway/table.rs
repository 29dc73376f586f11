//! The table, in Markdown.

use std::fmt::{Display, Formatter, Result};

/// One kind of work.
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) nginx: String,
    pub(crate) bare: String,
    pub(crate) ours: String,
    /// The gateway's share of the bare proxy's.
    pub(crate) over_bare: f64,
    /// The goal next to the bare proxy, or that of the gateway alone.
    pub(crate) goal: &'static str,
    /// The goals next to nginx, of the first release and of later ones.
    pub(crate) wanted: [&'static str; 2],
}

pub(crate) struct Table(pub(crate) Vec<Row>);

impl Display for Table {
    fn fmt(&self, page: &mut Formatter<'_>) -> Result {
        writeln!(
            page,
            "| work | nginx | bare actix-web + awc | vdm | vdm ÷ bare | goal | first | then |\n\
             |---|---|---|---|---|---|---|---|"
        )?;
        for Row { work, nginx, bare, ours, over_bare, goal, wanted: [first, then] } in &self.0 {
            writeln!(
                page,
                "| {work} | {nginx} | {bare} | **{ours}** | **{over_bare:.2}** | {goal} | {first} | {then} |"
            )?;
        }
        Ok(())
    }
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quartiles(values)[1]
}

/// The lower quartile, the median and the upper quartile. Between two values they are interpolated.
pub(crate) fn quartiles(values: impl IntoIterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return [f64::NAN; 3] };
    [1, 2, 3].map(|quarter| {
        let (below, rest) = (last * quarter / 4, last * quarter % 4);
        let above = (below + 1).min(last);
        sorted[below] + (sorted[above] - sorted[below]) * rest as f64 / 4.0
    })
}
