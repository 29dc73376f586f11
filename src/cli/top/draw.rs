//! Draws the screen of `vdm top`.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use super::screen::{Input, Screen};
use super::text::{count, duration, money, optional_duration, percent, rate};
use crate::top::{TodayCost, TopProvider, TopReport, TopRequest};

/// Below this width, the columns for the client, the key and the first event are left out.
const WIDE: u16 = 100;
/// The most lines of the provider table with its frame and its heading.
const PROVIDER_LINES: usize = 9;

/// Draws everything. The height is shared between the tables; on a low terminal the last ones have no room.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let [heading, sums, running, finished, providers, keys] = areas(frame.area(), screen);
    frame.render_widget(Paragraph::new(title(screen)), heading);
    let Some(report) = &screen.report else {
        let text = screen.error.as_deref().unwrap_or("waiting for the gateway …");
        frame.render_widget(Paragraph::new(text), sums);
        frame.render_widget(Paragraph::new(key_line(screen)), keys);
        return;
    };
    frame.render_widget(Paragraph::new(sums_line(report)), sums);
    let rows = screen.running();
    let name = format!("In flight: {} of {}", rows.len(), report.in_flight);
    requests(frame, running, &name, &rows);
    let rows = screen.finished();
    requests(frame, finished, &format!("Finished: the latest {}", rows.len()), &rows);
    provider_table(frame, providers, report);
    frame.render_widget(Paragraph::new(key_line(screen)), keys);
}

fn areas(area: Rect, screen: &Screen) -> [Rect; 6] {
    let lines = |rows: usize| u16::try_from(rows).unwrap_or(u16::MAX);
    let report = screen.report.as_ref();
    let providers = report.map_or(0, |report| (report.providers.len() + 3).min(PROVIDER_LINES));
    let running = report.map_or(0, |_| screen.running().len() + 3);
    let layout = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(lines(running).min(area.height / 2).max(4)),
        Constraint::Min(4),
        Constraint::Length(lines(providers)),
        Constraint::Length(1),
    ]);
    layout.areas(area)
}

fn title(screen: &Screen) -> Line<'_> {
    let mut spans = vec![Span::styled("vdm top", Style::new().add_modifier(Modifier::BOLD))];
    if let Some(report) = &screen.report {
        let uptime = duration(report.uptime_seconds.saturating_mul(1000));
        spans.push(Span::raw(format!("  {}  vdm {}, up {uptime}", screen.url, report.version)));
    }
    if screen.paused {
        spans.push(Span::styled("  paused", Style::new().fg(Color::Yellow)));
    }
    if let Some(error) = screen.error.as_deref().filter(|_| screen.report.is_some()) {
        spans.push(Span::styled(format!("  {error}"), Style::new().fg(Color::Red)));
    }
    Line::from(spans)
}

/// The second line: the sums of the last minutes, and the cost of today.
pub(super) fn sums_text(report: &TopReport) -> String {
    let recent = &report.recent;
    let mut parts = vec![
        format!("{} requests/min", rate(recent.requests, recent.seconds as f64 / 60.0)),
        format!("{} failed", percent(recent.failed, recent.requests)),
        format!("{} in flight", report.in_flight),
        format!("{} tokens/s out", rate(recent.output_tokens, recent.seconds as f64)),
        format!("p95 {}", optional_duration(recent.p95_ms)),
        format!("first event p95 {}", optional_duration(recent.first_event_p95_ms)),
    ];
    if let Some(TodayCost { micro_dollars, unpriced }) = report.today {
        parts.push(match (micro_dollars, unpriced) {
            (0, 1..) => format!("today unpriced ({unpriced} requests)"),
            (_, 0) => format!("today {}", money(micro_dollars)),
            _ => format!("today {} + {unpriced} unpriced requests", money(micro_dollars)),
        });
    }
    if report.metrics_off {
        parts.push("requests are not recorded: LOG_REQUEST_METRICS is off".to_owned());
    }
    parts.join("  ")
}

fn sums_line(report: &TopReport) -> Line<'static> {
    Line::raw(sums_text(report))
}

fn key_line(screen: &Screen) -> Line<'static> {
    if screen.input == Input::Filter {
        return Line::raw(format!("Filter: {}▏  Enter keeps it, Esc removes it", screen.filter));
    }
    let filter = if screen.filter.is_empty() { String::new() } else { format!(" [{}]", screen.filter) };
    let pause = if screen.paused { "continue" } else { "pause" };
    Line::raw(format!("q quit  s sort [{}]  p {pause}  / filter{filter}", screen.sort.name()))
        .style(Style::new().add_modifier(Modifier::DIM))
}

fn block(title: &str) -> Block<'static> {
    Block::new().borders(Borders::TOP).title(format!(" {} ", printable(title)))
}

/// Text from clients and upstreams must not control the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// How many columns a table of requests has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    All,
    /// Those that fit a narrow terminal.
    Few,
}

