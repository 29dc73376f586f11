//! Every error, with its exact text.

use super::*;

/// Requirement: Given `timeout = -1` or `"null"` for the default provider, then startup fails naming the key and
/// section.
/// Requirement: Given a syntax error in `./vandamme-config.toml`, when the server starts, then exit 1 with file
/// and line.
/// Deviates from the original ("A local profile alias without a colon, strict on → startup fails, message
/// mentions "provider prefix"; strict off → warning"): a target without a provider is always a mistake of its
/// file; one without a key makes the profile inactive, with a warning, and ends no start: there is nothing left
/// to be strict about.
#[test]
fn every_error_in_a_file_is_one_line_with_line_column_key_and_advice() {
    for (toml, expected) in OF_A_FILE {
        let mistakes = Machine::new().toml(toml).mistakes();
        let [mistake] = &mistakes[..] else { panic!("{toml}: {mistakes:?}") };
        let expected = format!("work/vandamme-config.toml:{expected}");
        let fits =
            if expected.contains("not TOML") { mistake.starts_with(&expected) } else { *mistake == expected };
        assert!(fits && !mistake.contains('\n'), "{toml}\n  {mistake}\n  {expected}");
    }
}

/// Requirement: Given `PORT=abc` (or `0`, `70000`, empty), when any configuration-reading command runs, then exit
/// code 1 and the message names PORT.
/// Requirement: OAuth requests (7) or an honest "not supported". 5. No freeze on duplicate keys (31) and true
/// upstream errors (29). 6. Retries, timeouts, 504 (8, 9).
/// Deviates from the original ("Given `MODELS_CACHE_ENABLED=maybe`, then the cache is off; given `YES`, on"): a
/// word that is neither yes nor no is a mistake, as every other wrong value.
/// Deviates from the original ("Given `STREAMING_READ_TIMEOUT_SECONDS` unset, then streams have no read timeout;
/// given `0`, error"): without it a silence of 300 s ends a stream; zero is a mistake, as here.
/// Requirement: Colon targets and cache purity (15, 17). 8. Anthropic-format streaming rotation (28). 9. Proxy
/// key never leaves (32), all endpoints guarded (33), no key to the wrong host (38). 10. CLI truthfulness: wrap
/// exit code (43), health (36), validate (40), `.env` (5).
/// Requirement: Given `X_API_FORMAT=Anthropic`, same as 27; given `soap`, startup error.
/// Deviates from the original ("`"!PASSTHRU k"` and `"k !OAUTH"` → startup error containing "mixed
/// configuration""): both are mistakes that name the variable, in other words; OAuth is refused anyhow.
#[test]
fn every_error_in_a_variable_names_it_and_the_expected_value() {
    for (variables, expected) in OF_A_VARIABLE {
        let mistakes = Machine::with(variables).mistakes();
        assert_eq!(mistakes, [format!("environment variable {expected}")], "{variables:?}");
    }
    let mistakes = Machine::new().file("work/.env", "A=1\nPORT=x\n").mistakes();
    assert_eq!(mistakes, ["work/.env:2: PORT: expected a port number from 1 to 65535, found \"x\""]);
}

/// Requirement: Given two bad variables, when the server starts, then both are reported, without a traceback.
#[test]
fn all_errors_of_all_layers_are_reported_together() {
    let mut machine = Machine::with(&[("PORT", "abc"), ("POE_API_KEY", "!PASSTHRU k")])
        .file("home/.config/vandamme-proxy/vandamme-config.toml", "x = 1\n[zai]\ny = 2")
        .toml("= 1")
        .file("work/.env", "no equals sign");
    machine.overrides.config = Some("absent.toml".into());
    machine.overrides.host = Some("a b".into());

    let mistakes = machine.mistakes();

    let starts = [
        "work/.env:1: ",
        "home/.config/vandamme-proxy/vandamme-config.toml:1:1: x: ",
        "home/.config/vandamme-proxy/vandamme-config.toml:3:1: [zai] y: ",
        "work/vandamme-config.toml:1:1: ",
        "work/absent.toml: cannot read this file: ",
        "environment variable PORT: ",
        "--host: ",
        "environment variable POE_API_KEY: ",
    ];
    assert_eq!(mistakes.len(), starts.len(), "{mistakes:#?}");
    for (mistake, start) in mistakes.iter().zip(starts) {
        assert!(mistake.starts_with(start), "{mistake} | {start}");
    }
}

