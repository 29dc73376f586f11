//! `vdm top`: a live view of a running gateway in the terminal.

mod draw;
mod feed;
mod screen;
mod text;

use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};

use self::feed::FeedEvent;
use self::screen::{After, Screen};
use super::exit_code::Exit;
use super::find_gateway;
use super::options::GatewayOptions;
use super::{print_json, print_to_stderr, report_errors};
use crate::config::Config;
use crate::top::{TopReport, TopRequest};

/// How long to wait for a key before reports are looked for.
const TICK: Duration = Duration::from_millis(100);
const PATH: &str = "/api/ui/top";

#[derive(Args, Debug)]
pub(super) struct Top {
    #[command(flatten)]
    gateway: GatewayOptions,
    /// Print one snapshot as text, as without a terminal
    #[arg(long)]
    once: bool,
    /// Print one snapshot as JSON
    #[arg(long)]
    json: bool,
}

impl Top {
    pub(super) fn run(self) -> Exit {
        let naming = self.gateway.naming();
        let overrides = self.gateway.overrides();
        let config = match Config::load(&overrides) {
            Ok(config) => config,
            Err(errors) => return report_errors(&errors),
        };
        let asked = actix_rt::System::new().block_on(find_gateway::ask(&config, naming, PATH));
        let report = match asked.answer.and_then(|body| feed::parse(&body)) {
            Ok(report) => report,
            Err(message) => {
                print_to_stderr(format_args!("vdm: {message}\n"));
                return Exit::Failed;
            }
        };
        let mut screen = Screen::new(&asked.gateway.url);
        screen.update(Ok(report));
        let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        if self.json || self.once || !is_terminal {
            if let Some(report) = &screen.report {
                match self.json {
                    true => print_json(report),
                    // A closed pipe is not an error.
                    false => drop(std::io::stdout().write_all(snapshot(&screen, report).as_bytes())),
                }
            }
            return Exit::Ok;
        }
        let ended = match ratatui::try_init() {
            Ok(terminal) => show(terminal, screen, &feed::start(asked.gateway)),
            Err(error) => Err(error),
        };
        // Also after a panic: the hook that `try_init` has set does the same.
        ratatui::restore();
        match ended {
            Ok(()) => Exit::Ok,
            Err(error) => {
                print_to_stderr(format_args!("vdm: the terminal cannot be used: {error}\n"));
                Exit::Internal
            }
        }
    }
}

/// Shows the screen until a key or a signal ends it.
fn show(
    mut terminal: DefaultTerminal,
    mut screen: Screen,
    feed: &Receiver<FeedEvent>,
) -> std::io::Result<()> {
    let mut is_changed = true;
    loop {
        if std::mem::take(&mut is_changed) {
            terminal.draw(|frame| draw::draw(frame, &screen))?;
        }
        if event::poll(TICK)? {
            // A key, or a new size of the terminal.
            is_changed = true;
            if let Event::Key(key) = event::read()?
                && screen.key(key) == After::Quit
            {
                return Ok(());
            }
        }
        loop {
            match feed.try_recv() {
                Ok(FeedEvent::Report(report)) => {
                    screen.update(report.map(|report| *report));
                    is_changed = true;
                }
                Ok(FeedEvent::Stop) => return Ok(()),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    return Err(std::io::Error::other("the connection to the gateway was lost"));
                }
            }
        }
    }
}

/// The screen's content as text.
fn snapshot(screen: &Screen, report: &TopReport) -> String {
    let uptime = text::duration(report.uptime_seconds.saturating_mul(1000));
    let mut out =
        format!("{}  vdm {}, up {uptime}\n{}\n", screen.url, report.version, draw::sums_text(report));
    let cells =
        |rows: Vec<&TopRequest>| rows.into_iter().map(|row| draw::cells(row, draw::Columns::All)).collect();
    let headings = draw::headings(draw::Columns::All);
    out.push_str(&table(&format!("In flight: {}", report.in_flight), &headings, cells(screen.running())));
    out.push_str(&table("Finished", &headings, cells(screen.finished())));
    let providers = report.providers.iter().map(|provider| draw::provider_cells(provider).to_vec());
    out.push_str(&table("Providers", &draw::PROVIDER_HEADINGS, providers.collect()));
    out
}

/// A titled table with columns as wide as their cells.
fn table(title: &str, headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut out = format!("\n{title}\n");
    if rows.is_empty() {
        out.push_str("  none\n");
        return out;
    }
    let headings = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(headings).chain(rows).collect();
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let text = cells.collect::<Vec<_>>().join("  ");
        out.push_str(&format!("  {}\n", text.trim_end()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::TopProvider;

    /// Requirement: without a terminal, one snapshot has every table, with aligned columns.
    #[test]
    fn a_snapshot_has_every_table() {
        let mut screen = Screen::new("http://gateway");
        let running =
            TopRequest { requested: "a".to_owned(), model: "m".to_owned(), ..TopRequest::default() };
        let report = TopReport {
            in_flight: 1,
            running: vec![running],
            providers: vec![TopProvider {
                name: "openai".to_owned(),
                state: "ok".to_owned(),
                ..Default::default()
            }],
            ..TopReport::default()
        };
        screen.update(Ok(report.clone()));
        let text = snapshot(&screen, &report);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("http://gateway  vdm "), "{text}");
        let running = lines.iter().position(|line| *line == "In flight: 1").unwrap();
        assert_eq!(lines[running + 1].find("MODEL"), lines[running + 2].find("a → :m"), "{text}");
        assert!(text.contains("Finished\n  none\n") && text.contains("  openai    ok"), "{text}");
    }
}
