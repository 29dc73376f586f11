//! The start message of `vdm server start`: address, providers and warnings.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use vandamme_actors::settings::{Api, ProviderSettings, Settings};

use crate::config::{Config, DemoMode};
use crate::terminal::Style;

const BOLD: &str = "1";
const YELLOW: &str = "33";

/// The whole message, with a line end. It contains ids of keys only.
pub fn summary(config: &Config, bound: SocketAddr, style: Style) -> String {
    let mut text = format!("vdm {} listens on {}\n", env!("CARGO_PKG_VERSION"), url(config, bound));
    text.push_str(&providers(&config.settings, style));
    text.push_str(&nobody_or_demo(config));
    for warning in &config.warnings {
        push(&mut text, format_args!("{} {warning}\n", style.paint(YELLOW, "warning:")));
    }
    if is_anyone_there(config) {
        // Without a credential Claude Code requires a login before it sends a request.
        let key = match (&config.proxy_api_key, config.access.are_required()) {
            (Some(_), _) => "$PROXY_API_KEY",
            (None, true) => "CLIENT_KEY",
            (None, false) => "any",
        };
        let address = url(config, reachable(bound));
        let command = format!("ANTHROPIC_BASE_URL={address} ANTHROPIC_AUTH_TOKEN={key} claude");
        push(&mut text, format_args!("Point Claude Code at it:  {}\n", style.paint(BOLD, &command)));
    }
    text
}

/// Logs the same without the hint for a terminal: a line for the address and the providers, and one for each warning.
pub(super) fn log_summary(config: &Config, bound: SocketAddr) {
    let settings = &config.settings;
    let names: Vec<_> = settings.providers.iter().map(|provider| provider.name.to_string()).collect();
    let providers =
        if names.is_empty() { String::new() } else { format!("; providers: {}", names.join(", ")) };
    let default = settings.default_provider.as_ref().map(|name| format!("; default provider: {name}"));
    let (version, default) = (env!("CARGO_PKG_VERSION"), default.unwrap_or_default());
    log::info!("vdm {version} listens on {}{providers}{default}", url(config, bound));
    let level = if is_anyone_there(config) { log::Level::Info } else { log::Level::Warn };
    for line in nobody_or_demo(config).lines() {
        log::log!(level, "{line}");
    }
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
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

/// One line for each provider, with a mark at the default. Columns are as wide as their widest cell.
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
    if settings.default_provider.is_some() {
        text.push_str("* takes model names without a prefix; for another provider write PROVIDER:MODEL\n");
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
        if provider.passthrough {
            "the client's own key".to_owned()
        } else {
            format!("{count} ({})", ids.join(", "))
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
             * openai  openai     https://api.openai.com/v1       2 keys ({}, {})\n\
             \x20 zai     anthropic  https://api.z.ai/api/anthropic  1 key ({})\n\
             * takes model names without a prefix; for another provider write PROVIDER:MODEL\n\
             warning: foo has a key but no base URL; to use it, set FOO_BASE_URL\n\
             Point Claude Code at it:  ANTHROPIC_BASE_URL=http://127.0.0.1:8082 ANTHROPIC_AUTH_TOKEN=any claude\n",
            env!("CARGO_PKG_VERSION"),
            ids[0],
            ids[1],
            ids[2],
        );
        assert_eq!(told, expected);
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
        let stranger = told(&[("HOST", "0.0.0.0")], "0.0.0.0:8082");
        assert!(stranger.contains("503") && stranger.contains("OPENAI_API_KEY"), "{stranger}");
        assert!(!stranger.contains(" claude\n"), "{stranger}");

        let half = told(&[("HOST", "0.0.0.0"), ("FOO_API_KEY", "k")], "0.0.0.0:8082");
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