/// Deviates from the original ("`"!PASSTHRU k"` and `"k !OAUTH"` → startup error containing "mixed
/// configuration""): both are mistakes that name the variable, in other words; OAuth is refused anyhow.
/// Deviates from the original ("A request to an OAuth provider sends `Authorization: Bearer <access>`; without
/// tokens → 401 naming `vdm oauth login`"): OAuth subscriptions are refused; there is no flow, no token and no
/// file.
/// Deviates from the original ("`VDM_DEFAULT_PROVIDER=chatgpt` with `CHATGPT_AUTH_MODE=oauth` starts"): OAuth
/// subscriptions are refused; there is no flow, no token and no file.
#[test]
fn oauth_is_refused_in_every_setting() {
    let machines = [
        Machine::with(&[("POE_API_KEY", "!OAUTH")]),
        Machine::with(&[("POE_API_KEY", "a !oauth")]),
        Machine::with(&[("CHATGPT_API_KEY", "!OAUTH")]),
        Machine::with(&[("CHATGPT_AUTH_MODE", "OAuth")]),
        Machine::with(&[("OPENAI_AUTH_MODE", "oauth")]),
        Machine::new().toml("[chatgpt]\nauth-mode = 'oauth'").variable("CHATGPT_API_KEY", "k"),
        Machine::new().toml("[chatgpt]\nauth-mode = 'OAuth'\n[defaults]\ndefault-provider = 'chatgpt'"),
        Machine::new().toml("[poe]\napi-key = '!OAUTH'"),
    ];
    for machine in machines {
        let mistakes = Config::load(&machine.overrides).unwrap_err();
        assert_eq!(mistakes.len(), 1);
        assert_eq!(mistakes[0].kind(), ConfigErrorKind::Unsupported);
        assert!(mistakes[0].to_string().contains("OAuth subscriptions are refused"));
    }
}

