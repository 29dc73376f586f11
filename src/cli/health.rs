//! `vdm health server`: checks a running gateway. The container image uses it as its HEALTHCHECK.

use std::io::Write;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::exit_code::Exit;
use super::find_gateway::{self, Asked};
use super::options::GatewayOptions;
use super::report_errors;
use crate::config::Config;

#[derive(Args, Debug)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    gateway: GatewayOptions,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Succeed if the gateway answers and is not shutting down, even if a provider fails
    #[arg(long)]
    live: bool,
}

/// The part of a health report that is printed as text.
#[derive(Deserialize)]
struct HealthSummary {
    status: String,
    message: Option<String>,
    version: Option<String>,
    #[serde(default)]
    providers: serde_json::Map<String, serde_json::Value>,
}

impl HealthArgs {
    pub(super) fn run(self) -> Exit {
        let naming = self.gateway.naming();
        let overrides = self.gateway.overrides();
        let config = match Config::load(&overrides) {
            Ok(config) => config,
            Err(errors) => return report_errors(&errors),
        };
        let asked = find_gateway::ask(&config, naming, "/health?format=json");
        let Asked { gateway, answer } = actix_rt::System::new().block_on(asked);
        let told = if self.json { print_json(&answer) } else { print_words(&gateway.url, &answer) };
        // A closed pipe is not an error; the exit code has the result.
        drop(told);
        match answer.and_then(|body| report(&body)) {
            Ok(report) if report.status == "healthy" || (self.live && report.status != "draining") => {
                Exit::Ok
            }
            Ok(_) | Err(_) => Exit::Failed,
        }
    }
}

fn report(body: &[u8]) -> Result<HealthSummary, String> {
    serde_json::from_slice(body).map_err(|_| "not a gateway: the answer is not a health report".to_owned())
}

fn print_json(answer: &Result<Vec<u8>, String>) -> std::io::Result<()> {
    let said = answer.as_ref().map_err(String::clone).and_then(|body| {
        let said: Result<&RawValue, _> = serde_json::from_slice(body);
        said.map_err(|_| "not a gateway: the answer is not JSON".to_owned())
    });
    match said {
        Ok(said) => writeln!(std::io::stdout(), "{said}"),
        Err(message) => {
            let error = serde_json::json!({"status": "error", "message": message});
            writeln!(std::io::stdout(), "{error}")
        }
    }
}

fn print_words(url: &str, answer: &Result<Vec<u8>, String>) -> std::io::Result<()> {
    let report = match answer.as_ref().map_err(String::clone).and_then(|body| report(body)) {
        Ok(report) => report,
        Err(message) => return writeln!(std::io::stderr(), "vdm: {message}"),
    };
    let mut out = std::io::stdout();
    let version = report.version.map(|version| format!(" (vdm {version})")).unwrap_or_default();
    writeln!(out, "{url} is {}{version}", report.status)?;
    if let Some(message) = report.message {
        writeln!(out, "  {message}")?;
    }
    for (name, provider) in &report.providers {
        let keys = listed(provider, "keys");
        let ready = keys.iter().filter(|key| key["state"] == "ready").count();
        let reason = provider["reason"].as_str().map(|reason| format!("; {reason}")).unwrap_or_default();
        writeln!(out, "  {name}: {ready} of {} keys ready{reason}", keys.len())?;
        for key in keys {
            let name = format!("key {}", key["id"].as_str().unwrap_or_default());
            print_unless_preferred(&mut out, &name, key)?;
            for model in listed(key, "models") {
                print_unless_preferred(&mut out, &format!("{name}, model {}", named(model)), model)?;
            }
        }
        for model in listed(provider, "models") {
            print_unless_preferred(&mut out, &format!("model {}", named(model)), model)?;
        }
    }
    Ok(())
}

fn listed<'v>(value: &'v serde_json::Value, field: &str) -> &'v [serde_json::Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn named(model: &serde_json::Value) -> &str {
    model["model"].as_str().unwrap_or_default()
}

/// Why a key or a model is not preferred, on one line.
fn print_unless_preferred(
    out: &mut impl Write,
    name: &str,
    entry: &serde_json::Value,
) -> std::io::Result<()> {
    let Some(reason) = entry["reason"].as_str() else { return Ok(()) };
    let until = entry["until"].as_str().map(|until| format!(" until {until}")).unwrap_or_default();
    let last = entry["last_error"].as_str().map(|error| format!(": {error}")).unwrap_or_default();
    writeln!(out, "    {name}: {reason}{until}{last}")
}
