//! The start message of `vdm server start`: address, providers and warnings.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use vandamme_actors::settings::{ProviderSettings, Settings};

use crate::config::{Config, DemoMode};
use crate::terminal::Style;

const BOLD: &str = "1";
const YELLOW: &str = "33";

/// A terminal's usual size.
const COLUMNS: usize = 80;
const LINES: usize = 25;
/// The most providers that are listed one by one.
const PROVIDERS: usize = 8;
/// The most ids of keys that a row shows.
const IDS: usize = 3;

/// The whole message, with a line end. It contains ids of keys only, and fits a terminal of 25 lines and 80 columns.
pub fn summary(config: &Config, bound: SocketAddr, style: Style) -> String {
    let mut text = format!("vdm {} listens on {}\n", env!("CARGO_PKG_VERSION"), url(config, bound));
    let address = url(config, reachable(bound));
    push(&mut text, format_args!("Dashboard:  {address}/dashboard/\n"));
    text.push_str(&providers(&config.settings, style));
    text.push_str(&nobody_or_demo(config));
    let mut hint = String::new();
    if is_anyone_there(config) {
        // Without a credential Claude Code requires a login before it sends a request.
        let key = match (&config.proxy_api_key, config.access.are_required()) {
            (Some(_), _) => "$PROXY_API_KEY",
            (None, true) => "CLIENT_KEY",
            (None, false) => "any",
        };
        let command = format!("ANTHROPIC_BASE_URL={address} ANTHROPIC_AUTH_TOKEN={key} claude");
        push(&mut hint, format_args!("Point Claude Code at it:\n  {}\n", style.paint(BOLD, &command)));
    }
    let left = LINES.saturating_sub(height(&text) + height(&hint));
    text + &warnings(&config.warnings, left, style) + &hint
}

/// As many warnings as fit, and the number of the others.
fn warnings(warnings: &[String], lines: usize, style: Style) -> String {
    let mut text = String::new();
    for (shown, warning) in warnings.iter().enumerate() {
        let others = warnings.len() - shown - 1;
        let line = format!("warning: {warning}\n");
        if height(&text) + height(&line) + usize::from(others > 0) > lines {
            let more = others + 1;
            push(&mut text, format_args!("{more} more warnings: vdm config validate\n"));
            break;
        }
        push(&mut text, format_args!("{} {warning}\n", style.paint(YELLOW, "warning:")));
    }
    text
}

/// The lines that a text takes on a terminal.
fn height(text: &str) -> usize {
    text.lines().map(|line| width(line).div_ceil(COLUMNS).max(1)).sum()
}

/// The columns of a line, without the codes of its colours.
fn width(line: &str) -> usize {
    let mut is_code = false;
    let mut columns = 0;
    for c in line.chars() {
        is_code |= c == '\x1b';
        columns += usize::from(!is_code);
        is_code &= c != 'm';
    }
    columns
}

/// Logs the same without the hint for a terminal: a line for the addresses and the providers, and one for each warning.
pub(super) fn log_summary(config: &Config, bound: SocketAddr) {
    let settings = &config.settings;
    let names: Vec<_> = settings.providers.iter().map(|provider| provider.name.to_string()).collect();
    let providers =
        if names.is_empty() { String::new() } else { format!("; providers: {}", names.join(", ")) };
    let default = settings.default_provider.as_ref().map(|name| format!("; default provider: {name}"));
    let (version, default) = (env!("CARGO_PKG_VERSION"), default.unwrap_or_default());
    log::info!(
        "vdm {version} listens on {}; dashboard: {}/dashboard/{providers}{default}",
        url(config, bound),
        url(config, reachable(bound))
    );
    let level = if is_anyone_there(config) { log::Level::Info } else { log::Level::Warn };
    for line in nobody_or_demo(config).lines() {
        log::log!(level, "{line}");
    }
    log_warnings(config);
}

