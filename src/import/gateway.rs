//! The settings outside of `Providers` and `Router`: address, key, log and timeouts.

use super::document::Document;
use super::json5::{Node, Value};
use super::providers::{DotenvVariable, variable, whole_number};
use super::references::{self, Lookup, Secret};
use super::report::{Place, Report};
use crate::config::check_key;

/// Reads them.
pub(super) struct GatewayReader<'a> {
    pub(super) lookup: Lookup<'a>,
    pub(super) report: &'a mut Report,
    pub(super) document: &'a mut Document,
    pub(super) variables: &'a mut Vec<DotenvVariable>,
    /// Whether `APIKEY` is set: without it, `HOST` has no effect there.
    pub(super) has_key: bool,
}

/// Settings that vdm does not need, with the reason.
const NOT_NEEDED: [(&str, &str); 5] = [
    ("LOG", "vdm writes its log to stderr, and no log files"),
    ("NON_INTERACTIVE_MODE", "vdm asks nothing while it runs"),
    ("HOT_RELOAD", "vdm server reload, or vdm server start --reload"),
    ("CLAUDE_PATH", "vdm wrap finds claude in PATH"),
    ("StatusLine", "vdm top and the dashboard show requests while they run"),
];

/// Settings without an equivalent, with what to do.
const NOT_TAKEN: [(&str, &str); 5] = [
    ("CUSTOM_ROUTER_PATH", "vdm runs no scripts; use the roles of [routing], aliases and profiles"),
    (
        "transformers",
        "vdm runs no plugins; drop-params, set-params and limit-params change single members of requests",
    ),
    ("plugins", "vdm runs no plugins"),
    (
        "REWRITE_SYSTEM_PROMPT",
        "vdm does not change prompts, which would break prompt caches; use claude --append-system-prompt",
    ),
    (
        "forceUseImageAgent",
        "vdm has no image agent; [routing] image sends requests with images to a model that can see them",
    ),
];

impl GatewayReader<'_> {
    pub(super) fn setting(&mut self, name: &str, node: &Node) {
        let place = Place::new(node.line, name);
        let reason = |list: &[(&str, &'static str)]| {
            list.iter().find(|(known, _)| *known == name).map(|(_, why)| *why)
        };
        if node.is_empty() {
            return self.report.not_needed(place, "it is empty");
        }
        if let Some(why) = reason(&NOT_NEEDED) {
            return self.report.not_needed(place, why);
        }
        if let Some(why) = reason(&NOT_TAKEN) {
            return self.report.not_taken(place, why);
        }
        match name {
            "HOST" => self.host(node, place),
            "PORT" => self.port(node, place),
            "APIKEY" => self.key(node, place),
            "API_TIMEOUT_MS" => self.timeout(node, place),
            "PROXY_URL" => self.proxy(node, place),
            "LOG_LEVEL" => self.log_level(node, place),
            // The README of claude-code-router has such lines; the program ignores them.
            _ if node.text().is_some_and(|text| references::only_variable(text).is_some()) => {
                self.report.not_needed(place, "environment variables are read without it");
            }
            _ => self.report.not_taken(place, "vdm does not know this setting"),
        }
    }

    fn host(&mut self, node: &Node, place: Place<'_>) {
        if !self.has_key {
            return self.report.not_taken(
                place,
                "without APIKEY it had no effect; vdm listens on 127.0.0.1. For other machines set host and PROXY_API_KEY",
            );
        }
        let Some(host) = self.text(node, place) else { return };
        self.report.taken(place, format!("host = {host:?}"));
        self.document.gateway.push(("host", host.into()));
    }

    fn port(&mut self, node: &Node, place: Place<'_>) {
        let port = node.number().filter(|port| (1.0..=65535.0).contains(port)).and_then(whole_number);
        let Some(port) = port else { return self.report.error(place, "expected a number from 1 to 65535") };
        self.report.taken(place, format!("port = {port}"));
        self.document.gateway.push(("port", port));
    }

    fn key(&mut self, node: &Node, place: Place<'_>) {
        let Some(text) = node.text() else {
            return self.report.error(place, format!("expected text in quotes, found {}", node.kind()));
        };
        let value = references::secret(text);
        if let (Secret::Key(_), Err(advice)) = (&value, check_key(text)) {
            return self.report.not_taken(place, format!("{advice}; set PROXY_API_KEY"));
        }
        self.report.taken(place, "PROXY_API_KEY in .env: clients must send it");
        if references::only_variable(text) != Some("PROXY_API_KEY") {
            self.variables.push(variable("PROXY_API_KEY", value));
        }
    }

    fn timeout(&mut self, node: &Node, place: Place<'_>) {
        let Some(milliseconds) = node.number().filter(|count| (1.0..1e12).contains(count)) else {
            return self.report.error(place, "expected a number of milliseconds, at least 1");
        };
        let seconds = milliseconds / 1000.0;
        self.report.taken(
            place,
            format!("[defaults] timeout = {seconds}: until a stream starts, or a whole reply is there"),
        );
        let value = whole_number(seconds).unwrap_or_else(|| seconds.into());
        self.document.defaults.push(("timeout", value));
    }

    /// The URL may contain a password.
    fn proxy(&mut self, node: &Node, place: Place<'_>) {
        let Some(text) = node.text() else {
            return self.report.error(place, format!("expected text in quotes, found {}", node.kind()));
        };
        let value = references::secret(text);
        if matches!(value, Secret::Key(_)) && !text.trim().starts_with("http://") {
            return self.report.not_taken(place, "vdm needs a proxy with a URL such as http://host:port");
        }
        self.report.taken(place, "ALL_PROXY in .env; servers on this machine are called directly");
        self.variables.push(variable("ALL_PROXY", value));
    }

    fn log_level(&mut self, node: &Node, place: Place<'_>) {
        let level = match node.text().unwrap_or_default().to_ascii_lowercase().as_str() {
            "fatal" => "CRITICAL",
            "error" => "ERROR",
            "warn" => "WARNING",
            "info" => "INFO",
            "debug" | "trace" => "DEBUG",
            _ => return self.report.not_taken(place, "expected fatal, error, warn, info, debug or trace"),
        };
        self.report.taken(place, format!("log-level = {level:?}"));
        self.document.gateway.push(("log-level", level.into()));
    }

    fn text(&mut self, node: &Node, place: Place<'_>) -> Option<String> {
        let text = match &node.value {
            Value::Text(text) => references::resolve(text.trim(), self.lookup),
            Value::Null | Value::Flag(_) | Value::Number(_) | Value::List(_) | Value::Table(_) => {
                self.report.error(place, format!("expected text in quotes, found {}", node.kind()));
                return None;
            }
        };
        text.map_err(|name| self.report.error(place, format!("the environment variable {name} is not set")))
            .ok()
    }
}
