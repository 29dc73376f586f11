//! What the screen of `vdm top` shows, and how keys change it. Pure state.

use std::cmp::Reverse;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::top::{TopReport, TopRequest};

/// The longest filter, in characters.
const LONGEST_FILTER: usize = 60;

/// The order of the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// In flight: the oldest first. Finished: the latest first.
    #[default]
    Time,
    /// The longest first.
    Duration,
    /// The most output tokens first.
    Tokens,
    Model,
    Provider,
}

/// Whether keys edit the filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Input {
    #[default]
    Commands,
    Filter,
}

/// Whether the screen continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Continue,
    Quit,
}

/// The state of the screen.
#[derive(Debug, Default)]
pub(super) struct Screen {
    pub(super) url: String,
    pub(super) report: Option<TopReport>,
    /// Why the last report is missing; the report before it stays.
    pub(super) error: Option<String>,
    pub(super) sort: Sort,
    pub(super) filter: String,
    pub(super) input: Input,
    pub(super) paused: bool,
}

impl Sort {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Duration => "duration",
            Self::Tokens => "tokens",
            Self::Model => "model",
            Self::Provider => "provider",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Time => Self::Duration,
            Self::Duration => Self::Tokens,
            Self::Tokens => Self::Model,
            Self::Model => Self::Provider,
            Self::Provider => Self::Time,
        }
    }

    /// Sorts rows that are in the order of their time. Rows that are equal keep it.
    fn apply(self, rows: &mut [&TopRequest]) {
        match self {
            Self::Time => {}
            Self::Duration => rows.sort_by_key(|row| Reverse(row.duration_ms)),
            Self::Tokens => rows.sort_by_key(|row| Reverse(row.output_tokens)),
            Self::Model => rows.sort_by(|one, other| one.model.cmp(&other.model)),
            Self::Provider => rows.sort_by(|one, other| one.provider.cmp(&other.provider)),
        }
    }
}

