//! CSV as RFC 4180 describes it, safe to open in a spreadsheet.

/// Lines of CSV.
#[derive(Debug, Default)]
pub(crate) struct Csv(String);

impl Csv {
    pub(crate) fn line<I, S>(&mut self, cells: I)
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        for (at, cell) in cells.into_iter().enumerate() {
            if at > 0 {
                self.0.push(',');
            }
            self.cell(cell.as_ref());
        }
        self.0.push_str("\r\n");
    }

    fn cell(&mut self, text: &str) {
        // A spreadsheet runs a cell that begins like a formula. Our numbers may be negative and stay numbers.
        let is_number = text.parse::<f64>().is_ok_and(f64::is_finite);
        let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !is_number;
        if !is_formula && !text.contains([',', '"', '\r', '\n']) {
            self.0.push_str(text);
            return;
        }
        self.0.push('"');
        if is_formula {
            self.0.push('\'');
        }
        self.0.push_str(&text.replace('"', "\"\""));
        self.0.push('"');
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(cells: &[&str]) -> String {
        let mut csv = Csv::default();
        csv.line(cells);
        csv.into_text()
    }

    /// Requirement: a model, a session or an error that begins like a formula is text in a spreadsheet.
    #[test]
    fn formulas_are_text_and_numbers_stay_numbers() {
        assert_eq!(line(&["a", "-12", "0.5", ""]), "a,-12,0.5,\r\n");
        assert_eq!(line(&["=1+1", "@SUM(A1)", "+x"]), "\"'=1+1\",\"'@SUM(A1)\",\"'+x\"\r\n");
        assert_eq!(
            line(&["+1e3", "-", "\t=1", "\r=1", "\n=1"]),
            "+1e3,\"'-\",\"'\t=1\",\"'\r=1\",\"'\n=1\"\r\n"
        );
        assert_eq!(line(&["-cmd|' /C calc'!A0"]), "\"'-cmd|' /C calc'!A0\"\r\n");
        assert_eq!(line(&["a,b", "say \"hi\"", "x\ny"]), "\"a,b\",\"say \"\"hi\"\"\",\"x\ny\"\r\n");
    }

    /// The cells of one line, as a spreadsheet reads them.
    fn read(line: &str) -> Vec<String> {
        let (mut cells, mut cell, mut is_quoted) = (vec![], String::new(), false);
        let mut letters = line.trim_end_matches("\r\n").chars().peekable();
        while let Some(letter) = letters.next() {
            match (letter, is_quoted) {
                ('"', true) if letters.peek() == Some(&'"') => cell.extend(letters.next()),
                ('"', _) => is_quoted = !is_quoted,
                (',', false) => cells.push(std::mem::take(&mut cell)),
                (letter, _) => cell.push(letter),
            }
        }
        cells.push(cell);
        cells
    }

    proptest! {
        #[test]
        fn cells_are_read_as_they_were_written_and_none_is_a_formula(
            cells in proptest::collection::vec("[=+@a,\" \n-]{0,6}", 1..5)
        ) {
            let texts: Vec<&str> = cells.iter().map(String::as_str).collect();
            for (written, found) in cells.iter().zip(read(&line(&texts))) {
                prop_assert!(found == *written || found == format!("'{written}"), "{found:?}");
                prop_assert!(!found.starts_with(['=', '+', '@', '-']), "{found:?}");
            }
        }
    }
}
