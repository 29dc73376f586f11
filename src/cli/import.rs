//! `vdm config import …`: makes a configuration from that of another program, and reports every setting of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::exit_code::Exit;
use super::setup::{dotenv, settings_file};
use super::{print_json, print_to_stderr};
use crate::config::{self, Config, Overrides, SavedFiles};
use crate::import::{self, DotenvVariable, Imported, Outcome, ReportLine, Secret};

#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Import from claude-code-router: providers, keys, routes and settings.
    Ccr(Ccr),
}

#[derive(Args, Debug)]
pub(super) struct Ccr {
    /// Its configuration [default: ~/.claude-code-router/config.json]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// Write to this file; keys are written to .env in its directory [default:
    /// ~/.config/vandamme-proxy/vandamme-config.toml]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace an existing file, and existing variables in .env
    #[arg(long)]
    force: bool,
    /// Print the configuration and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The longest configuration that is read.
const LONGEST: u64 = 1 << 20;

/// The result as JSON.
#[derive(Serialize)]
struct ImportReport<'a> {
    from: String,
    file: String,
    written: bool,
    /// Names only.
    variables: Vec<&'a str>,
    settings: &'a [ReportLine],
    warnings: &'a [String],
    start: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    toml: Option<&'a str>,
}

/// Where the configuration goes.
struct Destination {
    file: PathBuf,
    dotenv: PathBuf,
    /// Whether the gateway reads both files by itself.
    is_users: bool,
}

impl Import {
    pub(super) fn run(self) -> Exit {
        let Self::Ccr(ccr) = self;
        match ccr.import() {
            Ok(()) => Exit::Ok,
            Err(errors) => {
                errors.iter().for_each(|error| print_to_stderr(format_args!("vdm: {error}\n")));
                print_to_stderr(format_args!("vdm: nothing was written\n"));
                Exit::Failed
            }
        }
    }
}

impl Ccr {
    fn import(&self) -> Result<(), Vec<String>> {
        let overrides = Overrides::of_process();
        let one = |error| vec![error];
        let path = self.source(&overrides).map_err(one)?;
        let text = read(&path).map_err(one)?;
        let lookup = |name: &str| overrides.environment.get(name).cloned();
        let imported = import::from_ccr(&text, &lookup).map_err(|errors| {
            errors.iter().map(|error| format!("{}:{error}", path.display())).collect::<Vec<_>>()
        })?;
        let destination = self.destination(&overrides).map_err(one)?;
        let dotenv = self.dotenv(&destination, &imported.variables).map_err(one)?;
        let warnings = check(&destination, &overrides, &imported.toml, &dotenv)?;
        if !self.dry_run {
            if !imported.variables.is_empty() {
                settings_file::replace(&destination.dotenv, &dotenv).map_err(one)?;
            }
            settings_file::replace(&destination.file, &imported.toml).map_err(one)?;
        }
        self.print(&path, &destination, &imported, &warnings);
        Ok(())
    }

    fn source(&self, overrides: &Overrides) -> Result<PathBuf, String> {
        let default = || overrides.home.as_ref().map(|home| home.join(".claude-code-router/config.json"));
        let path = self.path.clone().or_else(default);
        path.ok_or_else(|| "there is no home directory; give the path of the file to import".to_owned())
    }

    fn destination(&self, overrides: &Overrides) -> Result<Destination, String> {
        let users = overrides.home.as_deref().map(config::user_file);
        let file = self.output.clone().or_else(|| users.clone());
        let file = file.ok_or("there is no home directory; give --output FILE")?;
        let file = std::path::absolute(&file).unwrap_or(file);
        // A link is kept, and its target is written.
        let file = fs::canonicalize(&file).unwrap_or(file);
        if file.is_dir() {
            return Err(format!("{} is a directory; give --output a file", file.display()));
        }
        if file.exists() && !self.force && !self.dry_run {
            return Err(format!(
                "{} exists; use --force to replace it, or --output FILE to write another file",
                file.display()
            ));
        }
        let is_users = users.is_some_and(|users| fs::canonicalize(&users).unwrap_or(users) == file);
        let dotenv = file.with_file_name(".env");
        Ok(Destination { dotenv: fs::canonicalize(&dotenv).unwrap_or(dotenv), file, is_users })
    }