/// One request in text. The order is that of [`headings`].
pub(super) fn cells(row: &TopRequest, columns: Columns) -> Vec<String> {
    let target = format!("{}:{}", row.provider, row.model);
    let model = if row.requested == row.model { target } else { format!("{} → {target}", row.requested) };
    let mut cells = vec![duration(row.duration_ms), outcome(row), printable(&model)];
    if columns == Columns::All {
        let text = |value: &Option<String>| printable(value.as_deref().unwrap_or("–"));
        cells.extend([text(&row.client), text(&row.key), optional_duration(row.first_event_ms)]);
    }
    cells.extend([count(row.input_tokens), count(row.output_tokens)]);
    if columns == Columns::All {
        cells.push(row.micro_dollars.map_or_else(|| "–".to_owned(), money));
    }
    cells
}

pub(super) fn headings(columns: Columns) -> Vec<&'static str> {
    match columns {
        Columns::All => vec!["TIME", "OUTCOME", "MODEL", "CLIENT", "KEY", "FIRST", "IN", "OUT", "COST"],
        Columns::Few => vec!["TIME", "OUTCOME", "MODEL", "IN", "OUT"],
    }
}

fn outcome(row: &TopRequest) -> String {
    match row.status {
        None if row.stream => "streaming".to_owned(),
        None => "waiting".to_owned(),
        Some(0) => printable(&row.outcome),
        Some(status) if row.outcome == "succeeded" => status.to_string(),
        Some(status) => printable(&format!("{status} {}", row.outcome)),
    }
}

fn requests(frame: &mut Frame<'_>, area: Rect, title: &str, rows: &[&TopRequest]) {
    let columns = if area.width >= WIDE { Columns::All } else { Columns::Few };
    if rows.is_empty() {
        frame.render_widget(Paragraph::new("none").block(block(title)), area);
        return;
    }
    let widths: &[Constraint] = if columns == Columns::All {
        &[
            Constraint::Length(9),
            Constraint::Length(22),
            Constraint::Min(20),
            Constraint::Length(12),
            Constraint::Length(9),
            Constraint::Length(8),
            Constraint::Length(7),
            Constraint::Length(7),
            Constraint::Length(9),
        ]
    } else {
        &[
            Constraint::Length(9),
            Constraint::Length(14),
            Constraint::Min(14),
            Constraint::Length(6),
            Constraint::Length(6),
        ]
    };
    let lines = rows.iter().take(usize::from(area.height)).map(|row| {
        let colour = match row.status {
            None => Color::Cyan,
            Some(_) if row.outcome == "succeeded" => Color::Reset,
            Some(_) if row.outcome.starts_with("cancelled") => Color::DarkGray,
            Some(_) => Color::Red,
        };
        Row::new(aligned(cells(row, columns), &headings(columns))).style(Style::new().fg(colour))
    });
    let heading = headings(columns);
    let names = aligned(heading.iter().map(|name| (*name).to_owned()).collect(), &heading);
    let header = Row::new(names).style(Style::new().add_modifier(Modifier::BOLD));
    frame.render_widget(Table::new(lines, widths.to_vec()).header(header).block(block(title)), area);
}

/// Numbers are aligned to the right.
fn aligned(cells: Vec<String>, headings: &[&str]) -> Vec<Cell<'static>> {
    let numbers = ["TIME", "FIRST", "IN", "OUT", "COST", "REQUESTS", "FAILED", "P95", "RUNNING", "QUEUED"];
    let cell = |(text, heading): (String, &&str)| {
        let is_number = numbers.contains(heading);
        let line = Line::raw(text);
        Cell::from(if is_number { line.alignment(Alignment::Right) } else { line })
    };
    cells.into_iter().zip(headings).map(cell).collect()
}

pub(super) const PROVIDER_HEADINGS: [&str; 8] =
    ["PROVIDER", "STATE", "KEYS", "REQUESTS", "FAILED", "P95", "RUNNING", "QUEUED"];

/// One provider in text. The order is that of [`PROVIDER_HEADINGS`].
pub(super) fn provider_cells(provider: &TopProvider) -> [String; 8] {
    let reason = provider.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    [
        provider.name.clone(),
        printable(&format!("{}{reason}", provider.state)),
        format!("{}/{}", provider.keys_preferred, provider.keys),
        count(provider.requests),
        percent(provider.failed, provider.requests),
        optional_duration(provider.p95_ms),
        provider.in_flight.to_string(),
        provider.waiting.to_string(),
    ]
}

