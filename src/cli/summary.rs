//! What `vdm server start` tells at the start: who answers, at which address, and what deserves attention.

use std::fmt::Write;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use vandamme_actors::settings::{Api, ProviderSettings, Settings};

use crate::config::{Config, DemoMode};

/// With or without colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Coloured,
}

impl Style {
    /// Colours only for a terminal, and not where `NO_COLOR` is set.
    pub fn of_stderr() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stderr().is_terminal() && !unwanted { Self::Coloured } else { Self::Plain }
    }

    pub(crate) fn paint(self, colour: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\x1b[{colour}m{text}\x1b[0m"),
        }
    }
}

const BOLD: &str = "1";
const YELLOW: &str = "33";

/// The whole message, with a line end. Of a key it shows the id only.
pub fn summary(config: &Config, bound: SocketAddr, style: Style) -> String {
    let mut text = format!("vdm {} listens on {}\n", env!("CARGO_PKG_VERSION"), url(bound));
    text.push_str(&providers(&config.settings, style));
    text.push_str(&nobody_or_demo(config));
    for warning in &config.warnings {
        push(&mut text, format_args!("{} {warning}\n", style.paint(YELLOW, "warning:")));
    }
    if is_anyone_there(config) {
        let command = format!("ANTHROPIC_BASE_URL={} claude", url(reachable(bound)));
        push(&mut text, format_args!("Point Claude Code at it:  {}\n", style.paint(BOLD, &command)));
    }
    text
}

fn is_anyone_there(config: &Config) -> bool {
    !config.settings.providers.is_empty() || config.demo != DemoMode::Off
}

fn nobody_or_demo(config: &Config) -> String {
    match config.demo {
        DemoMode::Forced => {
            "This is a demo (VDM_DEMO is set): the embedded provider \"demo\" answers without any vendor.\n"
                .to_owned()
        }
        DemoMode::Fallback => "This is a demo: no provider is configured, so the embedded one answers.\n\
             Add a provider:  export OPENAI_API_KEY=…  (or ANTHROPIC_API_KEY, …) and restart.\n"
            .to_owned(),
        DemoMode::Off if config.settings.providers.is_empty() => {
            format!("No provider is configured, so requests get 503: {}.\n", what_to_set(&config.settings))
        }
        DemoMode::Off => String::new(),
    }
}

fn what_to_set(settings: &Settings) -> String {
    settings.partial.first().map_or_else(
        || "set OPENAI_API_KEY, or ANTHROPIC_API_KEY, … and restart".to_owned(),
        |partial| format!("set {} and restart", partial.missing),
    )
}

/// One line each, the default one marked, columns as wide as their widest cell.
fn providers(settings: &Settings, style: Style) -> String {
    let rows: Vec<_> = settings.providers.iter().map(|provider| row(provider, settings)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let widths: [usize; 3] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    });
    let mut text = String::new();
    for [name, format, base_url, keys] in rows {
        let name = style.paint(BOLD, &format!("{name:0$}", widths[0]));
        push(&mut text, format_args!("{name}  {format:0$}  {base_url:1$}  {keys}\n", widths[1], widths[2]));
    }
    if let Some(default) = &settings.default_provider {
        push(
            &mut text,
            format_args!("* takes every model without a prefix; others: provider:model ({default}:…)\n"),
        );
    }
    text
}

fn row(provider: &ProviderSettings, settings: &Settings) -> [String; 4] {
    let default = settings.default_provider.as_ref().is_some_and(|name| *name == provider.name);
    let format = match provider.api {
        Api::Messages => "anthropic",
        Api::ChatCompletions => "openai",
    };
    let ids: Vec<_> = provider.keys.iter().map(|key| key.id().to_string()).collect();
    let count = if ids.len() == 1 { "1 key".to_owned() } else { format!("{} keys", ids.len()) };
    let mark = if default { '*' } else { ' ' };
    [
        format!("{mark} {}", provider.name),
        format.to_owned(),
        provider.base_url.clone(),
        format!("{count} ({})", ids.join(", ")),
    ]
}

/// An address that a client on this machine can use.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, bound.port())
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Writing to a string cannot fail.
fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    if text.write_fmt(more).is_err() {
        unreachable!("a string takes everything");
    }
}