/// A file, and what is said about it after its name.
const OF_A_FILE: &[(&str, &str)] = &[
    ("port = 'x'", "1:8: port: expected a port number from 1 to 65535, found \"x\""),
    ("port = 0", "1:8: port: expected a port number from 1 to 65535, found 0"),
    ("prot = 1", "1:1: prot: there is no such key; did you mean \"port\"?"),
    ("port = [1]", "1:8: port: expected a port number from 1 to 65535, found an array"),
    (
        "log-level = 'verbose'",
        "1:13: log-level: expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL, found \"verbose\"",
    ),
    (
        "host = 'http://x'",
        "1:8: host: expected a host name or an IP address, without scheme and port, found \"http://x\"",
    ),
    (
        "\n[limits]\nping-interval = 0",
        "3:17: [limits] ping-interval: expected a number of seconds, more than 0 and a year at most, found 0",
    ),
    (
        "[limits]\nping_interval = 1",
        "2:1: [limits] ping_interval: there is no such key; did you mean \"ping-interval\"?",
    ),
    (
        "[limits]\nevent = '3 cows'",
        "2:9: [limits] event: expected a size above 0: a number of bytes, or text such as \"32MiB\", found \"3 cows\"",
    ),
    (
        "[limits]\nconnections = 0",
        "2:15: [limits] connections: expected a whole number from 1 to 1000000000, found 0",
    ),
    ("[limit]\nevent = 1", "1:2: limit: did you mean [limits]?"),
    ("limits = 1", "1:1: limits: expected a table: [limits]"),
    (
        "[defaults]\ntimeout = -1",
        "2:11: [defaults] timeout: expected a number of seconds, 0 or more and a year at most, found -1",
    ),
    (
        "[defaults]\nmax-retries = 1.5",
        "2:15: [defaults] max-retries: expected a whole number from 0 to 1000000000, found 1.5",
    ),
    (
        "[poe]\ntimeout = 'null'",
        "2:11: [poe] timeout: expected a number of seconds, 0 or more and a year at most, found \"null\"",
    ),
    ("[defaults]\ntimeuot = 1", "2:1: [defaults] timeuot: there is no such key; did you mean \"timeout\"?"),
    (
        "[openai]\nbase-url = 'ftp://x'",
        "2:12: [openai] base-url: the URL must start with http:// or https://",
    ),
    ("[openai]\nbase-url = 1", "2:12: [openai] base-url: expected a URL in quotes, found 1"),
    (
        "[openai]\napi-format = 'soap'",
        "2:14: [openai] api-format: expected one of openai, responses, anthropic, bedrock, vertex, found \"soap\"",
    ),
    (
        "[openai]\nserves-claude = 'yes'",
        "2:17: [openai] serves-claude: expected true or false, found \"yes\"",
    ),
    ("[openai]\naliases = 1", "2:1: [openai] aliases: expected a table of names, each with text in quotes"),
    ("[openai.aliases]\na = 1", "2:5: [openai.aliases] a: expected text in quotes, not empty, found 1"),
    ("openai = { aliases = { a = '' } }", "1:28: [openai.aliases] a: expected text in quotes, not empty"),
    (
        "[openai.custom-headers]\nHost = 'x'",
        "2:8: [openai.custom-headers] Host: the header host is set by vdm itself and cannot be configured; remove it",
    ),
    (
        "[aliases]\nhaiku = 'x'",
        "1:2: aliases: aliases belong to a provider; write [openai.aliases] for one provider, or [defaults.aliases] for all",
    ),
    ("[demo]\nbase-url = 'http://x'", "1:2: demo: this is the name of the embedded provider; choose another"),
    ("['a b']", "1:2: a b: a provider's name may hold letters, digits, - and _ only"),
    ("['#a b']", "1:2: #a b: a profile's name may hold letters, digits, - and _ only"),
    ("['#fast'.aliases]\na = 'b'", "2:5: [\"#fast\".aliases] a: expected \"provider:model\""),
    (
        "['#fast']\nretries = 1",
        "2:1: [\"#fast\"] retries: there is no such key; did you mean \"max-retries\"?",
    ),
    (
        "[openai]\nauth-mode = 'magic'",
        "2:13: [openai] auth-mode: expected one of passthrough, aws, google, found \"magic\"",
    ),
    (
        "[kimi]\nreasoning-parameter = 'x'",
        "2:23: [kimi] reasoning-parameter: expected one of reasoning_effort, reasoning, thinking, found \"x\"",
    ),
    (
        "[kimi]\nreasoning-models = [1]",
        "2:20: [kimi] reasoning-models: expected words in an array: [\"a\", \"b\"], found an array",
    ),
    (
        "[kimi]\nweb-search = '[]'",
        "2:14: [kimi] web-search: expected one of openrouter, openai, perplexity, zai, bigmodel, or a JSON object in single quotes: \
         '{\"a\": 1}'",
    ),
    ("# é\nport = 1 1", "2:8: this is not TOML: "),
    ("port = 1\nport = 2", "2:1: this is not TOML: duplicate key"),
];