pub(super) fn log_warnings(config: &Config) {
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
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

/// One line for each provider, with a mark at the default. Columns are as wide as their widest cell; a row is cut at the
/// terminal's edge.
fn providers(settings: &Settings, style: Style) -> String {
    let all = &settings.providers;
    // A line that says "1 more" would take the place of that one.
    let listed = if all.len() <= PROVIDERS + 1 { all.len() } else { PROVIDERS };
    let rows: Vec<_> = all.iter().take(listed).map(|provider| row(provider, settings)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let widths: [usize; 3] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    });
    let mut text = String::new();
    for [name, format, base_url, keys] in rows {
        let name = format!("{name:0$}", widths[0]);
        let rest = format!("  {format:0$}  {base_url:1$}  {keys}", widths[1], widths[2]);
        let rest = cut(&rest, COLUMNS.saturating_sub(name.chars().count()));
        push(&mut text, format_args!("{}{rest}\n", style.paint(BOLD, &name)));
    }
    if all.len() > listed {
        push(&mut text, format_args!("  and {} more: vdm config show\n", all.len() - listed));
    }
    if settings.default_provider.is_some() {
        text.push_str("* takes model names without a prefix; for another provider write PROVIDER:MODEL\n");
    }
    text
}

fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(columns.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

fn row(provider: &ProviderSettings, settings: &Settings) -> [String; 4] {
    let default = settings.default_provider.as_ref().is_some_and(|name| *name == provider.name);
    let mut ids: Vec<_> = provider.keys.iter().take(IDS).map(|key| key.id().to_string()).collect();
    let keys = provider.keys.len();
    if keys > IDS {
        ids.push("…".to_owned());
    }
    let count = if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") };
    let mark = if default { '*' } else { ' ' };
    [
        format!("{mark} {}", provider.name),
        provider.api.name().to_owned(),
        provider.base_url.clone(),
        match &provider.identity {
            Some(identity) => identity.to_string(),
            None if provider.passthrough => "the client's own key".to_owned(),
            None => format!("{count} ({})", ids.join(", ")),
        },
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

/// With TLS a name is better than its address, since certificates are for names.
fn url(config: &Config, address: SocketAddr) -> String {
    match &config.tls {
        None => format!("http://{address}"),
        Some(_) if config.host.parse::<IpAddr>().is_err() => {
            format!("https://{}:{}", config.host, address.port())
        }
        Some(_) => format!("https://{address}"),
    }
}

/// Writing to a string cannot fail.
fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    if text.write_fmt(more).is_err() {
        unreachable!("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_keys::{ClientKey, KeyHash};
    use crate::config::Overrides;

    fn told(variables: &[(&str, &str)], bound: &str) -> String {
        let environment =
            variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let working_directory = std::path::PathBuf::from("/absent");
        let overrides = Overrides { environment, working_directory, ..Overrides::default() };
        summary(&Config::load(&overrides).unwrap(), bound.parse().unwrap(), Style::Plain)
    }

    #[test]
    fn the_message_has_providers_ids_of_keys_and_the_command_for_claude_code() {
        let variables =
            [("OPENAI_API_KEY", "canary1 canary2"), ("ZAI_API_KEY", "canary3"), ("FOO_API_KEY", "canary")];

        let told = told(&variables, "127.0.0.1:8082");

        let ids = ["canary1", "canary2", "canary3"]
            .map(|key| vandamme_actors::secret::ApiKey::new(key).id().to_string());
        let expected = format!(
            "vdm {} listens on http://127.0.0.1:8082\n\
             Dashboard:  http://127.0.0.1:8082/dashboard/\n\
             * openai  openai     https://api.openai.com/v1       2 keys ({}, {})\n\
             \x20 zai     anthropic  https://api.z.ai/api/anthropic  1 key ({})\n\
             * takes model names without a prefix; for another provider write PROVIDER:MODEL\n\
             warning: foo has a key but no base URL; to use it, set FOO_BASE_URL\n\
             Point Claude Code at it:\n\
             \x20 ANTHROPIC_BASE_URL=http://127.0.0.1:8082 ANTHROPIC_AUTH_TOKEN=any claude\n",
            env!("CARGO_PKG_VERSION"),
            ids[0],
            ids[1],
            ids[2],
        );
        assert_eq!(told, expected);
    }

    /// Checklist 52: at most 25 lines at 80 columns, however much is configured.
    #[test]
    fn the_message_fits_a_terminal() {
        let names = |number: usize| [format!("P{number}_API_KEY"), format!("P{number}_BASE_URL")];
        let mut variables = vec![("OPENAI_API_KEY".to_owned(), "k0".to_owned())];
        for number in 0..40 {
            let keys: Vec<_> = (0..9).map(|key| format!("canary-{number}-{key}")).collect();
            let [key, base] = names(number);
            variables.push((key, keys.join(" ")));
            variables.push((base, format!("https://{}.example.com/v1", "long".repeat(20))));
            variables.push((format!("HALF{number}_API_KEY"), "canary".to_owned()));
        }
        let variables: Vec<_> = variables.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();

        let told = told(&variables, "127.0.0.1:65535");

        assert!(height(&told) <= LINES, "{} lines:\n{told}", height(&told));
        assert!(
            told.contains("more: vdm config show") && told.contains("more warnings: vdm config validate"),
            "{told}"
        );
        assert!(told.contains("http://127.0.0.1:65535/dashboard/") && told.ends_with(" claude\n"), "{told}");
    }

    #[test]
    fn the_demo_is_named_and_the_message_says_how_to_add_a_provider() {
        let told = told(&[], "127.0.0.1:8082");
        assert!(
            told.contains("demo") && told.contains("export OPENAI_API_KEY=") && told.contains("restart"),
            "{told}"
        );
        assert!(told.contains(" claude\n"), "{told}");
    }

    #[test]
    fn without_provider_and_demo_the_message_names_the_variable_to_set() {
        let stranger = told(&[("HOST", "0.0.0.0"), ("VDM_DEMO", "0")], "0.0.0.0:8082");
        assert!(stranger.contains("503") && stranger.contains("OPENAI_API_KEY"), "{stranger}");
        assert!(!stranger.contains(" claude\n"), "{stranger}");

        let half = told(&[("VDM_DEMO", "0"), ("FOO_API_KEY", "k")], "0.0.0.0:8082");
        assert!(half.contains("set FOO_BASE_URL and restart"), "{half}");
    }

    #[test]
    fn the_base_url_for_claude_code_is_never_a_listen_only_address() {
        let key = [("OPENAI_API_KEY", "k"), ("HOST", "0.0.0.0")];
        assert!(
            told(&key, "0.0.0.0:8082")
                .contains("BASE_URL=http://127.0.0.1:8082 ANTHROPIC_AUTH_TOKEN=any claude")
        );
        assert!(
            told(&key, "[::]:8082").contains("BASE_URL=http://[::1]:8082 ANTHROPIC_AUTH_TOKEN=any claude")
        );
        assert!(
            told(&key, "10.0.0.1:8082")
                .contains("BASE_URL=http://10.0.0.1:8082 ANTHROPIC_AUTH_TOKEN=any claude")
        );
    }

    #[test]
    fn the_command_for_claude_code_contains_the_variable_of_the_gateway_key() {
        let told = told(&[("OPENAI_API_KEY", "k"), ("PROXY_API_KEY", "canary")], "127.0.0.1:1");
        assert!(
            told.contains("BASE_URL=http://127.0.0.1:1 ANTHROPIC_AUTH_TOKEN=$PROXY_API_KEY claude\n"),
            "{told}"
        );
        assert!(!told.contains("canary"), "{told}");
    }

    /// Requirement: with `[client-keys]` the command for a client has a place for its key.
    #[test]
    fn a_command_names_the_key_of_the_client() {
        let environment = [("OPENAI_API_KEY".to_owned(), "k".to_owned())].into();
        let overrides =
            Overrides { environment, working_directory: "/absent".into(), ..Overrides::default() };
        let mut config = Config::load(&overrides).unwrap();
        let hash = KeyHash::from_key(b"canary");
        config.access.clients.push(ClientKey { name: Some("me".into()), hash });
        let told = summary(&config, "127.0.0.1:1".parse().unwrap(), Style::Plain);
        assert!(told.contains("ANTHROPIC_AUTH_TOKEN=CLIENT_KEY claude\n"), "{told}");
    }

    #[test]
    fn colours_do_not_change_the_text() {
        let overrides = Overrides { working_directory: "/absent".into(), ..Overrides::default() };
        let config = Config::load(&overrides).unwrap();
        let bound = "127.0.0.1:1".parse().unwrap();
        let coloured = summary(&config, bound, Style::Coloured);
        assert!(coloured.contains("\x1b[1m"));
        let plain = coloured.replace("\x1b[1m", "").replace("\x1b[0m", "");
        assert_eq!(plain, summary(&config, bound, Style::Plain));
    }
}
