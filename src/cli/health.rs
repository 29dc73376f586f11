//! `vdm health server`: checks a running gateway. The container image uses it as its HEALTHCHECK.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::exit_code::Exit;
use super::gateway_call::{Unanswered, get, reachable};
use super::{report_errors, server};
use crate::config::{Config, ListenerTls, Overrides};
use crate::process::control::{Status, client};

/// How long to wait for the report. A gateway that takes longer is not healthy.
const PATIENCE: Duration = Duration::from_secs(5);
const PATH: &str = "/health?format=json";

#[derive(Args, Debug)]
pub(super) struct HealthArgs {
    /// Address or host name of the gateway; overrides HOST and the files
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Port of the gateway; overrides PORT and the files
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Read this configuration file as well; it overrides the other files
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
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
        let naming = match (&self.host, self.port) {
            (Some(_), _) => Naming::Host,
            (None, Some(_)) => Naming::Port,
            (None, None) => Naming::Configuration,
        };
        let overrides =
            Overrides { host: self.host, port: self.port, config: self.config, ..Overrides::of_process() };
        let config = match Config::load(&overrides) {
            Ok(config) => config,
            Err(errors) => return report_errors(&errors),
        };
        let (url, answer) = actix_rt::System::new().block_on(ask_gateway(&config, naming));
        let told = if self.json { print_json(&answer) } else { print_words(&url, &answer) };
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

/// How the command line names the gateway.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// `--host`
    Host,
    /// `--port` without `--host`
    Port,
    Configuration,
}

/// Returns the queried URL and its answer. If the command line names no gateway and none answers at the configured address,
/// the only running gateway is queried, because the configured port may have changed since it started.
async fn ask_gateway(config: &Config, naming: Naming) -> (String, Result<Vec<u8>, String>) {
    let (host, port) = (config.host.as_str(), config.port);
    let found = if naming == Naming::Host { None } else { client::find(host, port) };
    let found = found.map(|running| running.status);
    let scheme = found.as_ref().map_or_else(|| config.scheme(), Status::scheme);
    let url = format!("{scheme}://{}:{port}", reachable(host));
    let own = config.tls.as_ref().map(ListenerTls::fingerprint);
    let fingerprints = own.into_iter().chain(found.and_then(|status| status.certificate)).collect();
    // A host that was named by hand need not be the one that the key belongs to.
    let key = config.proxy_api_key.as_ref().filter(|_| naming != Naming::Host).map(|key| key.expose());
    let message = match get(&url, PATH, key, fingerprints, PATIENCE).await {
        Err(Unanswered::NoGateway(message)) => message,
        answer => return (url, answer.map_err(String::from)),
    };
    let only = if naming == Naming::Configuration { client::only_other(host, port) } else { None };
    if let Some(running) = only {
        server::print_only_other(host, port, &running);
        let Status { address, certificate, .. } = running.status.clone();
        let host = reachable(&address.ip().to_string());
        let url = format!("{}://{host}:{}", running.status.scheme(), address.port());
        let answer = get(&url, PATH, key, certificate.into_iter().collect(), PATIENCE).await;
        return (url, answer.map_err(String::from));
    }
    let others = if naming == Naming::Host { String::new() } else { server::others() };
    (url, Err(format!("{message}{others}")))
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
