//! The data of a chart, as `assets/charts.js` draws it.

use serde::Serialize;

/// Lines or bars over time.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    /// `line`, `bars` or `stacked`
    pub(super) kind: &'static str,
    /// The unit by which numbers are formatted: `requests`, `ms`, `tokens`, `percent`, `money` or `rate`.
    pub(super) unit: &'static str,
    /// Seconds since the Unix epoch.
    pub(super) x: Vec<u64>,
    pub(super) series: Vec<Series>,
    /// Dragging over the chart selects a time.
    pub(super) zoom: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Series {
    pub(super) label: String,
    /// `good`, `bad`, `muted`, or a number from 1 to 6
    pub(super) color: &'static str,
    pub(super) values: Vec<Option<f64>>,
}

/// Colours for series without a meaning of their own.
const COLORS: [&str; 6] = ["1", "2", "3", "4", "5", "6"];

impl Chart {
    /// No series has a value other than zero.
    pub(super) fn is_empty(&self) -> bool {
        self.series
            .iter()
            .flat_map(|series| &series.values)
            .all(|value| value.is_none_or(|value| value == 0.0))
    }

    /// For a `<script type="application/json">`, which no text in it can end.
    pub(super) fn script(&self) -> String {
        serde_json::to_string(self).unwrap_or_default().replace('<', "\\u003c")
    }
}

impl Series {
    pub(super) fn new(label: impl Into<String>, color: &'static str, values: Vec<Option<f64>>) -> Self {
        Self { label: label.into(), color, values }
    }

    /// With the colour of this place in the list.
    pub(super) fn numbered(label: impl Into<String>, at: usize, values: Vec<Option<f64>>) -> Self {
        Self::new(label, COLORS.get(at).copied().unwrap_or("muted"), values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: a name that a client chose cannot end the script that holds the data.
    #[test]
    fn no_text_ends_the_script() {
        let series = vec![Series::numbered("</script><script>alert(1)", 9, vec![Some(1.0), None])];
        let chart = Chart { kind: "line", unit: "ms", x: vec![1, 2], series, zoom: false };
        assert!(!chart.script().contains('<'));
        assert_eq!(chart.series[0].color, "muted");
        assert!(!chart.is_empty());
    }
}
