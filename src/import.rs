//! Reads the configuration of claude-code-router and makes one for vdm of it: providers, their keys, routes and the settings of
//! the gateway. Every setting is reported. docs/coming-from-claude-code-router.md describes the result.

mod built_in;
mod document;
mod endpoint;
mod gateway;
mod json5;
mod providers;
mod references;
mod report;
mod routes;
mod transformers;

use document::Document;
use gateway::GatewayReader;
use json5::{Node, SyntaxError};
pub(crate) use providers::DotenvVariable;
use providers::ProviderReader;
pub(crate) use references::Secret;
pub(crate) use report::{ImportError, Outcome, ReportLine};
use report::{Place, Report};
use routes::RouteReader;

/// The result of an import.
#[derive(Debug)]
pub(crate) struct Imported {
    /// The configuration file, without keys.
    pub(crate) toml: String,
    pub(crate) variables: Vec<DotenvVariable>,
    /// In the order of the other file.
    pub(crate) report: Vec<ReportLine>,
}

/// Imports the text of a `config.json`. `lookup` finds environment variables.
///
/// # Errors
/// Everything that is wrong with the text.
pub(crate) fn from_ccr(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Imported, Vec<ImportError>> {
    let root = json5::parse(text).map_err(|error| vec![syntax(&error)])?;
    let mut report = Report::default();
    let Some(entries) = root.table() else {
        let text = format!("expected an object, {{ … }}, found {}", root.kind());
        report.error(Place::new(root.line, "the file"), text);
        return Err(report.errors);
    };
    let (document, variables) = read(entries, lookup, &mut report);
    if !report.errors.is_empty() {
        report.errors.sort_by_key(|error| error.line);
        return Err(report.errors);
    }
    report.lines.sort_by_key(|line| line.line);
    Ok(Imported { toml: document.to_toml(), variables, report: report.lines })
}

fn read(
    entries: &[(String, Node)],
    lookup: &dyn Fn(&str) -> Option<String>,
    report: &mut Report,
) -> (Document, Vec<DotenvVariable>) {
    let find = |names: &[&str]| {
        names.iter().find_map(|name| entries.iter().find(|(known, _)| known == name)).map(|(_, node)| node)
    };
    let mut document = Document::default();
    let mut reader = ProviderReader::new(lookup, report);
    match find(&["Providers", "providers"]) {
        Some(node) => reader.read(node),
        None => reader
            .report
            .error(Place::new(1, "Providers"), "it is missing; is this the file of claude-code-router?"),
    }
    let ProviderReader { sections, mut variables, known, .. } = reader;
    document.sections = sections;
    let mut routes = RouteReader { providers: &known, lookup, report };
    document.routes = routes.read(find(&["Router"]), find(&["fallback"]));
    let has_key = find(&["APIKEY"]).is_some_and(|key| !key.is_empty());
    let mut gateway =
        GatewayReader { lookup, report, document: &mut document, variables: &mut variables, has_key };
    let read = ["Providers", "providers", "Router", "fallback"];
    for (name, node) in entries.iter().filter(|(name, _)| !read.contains(&name.as_str())) {
        gateway.setting(name, node);
    }
    (document, variables)
}

fn syntax(error: &SyntaxError) -> ImportError {
    let setting = format!("column {}", error.column);
    ImportError { line: error.line, setting, text: format!("this is not JSON: expected {}", error.expected) }
}

#[cfg(test)]
mod tests;