    /// The text of `.env` with these variables; other lines are kept.
    fn dotenv(&self, destination: &Destination, variables: &[DotenvVariable]) -> Result<String, String> {
        let path = destination.dotenv.display();
        let before = match fs::read_to_string(&destination.dotenv) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("cannot read {path}: {error}")),
        };
        let existing: BTreeMap<String, String> =
            dotenvy::from_read_iter(before.as_bytes()).flatten().collect();
        let mut text = before;
        for DotenvVariable { name, value } in variables {
            let after = match value {
                Secret::Key(key) => dotenv::with(&text, name, key.expose()),
                Secret::Reference(written) => {
                    dotenv::with_written(&text, name, &format!("\"{}\"", written.expose()))
                }
            };
            let changes = existing.contains_key(name) && after != text;
            if changes && !self.force && !self.dry_run {
                return Err(format!("{path} already has another {name}; use --force to replace it"));
            }
            text = after;
        }
        Ok(text)
    }

    fn print(&self, from: &Path, destination: &Destination, imported: &Imported, warnings: &[String]) {
        let start = destination.start_command();
        if self.json {
            return print_json(&ImportReport {
                from: from.display().to_string(),
                file: destination.file.display().to_string(),
                written: !self.dry_run,
                variables: imported.variables.iter().map(|variable| variable.name.as_str()).collect(),
                settings: &imported.report,
                warnings,
                start,
                toml: self.dry_run.then_some(&imported.toml),
            });
        }
        let mut text = table(from, &imported.report);
        for warning in warnings {
            text += &format!("warning: {warning}\n");
        }
        if self.dry_run {
            // The configuration is the result, which can be written to a file; the report is a message.
            print_to_stderr(format_args!("{text}"));
            let _ = write!(std::io::stdout(), "{}", imported.toml);
            return;
        }
        text += &format!("\nWrote {}", destination.file.display());
        if !imported.variables.is_empty() {
            text += &format!(", and keys to {} (mode 600)", destination.dotenv.display());
        }
        let not_taken = imported.report.iter().filter(|line| line.outcome == Outcome::NotTaken).count();
        if not_taken > 0 {
            text += &format!(".\nSettings that were NOT TAKEN, above: {not_taken}");
        }
        // A closed pipe is not an error.
        let _ = write!(std::io::stdout(), "{text}.\nStart the gateway:  {start}\n");
    }
}

impl Destination {
    fn start_command(&self) -> String {
        if self.is_users {
            return "vdm server start".to_owned();
        }
        let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', "'\\''"));
        let directory = self.file.parent().unwrap_or(Path::new("/"));
        let name = self.file.file_name().map(Path::new).unwrap_or(&self.file);
        format!("cd {} && vdm server start --config {}", quoted(directory), quoted(name))
    }
}

fn read(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        if error.kind() == ErrorKind::NotFound {
            return format!("{shown} does not exist; give the path of claude-code-router's config.json");
        }
        format!("cannot read {shown}: {error}")
    };
    // Opening a pipe would wait for its writer.
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(format!("{shown} is a directory; give the file in it, config.json"));
    }
    if !metadata.is_file() {
        return Err(format!("{shown} is no regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("{shown} is larger than 1 MiB, so it is no configuration of claude-code-router"));
    }
    String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8 text"))
}

/// Loads the new files as a gateway would. Returns its warnings.
fn check(
    destination: &Destination,
    overrides: &Overrides,
    toml: &str,
    dotenv: &str,
) -> Result<Vec<String>, Vec<String>> {
    let directory = destination.file.parent().unwrap_or(Path::new("/")).to_owned();
    let copy = SavedFiles::of([
        (destination.file.clone(), toml.to_owned()),
        (destination.dotenv.clone(), dotenv.to_owned()),
    ]);
    let overrides = Overrides {
        config: Some(destination.file.clone()),
        environment: overrides.environment.clone(),
        working_directory: directory,
        ..Overrides::default()
    };
    match Config::load_copy(&overrides, copy) {
        Ok(config) => Ok(config.warnings),
        Err(errors) => Err(errors.iter().map(|error| format!("in the result: {error}")).collect()),
    }
}

fn table(from: &Path, lines: &[ReportLine]) -> String {
    let mut text = format!("{}:\n", from.display());
    for ReportLine { line, setting, outcome, note } in lines {
        text += &format!("{line:>5}  {:<10}  {setting}: {note}\n", outcome.word());
    }
    text
}