impl Screen {
    pub(super) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), ..Self::default() }
    }

    /// Takes the next report. A paused screen keeps the one that it has.
    pub(super) fn update(&mut self, report: Result<TopReport, String>) {
        match report {
            Ok(report) => {
                self.error = None;
                if !self.paused || self.report.is_none() {
                    self.report = Some(report);
                }
            }
            Err(error) => self.error = Some(error),
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> After {
        if key.kind == KeyEventKind::Release {
            return After::Continue;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { After::Quit } else { After::Continue };
        }
        match self.input {
            Input::Commands => self.command(key.code),
            Input::Filter => {
                self.edit(key.code);
                After::Continue
            }
        }
    }

    fn command(&mut self, code: KeyCode) -> After {
        if let KeyCode::Char(key) = code {
            match key {
                'q' => return After::Quit,
                's' => self.sort = self.sort.next(),
                'p' | ' ' => self.paused = !self.paused,
                '/' | 'f' => self.input = Input::Filter,
                _ => {}
            }
        } else if code == KeyCode::Esc {
            self.filter.clear();
        }
        After::Continue
    }

    fn edit(&mut self, code: KeyCode) {
        if let KeyCode::Char(letter) = code {
            if self.filter.chars().count() < LONGEST_FILTER {
                self.filter.push(letter);
            }
        } else if code == KeyCode::Backspace {
            self.filter.pop();
        } else if code == KeyCode::Enter {
            self.input = Input::Commands;
        } else if code == KeyCode::Esc {
            self.filter.clear();
            self.input = Input::Commands;
        }
    }

    /// The requests in flight that match the filter, in the chosen order.
    pub(super) fn running(&self) -> Vec<&TopRequest> {
        let rows = self.report.iter().flat_map(|report| report.running.iter().rev());
        self.selected(rows)
    }

    /// The same for the requests that have ended.
    pub(super) fn finished(&self) -> Vec<&TopRequest> {
        let rows = self.report.iter().flat_map(|report| &report.finished);
        self.selected(rows)
    }

    fn selected<'r>(&self, rows: impl Iterator<Item = &'r TopRequest>) -> Vec<&'r TopRequest> {
        let filter = self.filter.to_lowercase();
        let mut rows: Vec<&TopRequest> = rows.filter(|row| row.contains(&filter)).collect();
        self.sort.apply(&mut rows);
        rows
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(id: &str, model: &str, duration_ms: u64, output_tokens: u64) -> TopRequest {
        TopRequest {
            id: id.to_owned(),
            model: model.to_owned(),
            duration_ms,
            output_tokens,
            ..TopRequest::default()
        }
    }

    fn screen() -> Screen {
        let mut screen = Screen::new("http://gateway");
        screen.update(Ok(TopReport {
            running: vec![
                request("new", "b", 1, 30),
                request("middle", "a", 2, 10),
                request("old", "C", 3, 20),
            ],
            ..TopReport::default()
        }));
        screen
    }

    fn press(screen: &mut Screen, keys: &str) -> After {
        let mut after = After::Continue;
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                '\u{1b}' => KeyCode::Esc,
                '\u{8}' => KeyCode::Backspace,
                key => KeyCode::Char(key),
            };
            after = screen.key(KeyEvent::from(code));
        }
        after
    }

    fn ids(screen: &Screen) -> Vec<&str> {
        screen.running().iter().map(|row| row.id.as_str()).collect()
    }

    /// Requirement: `s` changes the order; numbers are sorted as numbers.
    #[test]
    fn rows_are_sorted_by_the_chosen_column() {
        let mut screen = screen();
        for order in [
            ["old", "middle", "new"],
            ["old", "middle", "new"],
            ["new", "old", "middle"],
            ["old", "middle", "new"],
            ["old", "middle", "new"],
        ] {
            assert_eq!(ids(&screen), order, "{}", screen.sort.name());
            press(&mut screen, "s");
        }
        assert_eq!(screen.sort, Sort::Time);
    }

    /// Requirement: `/` filters by text, and Escape removes the filter.
    #[test]
    fn the_filter_selects_rows_and_is_removed_by_escape() {
        let mut screen = screen();
        assert_eq!(press(&mut screen, "/cq\u{8}"), After::Continue, "q is a letter of the filter");
        assert_eq!((ids(&screen), screen.filter.as_str()), (vec!["old"], "c"));
        press(&mut screen, "\n");
        assert_eq!((screen.input, ids(&screen).len()), (Input::Commands, 1));
        press(&mut screen, "\u{1b}");
        assert_eq!(ids(&screen).len(), 3);
        press(&mut screen, "/x\u{1b}");
        assert_eq!((screen.input, screen.filter.as_str()), (Input::Commands, ""));
    }

    /// Requirement: a paused screen does not change, and shows that a gateway is gone.
    #[test]
    fn a_paused_screen_keeps_its_rows() {
        let mut screen = screen();
        press(&mut screen, "p");
        screen.update(Ok(TopReport::default()));
        assert_eq!(ids(&screen).len(), 3);
        screen.update(Err("no gateway answers".to_owned()));
        assert_eq!((ids(&screen).len(), screen.error.as_deref()), (3, Some("no gateway answers")));
        press(&mut screen, "p");
        screen.update(Ok(TopReport::default()));
        assert_eq!((ids(&screen).len(), screen.error.as_deref()), (0, None));
    }

    #[test]
    fn q_and_control_c_quit() {
        let mut screen = screen();
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(screen.key(interrupt), After::Quit);
        press(&mut screen, "/");
        assert_eq!(screen.key(interrupt), After::Quit);
        assert_eq!(press(&mut screen, "\u{1b}q"), After::Quit);
    }

    proptest! {
        #[test]
        fn any_keys_keep_the_filter_bounded(keys in "[a-z/\\n\\u{8}\\u{1b}]{0,200}") {
            let mut screen = screen();
            press(&mut screen, &keys);
            prop_assert!(screen.filter.chars().count() <= LONGEST_FILTER);
            prop_assert!(screen.running().len() <= 3);
        }
    }
}
