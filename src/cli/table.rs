//! Text tables. Columns are as wide as their cells, and on a terminal the table is no wider than the terminal.

use std::io::{IsTerminal as _, Write as _};

use crate::terminal::Style;

const GAP: usize = 2;
/// The minimum width of a column.
const NARROWEST: usize = 8;
const BOLD: &str = "1";

/// Rows under headings. The first column is never truncated, because users copy it.
pub(super) struct Table<const N: usize> {
    headings: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(headings: [&'static str; N]) -> Self {
        Self { headings, rows: vec![] }
    }

    /// Removes control characters from cells, because their text may come from a provider.
    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows
            .push(cells.map(|cell| cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect()));
    }

    /// Prints the table to stdout. A closed pipe is not an error.
    pub(super) fn print(&self) {
        let terminal = std::io::stdout().is_terminal();
        let text = self.text(Style::of_stdout(), terminal.then(width).flatten());
        let _ = std::io::stdout().write_all(text.as_bytes());
    }

    fn text(&self, style: Style, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let headings = self.headings.map(str::to_owned);
        let mut text = style.paint(BOLD, &line(&headings, widths));
        text.push('\n');
        for row in &self.rows {
            text.push_str(&line(row, widths));
            text.push('\n');
        }
        text
    }

    fn widths(&self, width: Option<usize>) -> [usize; N] {
        let mut widths: [usize; N] = std::array::from_fn(|column| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.headings[column].chars().count()]).max().unwrap_or_default()
        });
        let Some(width) = width else { return widths };
        loop {
            let total = widths.iter().sum::<usize>() + GAP * N.saturating_sub(1);
            let widest = (1..N).max_by_key(|&column| widths[column]);
            match widest {
                Some(column) if total > width && widths[column] > NARROWEST => widths[column] -= 1,
                Some(_) | None => return widths,
            }
        }
    }
}

fn line<const N: usize>(cells: &[String; N], widths: [usize; N]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let length = cell.chars().count();
        if length > width {
            text.extend(cell.chars().take(width.saturating_sub(1)));
            text.push('…');
        } else {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width - length));
        }
        text.push_str("  ");
    }
    text.trim_end().to_owned()
}

/// The width of the terminal; `COLUMNS` overrides it.
pub(super) fn width() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
    said.filter(|&columns: &usize| columns > 0)
        .or_else(|| terminal_size::terminal_size().map(|(terminal_size::Width(width), _)| width.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let mut table = Table::new(["MODEL", "NAME", "NOTE"]);
        table.row(["openai:gpt-5.2".into(), "GPT 5.2, which has a long name".into(), "x".into()]);
        table.row(["a".into(), "A\u{1b}[31m".into(), String::new()]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(
            table().text(Style::Plain, None),
            "MODEL           NAME                            NOTE\n\
             openai:gpt-5.2  GPT 5.2, which has a long name  x\n\
             a               A?[31m\n"
        );
    }

    #[test]
    fn a_narrow_terminal_truncates_the_widest_columns_but_never_the_first() {
        assert_eq!(
            table().text(Style::Plain, Some(34)),
            "MODEL           NAME          NOTE\n\
             openai:gpt-5.2  GPT 5.2, wh…  x\n\
             a               A?[31m\n"
        );
        assert!(table().text(Style::Plain, Some(1)).contains("openai:gpt-5.2  GPT 5.2…  x\n"));
    }

    #[test]
    fn headings_are_bold_if_colours_are_on() {
        assert!(table().text(Style::Coloured, None).starts_with("\u{1b}[1mMODEL"));
    }
}