fn provider_table(frame: &mut Frame<'_>, area: Rect, report: &TopReport) {
    let rows = report.providers.iter().map(|provider| {
        let colour = match provider.state.as_str() {
            "ok" => Color::Green,
            "degraded" => Color::Yellow,
            _ => Color::Red,
        };
        let cells = aligned(provider_cells(provider).to_vec(), &PROVIDER_HEADINGS);
        Row::new(cells).style(Style::new().fg(colour))
    });
    let widths = [
        Constraint::Length(16),
        Constraint::Min(10),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(6),
    ];
    let names = aligned(PROVIDER_HEADINGS.map(str::to_owned).to_vec(), &PROVIDER_HEADINGS);
    let header = Row::new(names).style(Style::new().add_modifier(Modifier::BOLD));
    let minutes = report.recent.seconds / 60;
    let title = format!("Providers: the last {minutes} minutes");
    frame.render_widget(Table::new(rows, widths).header(header).block(block(&title)), area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::top::RecentSums;

    fn screen() -> Screen {
        let mut screen = Screen::new("http://127.0.0.1:8082");
        let running = TopRequest {
            id: "req_1".to_owned(),
            duration_ms: 4_200,
            outcome: "running".to_owned(),
            requested: "sonnet".to_owned(),
            provider: "anthropic".to_owned(),
            model: "claude-x".to_owned(),
            key: Some("0a1b2c3d".to_owned()),
            client: Some("al\u{1b}[31mice".to_owned()),
            stream: true,
            input_tokens: 12_345,
            output_tokens: 67,
            ..TopRequest::default()
        };
        let failed = TopRequest {
            status: Some(429),
            outcome: "rate_limit_error".to_owned(),
            micro_dollars: Some(1_234),
            requested: "claude-x".to_owned(),
            ..running.clone()
        };
        screen.update(Ok(TopReport {
            version: "9.9.9".to_owned(),
            uptime_seconds: 3_720,
            recent: RecentSums {
                seconds: 300,
                requests: 50,
                failed: 1,
                output_tokens: 600,
                p95_ms: Some(1_500),
                ..RecentSums::default()
            },
            today: Some(TodayCost { micro_dollars: 1_234_567, unpriced: 2 }),
            in_flight: 1,
            running: vec![running],
            finished: vec![failed],
            providers: vec![TopProvider {
                name: "anthropic".to_owned(),
                state: "degraded".to_owned(),
                reason: Some("1 of 2 keys cooling".to_owned()),
                keys: 2,
                keys_preferred: 1,
                ..TopProvider::default()
            }],
            ..TopReport::default()
        }));
        screen
    }

    fn drawn(screen: &Screen, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, screen)).unwrap();
        terminal.backend().to_string()
    }

    /// Requirement: the screen shows the gateway, its rates and cost, requests in flight and finished, and providers.
    #[test]
    fn a_wide_screen_shows_everything() {
        let text = drawn(&screen(), 140, 30);
        for part in [
            "http://127.0.0.1:8082  vdm 9.9.9, up 1h 02m",
            "10.0 requests/min  2.0 % failed  1 in flight  2.0 tokens/s out  p95 1.5 s",
            "today $1.23 + 2 unpriced requests",
            "In flight: 1 of 1",
            "sonnet → anthropic:claude-x",
            "0a1b2c3d",
            "12.3k",
            "429 rate_limit_error",
            "$0.0012",
            "degraded: 1 of 2 keys cooling",
            "q quit  s sort [time]  p pause  / filter",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "text of a client does not control the terminal");
    }

    /// Checklist 20: cost = tokens × price incl. cache prices; unpriced models are labelled, not 0.
    #[test]
    fn unpriced_requests_are_labelled() {
        let text = |micro_dollars, unpriced| {
            let today = Some(TodayCost { micro_dollars, unpriced });
            sums_text(&TopReport { today, ..TopReport::default() })
        };
        assert!(text(0, 2).ends_with("today unpriced (2 requests)"));
        assert!(text(0, 0).ends_with("today $0.0000"));
        assert!(!sums_text(&TopReport::default()).contains("today"));
    }

    /// Requirement: any size is drawn without a panic; a narrow screen keeps model and tokens.
    #[test]
    fn every_size_is_drawn() {
        let screen = screen();
        for width in [1, 2, 10, 40, 80, 99, 100, 200] {
            for height in [1, 2, 3, 5, 8, 24, 60] {
                drawn(&screen, width, height);
            }
        }
        let narrow = drawn(&screen, 80, 24);
        assert!(narrow.contains("→ anthropic:claude-x") && narrow.contains("12.3k"), "{narrow}");
        assert!(!narrow.contains("0a1b2c3d"), "{narrow}");
    }

    /// Requirement: without a report, the screen says why.
    #[test]
    fn a_screen_without_a_report_says_why() {
        let mut screen = Screen::new("http://gateway");
        assert!(drawn(&screen, 80, 10).contains("waiting for the gateway"));
        screen.update(Err("no gateway answers at http://gateway".to_owned()));
        assert!(drawn(&screen, 80, 10).contains("no gateway answers at http://gateway"));
        let mut before = super::tests::screen();
        before.update(Err("connection refused".to_owned()));
        let text = drawn(&before, 140, 30);
        assert!(text.contains("connection refused") && text.contains("In flight: 1 of 1"), "{text}");
    }

    /// Requirement: while the filter is edited, the last line shows it.
    #[test]
    fn the_filter_is_shown() {
        let mut screen = screen();
        screen.input = Input::Filter;
        screen.filter = "opus".to_owned();
        assert!(drawn(&screen, 80, 24).contains("Filter: opus"));
        screen.input = Input::Commands;
        let text = drawn(&screen, 80, 24);
        assert!(text.contains("/ filter [opus]") && text.contains("In flight: 0 of 1"), "{text}");
    }
}
