//! `vdm usage`: the history as a table, as JSON or as CSV. A running gateway is asked; without one the database is read.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use clap::Args;
use vandamme_actors::history::{Dimension, HistoryError, usage_of_file};

use super::exit_code::Exit;
use super::gateway_http::{get, reachable};
use super::options::ConfigOptions;
use super::{print_to_stderr, report_errors, server};
use crate::config::{Config, ListenerTls, Overrides};
use crate::process::control::{Status, client};
use crate::usage_report::{self, Form, UsageAnswer, UsageQuestion};

mod table;

/// Longer than the gateway's limit for one question.
const PATIENCE: Duration = Duration::from_secs(15);
/// The names that `--by` accepts.
const BY: [Dimension; 8] = [
    Dimension::Model,
    Dimension::Provider,
    Dimension::Key,
    Dimension::Client,
    Dimension::Session,
    Dimension::Day,
    Dimension::RequestedModel,
    Dimension::End,
];

#[derive(Args, Debug)]
pub(super) struct UsageArgs {
    /// One row for each model, provider, key, client, session, day, requested-model or end
    #[arg(long, value_name = "WHAT", default_value = "model", value_parser = dimension)]
    by: Dimension,
    /// Requests since then: a duration such as 24h or 7d, or a day such as 2026-11-30 (UTC)
    #[arg(long, value_name = "TIME", default_value = "7d")]
    since: String,
    /// Requests before then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most this many rows; the others are summed up in one row
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
    /// Port of the gateway; overrides PORT and the files
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    #[command(flatten)]
    options: ConfigOptions,
}

fn dimension(name: &str) -> Result<Dimension, String> {
    let found = BY.into_iter().find(|dimension| dimension.name() == name);
    found.ok_or_else(|| {
        let names: Vec<_> = BY.iter().map(|dimension| dimension.name()).collect();
        format!("expected {}", names.join(", "))
    })
}

impl UsageArgs {
    pub(super) fn run(self) -> Exit {
        let question = match UsageQuestion::parse(&self.query(), SystemTime::now()) {
            Ok(question) => question,
            Err(message) => {
                print_to_stderr(format_args!("vdm: --{message}\n"));
                return Exit::Usage;
            }
        };
        let overrides = Overrides { port: self.port, ..self.options.overrides() };
        let config = match Config::load(&overrides) {
            Ok(config) => config,
            Err(errors) => return report_errors(&errors),
        };
        match self.answer(&config, &question) {
            Ok(answer) => self.print(&answer),
            Err(message) => {
                print_to_stderr(format_args!("vdm: {message}\n"));
                Exit::Failed
            }
        }
    }

    /// The question as the query of a URL.
    fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("by", self.by.name()).append_pair("since", &self.since);
        if let Some(until) = &self.until {
            query.append_pair("until", until);
        }
        query.append_pair("limit", &self.limit.to_string());
        query.append_pair("format", if self.csv { "csv" } else { "json" });
        query.finish()
    }

    fn answer(&self, config: &Config, question: &UsageQuestion) -> Result<Vec<u8>, String> {
        let (host, port) = (config.host.as_str(), config.port);
        let mut running = client::find(host, port);
        if running.is_none() && self.port.is_none() {
            running = client::only_other(host, port);
            if let Some(running) = &running {
                server::print_only_other(host, port, running);
            }
        }
        match running {
            // With hashed client keys alone, no key of the configuration opens the gateway; the file is this user's own.
            Some(running) => self.ask(config, running.status).or_else(|refusal| {
                let answer = read_file(config, question).map_err(|_| refusal.clone())?;
                print_to_stderr(format_args!("vdm: {refusal}; reading the database instead\n"));
                Ok(answer)
            }),
            None => read_file(config, question),
        }
    }

    fn ask(&self, config: &Config, status: Status) -> Result<Vec<u8>, String> {
        let host = reachable(&status.address.ip().to_string());
        let url = format!("{}://{host}:{}", status.scheme(), status.address.port());
        let own = config.tls.as_ref().map(ListenerTls::fingerprint);
        let fingerprints = own.into_iter().chain(status.certificate).collect();
        let key = config.reading_key().map(|key| key.expose());
        let path = format!("/api/ui/usage?{}", self.query());
        let answer = get(&url, &path, key, fingerprints, PATIENCE);
        actix_rt::System::new().block_on(answer).map_err(String::from)
    }

    fn print(&self, answer: &[u8]) -> Exit {
        if self.json || self.csv {
            // A closed pipe is not an error.
            let _ = std::io::stdout().write_all(answer);
            let has_end = answer.last() == Some(&b'\n');
            let _ = std::io::stdout().write_all(if has_end { b"" } else { b"\n" });
            return Exit::Ok;
        }
        match table::print(answer, self.by) {
            Ok(()) => Exit::Ok,
            Err(error) => {
                print_to_stderr(format_args!("vdm: the answer is not usage: {error}\n"));
                Exit::Failed
            }
        }
    }
}

/// The answer from the database that a gateway of this configuration writes.
fn read_file(config: &Config, question: &UsageQuestion) -> Result<Vec<u8>, String> {
    let Some(path) = &config.settings.history else {
        return Err("no gateway runs, and the history is only in its memory (VDM_HISTORY=off)".to_owned());
    };
    if !path.exists() {
        return Err(format!("no gateway runs, and there is no history at {}", path.display()));
    }
    let rows = usage_of_file(path, &question.query).map_err(|error| match error {
        HistoryError::Unavailable(reason) => {
            format!("the history {} cannot be read: {reason}", path.display())
        }
        error @ (HistoryError::NotRunning
        | HistoryError::Busy
        | HistoryError::TooSlow
        | HistoryError::TooLong) => error.to_string(),
    })?;
    Ok(match question.form {
        Form::Json => {
            let answer = UsageAnswer::new(&question.query, &rows, None);
            serde_json::to_string(&answer).map_err(|error| error.to_string())?
        }
        Form::Csv => usage_report::csv_of(&question.query, &rows),
    }
    .into_bytes())
}