/// Variables, and what is said about them.
const OF_A_VARIABLE: &[(Set<'static>, &str)] = &[
    (&[("PORT", "abc")], "PORT: expected a port number from 1 to 65535, found \"abc\""),
    (&[("HTTPS_PROXY", "socks5://me:secret@h")], "HTTPS_PROXY: expected a proxy as http://host:port"),
    (&[("all_proxy", "socks5://h")], "all_proxy: expected a proxy as http://host:port"),
    (&[("PORT", "70000")], "PORT: expected a port number from 1 to 65535, found 70000"),
    (
        &[("LOG_LEVEL", "verbose")],
        "LOG_LEVEL: expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL, found \"verbose\"",
    ),
    (
        &[("REQUEST_TIMEOUT", "soon")],
        "REQUEST_TIMEOUT: expected a number of seconds, 0 or more and a year at most, found \"soon\"",
    ),
    (
        &[("REQUEST_TIMEOUT", "inf")],
        "REQUEST_TIMEOUT: expected a number of seconds, 0 or more and a year at most, found inf",
    ),
    (
        &[("STREAMING_READ_TIMEOUT_SECONDS", "0")],
        "STREAMING_READ_TIMEOUT_SECONDS: expected a number of seconds, more than 0 and a year at most, found 0",
    ),
    (&[("MODELS_CACHE_ENABLED", "maybe")], "MODELS_CACHE_ENABLED: expected true or false, found \"maybe\""),
    (
        &[("TOP_MODELS_SOURCE", "foo")],
        "TOP_MODELS_SOURCE: expected one of openrouter, manual_rankings, disabled, found \"foo\"",
    ),
    (&[("MAX_RETRIES", "-1")], "MAX_RETRIES: expected a whole number from 0 to 1000000000, found -1"),
    (&[("VDM_DEMO", "maybe")], "VDM_DEMO: expected true or false, found \"maybe\""),
    (
        &[("HOST", "a:1")],
        "HOST: expected a host name or an IP address, without scheme and port, found \"a:1\"",
    ),
    (
        &[("PROXY_API_KEY", "a b")],
        "PROXY_API_KEY: expected one key of visible ASCII characters, without blanks",
    ),
    (
        &[KEY, ("POE_BASE_URL", "https://u:p@h")],
        "POE_BASE_URL: the URL must not hold a user name or password; set the provider's API key instead",
    ),
    (
        &[KEY, ("POE_API_FORMAT", "soap")],
        "POE_API_FORMAT: expected one of openai, responses, anthropic, bedrock, vertex, found \"soap\"",
    ),
    (
        &[KEY, ("POE_API_FORMAT", "chat-completions")],
        "POE_API_FORMAT: expected one of openai, responses, anthropic, bedrock, vertex, found \"chat-completions\"; did you mean \"openai\"?",
    ),
    (
        &[KEY, ("POE_API_FORMAT", "response")],
        "POE_API_FORMAT: expected one of openai, responses, anthropic, bedrock, vertex, found \"response\"; did you mean \"responses\"?",
    ),
    (
        &[KEY, ("POE_CUSTOM_HEADER_AUTHORIZATION", "canary")],
        "POE_CUSTOM_HEADER_AUTHORIZATION: the header authorization is set by vdm itself and cannot be configured; remove it",
    ),
    (
        &[KEY, ("POE_CUSTOM_HEADER_X_VDM_HOP", "1")],
        "POE_CUSTOM_HEADER_X_VDM_HOP: the header x-vdm-hop is set by vdm itself and cannot be configured; remove it",
    ),
    (
        &[("POE_API_KEY", "schlüssel")],
        "POE_API_KEY: the key contains characters that no HTTP header can carry; copy the key again",
    ),
    (
        &[("POE_API_KEY", "!PASSTHRU k")],
        "POE_API_KEY: !PASSTHRU (the client's own key) stands alone: a provider has keys or takes its clients'",
    ),
    (
        &[("POE_API_KEY", "k"), ("POE_AUTH_MODE", "passthrough")],
        "POE_AUTH_MODE: this provider has keys, too; it has them or takes its clients', not both",
    ),
    (
        &[("DEMO_API_KEY", "k"), ("DEMO_BASE_URL", "http://d")],
        "DEMO_API_KEY: demo is the name of the embedded provider; choose another",
    ),
];

const KEY: (&str, &str) = ("POE_API_KEY", "k");
