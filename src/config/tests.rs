//! The whole configuration, from files and variables to types.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vandamme_actors::settings::{Api, ProviderSettings};
use vandamme_protocol::convert::upstream::chat::{Dialect, Reasoning, Replay};

use super::*;

mod built_in;
mod client_variables;
mod clients;
mod errors;
mod key_files;
mod limits;
mod original;
mod routes;
mod slips;
mod targets;
mod thinking;

/// Variables and what they are set to.
type Set<'a> = &'a [(&'a str, &'a str)];

/// As long as the keys of vendors are.
const KEY_OF_A_VENDOR: &str = "sk-ant-api03-0123456789";

/// A machine with its own home, working directory and environment.
struct Machine {
    root: PathBuf,
    overrides: Overrides,
}

impl Machine {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("vdm-config-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(root.join("home/.config/vandamme-proxy")).unwrap();
        fs::create_dir_all(root.join("work")).unwrap();
        let overrides = Overrides {
            working_directory: root.join("work"),
            home: Some(root.join("home")),
            ..Overrides::default()
        };
        Self { root, overrides }
    }

    fn with(variables: Set<'_>) -> Self {
        variables.iter().fold(Self::new(), |machine, (name, text)| machine.variable(name, text))
    }

    fn variable(mut self, name: &str, text: &str) -> Self {
        self.overrides.environment.insert(name.into(), text.into());
        self
    }

    /// `work/vandamme-config.toml`, `work/.env` and so on.
    fn file(self, path: &str, text: &str) -> Self {
        fs::write(self.root.join(path), text).unwrap();
        self
    }

    fn toml(self, text: &str) -> Self {
        self.file("work/vandamme-config.toml", text)
    }

    fn load(&self) -> Config {
        Config::load(&self.overrides).unwrap_or_else(|_| panic!("{:?}", self.mistakes()))
    }

    /// Without the directory in front.
    fn mistakes(&self) -> Vec<String> {
        let mistakes = Config::load(&self.overrides).err().unwrap_or_default();
        let directory = format!("{}/", self.root.display());
        mistakes.iter().map(|mistake| mistake.to_string().replace(&directory, "")).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let directory = format!("{}/", self.root.display());
        self.load().warnings.iter().map(|warning| warning.replace(&directory, "")).collect()
    }

    fn default_provider(&self) -> Option<String> {
        self.load().settings.default_provider.map(|name| name.to_string())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn names(config: &Config) -> Vec<&str> {
    config.settings.providers.iter().map(|provider| &*provider.name).collect()
}

fn provider<'a>(config: &'a Config, name: &str) -> &'a ProviderSettings {
    config.settings.providers.iter().find(|provider| *provider.name == *name).unwrap()
}

/// Deviates from the original ("Start with one key and stock defaults (BUG-13, 4). 2. `!literal` (1). 3. Default
/// profile and `VDM_DEFAULT_PROVIDER=openai` (2, 3)"): 127.0.0.1, no clamp, its own deadlines; the rest holds.
/// Requirement: Given `OPENAI_API_KEY=k`, then provider openai is registered with `https://api.openai.com/v1`.
/// Requirement: A package profile whose provider is missing never blocks startup.
#[test]
fn one_key_and_stock_defaults_start() {
    let config = Machine::with(&[("OPENAI_API_KEY", "k")]).load();

    assert_eq!((config.host.as_str(), config.port), ("127.0.0.1", 8082));
    assert_eq!((config.log_level, config.log_level_word.as_str()), (LevelFilter::Info, "INFO"));
    assert!(config.proxy_api_key.is_none() && config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(names(&config), ["openai"]);
    assert_eq!(config.settings.default_provider.as_deref(), Some("openai"));
    let openai = provider(&config, "openai");
    assert_eq!((openai.api, openai.base_url.as_str()), (Api::ChatCompletions, "https://api.openai.com/v1"));
    assert_eq!((openai.timeout, openai.max_retries, openai.serves_claude), (None, 2, false));
    assert_eq!(openai.keys[0].expose(), "k");
}

/// Deviates from the original ("Start with one key and stock defaults (BUG-13, 4). 2. `!literal` (1). 3. Default
/// profile and `VDM_DEFAULT_PROVIDER=openai` (2, 3)"): 127.0.0.1, no clamp, its own deadlines; the rest holds.
#[test]
fn the_limits_are_those_of_the_design() {
    let limits = Machine::new().load().settings.limits;

    assert_eq!((limits.request_body, limits.whole_reply), (32 << 20, 64 << 20));
    assert_eq!((limits.event, limits.client_channel, limits.body_min_rate), (16 << 20, 64 << 10, 1024));
    assert_eq!((limits.before_first_event, limits.event_min_rate), (64 << 10, 1024));
    assert_eq!((limits.connections, limits.in_flight, limits.provider_in_flight), (10_000, 4_096, 1_024));
    assert_eq!((limits.provider_queue, limits.provider_queue_wait), (256, Duration::from_secs(5)));
    assert_eq!(limits.total_timeout, None);
    assert_eq!(limits.whole_timeout, Some(Duration::from_secs(600)));
    assert_eq!(limits.watch_interval, Duration::from_millis(250));
}

#[test]
fn the_built_in_providers_come_in_order_and_serve_claude_codes_models() {
    let order = [
        "openai",
        "poe",
        "openrouter",
        "cerebras",
        "nanogpt",
        "agentrouter",
        "agentroutera",
        "zai",
        "zaio",
        "kimi",
        "deepseek",
        "longcat",
        "longcata",
        "anthropic",
        "gemini",
        "azure",
        "xai",
        "mistral",
        "groq",
        "ollama",
    ];
    let with_key =
        |machine: Machine, name: &&str| machine.variable(&format!("{}_API_KEY", name.to_uppercase()), "k");
    let azure = ("AZURE_BASE_URL", "https://r.openai.azure.com/openai/v1");
    let config = order.iter().fold(Machine::with(&[azure]), with_key).load();

    assert_eq!(names(&config), order);
    for settings in &config.settings.providers {
        let (name, aliases) = (&settings.name, &settings.aliases);
        assert!(aliases.get("fable") == aliases.get("opus") || &**name == "anthropic", "{name}");
        assert_eq!(settings.serves_claude, ["anthropic", "agentroutera"].contains(&&**name), "{name}");
        assert!(aliases.contains_key("haiku"), "{name}");
    }
    let of = |api| config.settings.providers.iter().filter(move |p| p.api == api).map(|p| p.name.to_string());
    assert_eq!(of(Api::Messages).collect::<Vec<_>>(), ["agentroutera", "zai", "longcata", "anthropic"]);
}

/// Requirement: Given `PORT=" 8082 "`, then port is 8082.
/// Requirement: Given `./.env` with `PORT=9000` and no PORT in the environment, then port is 9000; with
/// `PORT=9001` in the environment, 9001.
#[test]
fn each_layer_wins_over_the_ones_before() {
    type Step = fn(Machine) -> Machine;
    let steps: [(Step, u16); 7] = [
        (|machine| machine, 8082),
        (|machine| machine.file("home/.config/vandamme-proxy/vandamme-config.toml", "port = 1001"), 1001),
        (|machine| machine.file("work/vandamme-config.toml", "port = 1002"), 1002),
        (
            |mut machine| {
                machine.overrides.config = Some("given.toml".into());
                machine.file("work/given.toml", "port = 1003")
            },
            1003,
        ),
        (|machine| machine.file("work/.env", "PORT=1004"), 1004),
        (|machine| machine.variable("PORT", " 1005 "), 1005),
        (
            |mut machine| {
                machine.overrides.port = Some(1006);
                machine
            },
            1006,
        ),
    ];
    let mut machine = Machine::new();
    for (step, port) in steps {
        machine = step(machine);
        assert_eq!(machine.load().port, port);
    }
}

/// Requirement: Given alias haiku in package, user and local file for poe, then the local one wins and untouched
/// aliases of the lower files remain.
/// Requirement: Given local `[poe] timeout = 60`, then poe's timeout is 60 and its base URL is still the built-in
/// one.
/// Requirement: Given `[POE.aliases] HAIKU = "x"`, then `poe:haiku` resolves to x.
#[test]
fn layers_merge_value_by_value() {
    let machine = Machine::with(&[("POE_API_KEY", "k")])
        .file(
            "home/.config/vandamme-proxy/vandamme-config.toml",
            "[poe]\ntimeout = 50\nmax-retries = 7\n[poe.aliases]\nmine = 'a'\nhaiku = 'below'",
        )
        .toml("[POE]\ntimeout = 60\n[POE.aliases]\nHAIKU = 'x'\n'gpt-4.1' = 'y'");
    let config = machine.load();
    let poe = provider(&config, "poe");

    assert_eq!((poe.timeout, poe.max_retries), (Some(Duration::from_secs(60)), 7));
    assert_eq!(poe.base_url, "https://api.poe.com/v1");
    assert_eq!(poe.aliases["haiku"], "x");
    assert_eq!(poe.aliases["mine"], "a");
    assert_eq!(poe.aliases["gpt-4.1"], "y");
    assert_eq!(poe.aliases["cheap"], "grok-4.1-fast-reasoning");
}

/// Requirement: Given `OPENAI_API_KEY=" "`, then openai is not registered.
#[test]
fn a_variable_of_the_environment_hides_the_one_of_the_file_even_if_empty() {
    let machine =
        Machine::new().file("work/.env", "OPENAI_API_KEY=k\nHOST=localhost").variable("OPENAI_API_KEY", "");
    let config = machine.load();

    assert_eq!(names(&config), Vec::<&str>::new());
    assert_eq!(config.host, "localhost");
}

/// Requirement: Given `REQUEST_TIMEOUT=0`, accepted and requests have no timeout.
/// Requirement: Given `REQUEST_TIMEOUT=45` and `[poe] timeout = 60`, then 45 is used.
/// Requirement: Given a TOML provider without timeout, then `[defaults] timeout` is used.
/// Requirement: Given `max-retries = 0` and an upstream 500, then exactly one upstream attempt; given 2, three,
/// for both formats.
#[test]
fn timeouts_and_retries_of_variables_stand_above_the_providers_own() {
    let seconds = |n| Some(Duration::from_secs(n));
    let toml = "[defaults]\ntimeout = 10\nmax-retries = 1\n[poe]\napi-key = 'k'\ntimeout = 20.5\nmax-retries = 0\n[zai]\napi-key = 'k'";
    let config = Machine::new().toml(toml).load();
    let (poe, zai) = (provider(&config, "poe"), provider(&config, "zai"));
    assert_eq!((poe.timeout, poe.max_retries), (Some(Duration::from_millis(20_500)), 0));
    assert_eq!((zai.timeout, zai.max_retries), (seconds(10), 1));

    let config = Machine::with(&[("REQUEST_TIMEOUT", "45"), ("MAX_RETRIES", "4")]).toml(toml).load();
    let (poe, zai) = (provider(&config, "poe"), provider(&config, "zai"));
    assert_eq!((poe.timeout, poe.max_retries, zai.timeout), (seconds(45), 4, seconds(45)));

    let config = Machine::with(&[("REQUEST_TIMEOUT", "0")]).toml(toml).load();
    assert!(provider(&config, "poe").timeout > seconds(86_400), "zero is no limit");
}

#[test]
fn a_provider_takes_its_clients_keys_by_the_word_or_by_its_mode() {
    for (variables, toml) in [
        (&[("POE_API_KEY", " !passthru ")][..], ""),
        (&[("POE_AUTH_MODE", "Passthrough")][..], ""),
        (&[][..], "[poe]\nauth-mode = 'passthrough'"),
        (&[("POE_API_KEY", "!PASSTHRU")][..], "[poe]\nauth-mode = 'passthrough'"),
    ] {
        let config = Machine::with(variables).toml(toml).load();
        let poe = provider(&config, "poe");
        assert!(poe.passthrough && poe.keys.is_empty(), "{variables:?} {toml}");
    }
}

/// Requirement: With limits set: below minimum raised, above maximum lowered; unset limits do not clamp.
#[test]
fn what_a_provider_takes_is_said_in_its_section() {
    let toml = "[x]\napi-key = 'k'\nbase-url = 'http://x'\nreasoning-models = ['a*', 'b']\nreasoning-parameter = 'thinking'
        reasoning-replay = 'none'\nthink-tags = true\ncache-control = true\ntop-k = true\nuser-fields = 'user'\nprompt-cache = true
        web-search = ' {\"a\": {}} '\ntool-name-sanitization = true\n[openrouter]\napi-key = 'k'\n[zai]\napi-key = 'k'";
    let config = Machine::with(&[("MIN_TOKENS_LIMIT", "16"), ("MAX_TOKENS_LIMIT", "4096")]).toml(toml).load();
    let dialect = Dialect {
        reasoning: Reasoning::Switch,
        reasoning_models: vec!["a*".to_owned(), "b".to_owned()],
        replay: Replay::Nothing,
        think_tags: true,
        system_anywhere: false,
        cache_control: true,
        top_k: true,
        plain_tool_names: true,
        user_fields: vec!["user".to_owned()],
        prompt_cache: true,
        web_search: Some("\"a\": {}".to_owned()),
        extras: true,
        fewest_tokens: Some(16),
        most_tokens: Some(4096),
    };
    assert_eq!(provider(&config, "x").dialect, dialect);
    let openrouter = &provider(&config, "openrouter").dialect;
    assert_eq!((openrouter.reasoning, openrouter.replay), (Reasoning::Nested, Replay::Details));
    assert!(!openrouter.prompt_cache);
    let own = |toml: &str| {
        let config = Machine::with(&[("OPENAI_API_KEY", "k")]).toml(toml).load();
        provider(&config, "openai").dialect.prompt_cache
    };
    assert!(own(""));
    assert!(!own("[openai]\nprompt-cache = false") && !own("[openai]\nbase-url = 'http://localhost:1/v1'"));
    let unsaid = Machine::new().toml("[zai]\napi-key = 'k'").load();
    assert_eq!(provider(&unsaid, "zai").dialect, Dialect::default());
}

/// Requirement: Given `FOO_API_KEY=k` only, then foo is partial, shown with "Missing FOO_BASE_URL", and requests
/// to it fail as unknown.
/// Requirement: Given `AZURE_OPENAI_API_KEY` and base URL, then the provider name is `azure_openai`.
/// Requirement: Given `X_API_FORMAT=Anthropic`, same as 27; given `soap`, startup error.
/// Requirement: Given `PROXY_API_KEY=p`, then no provider named proxy is listed.
/// Requirement: Given `CUSTOM_API_KEY` and `CUSTOM_BASE_URL`, then provider custom is registered.
/// Requirement: Given `POE_CUSTOM_HEADER_X_API_KEY=v`, then no provider `poe_custom_header_x` is listed.
#[test]
fn a_provider_by_variables_alone_needs_a_base_url() {
    let machine = Machine::with(&[
        ("AZURE_OPENAI_API_KEY", "k"),
        ("AZURE_OPENAI_BASE_URL", "http://h/v1/"),
        ("X_API_KEY", "k"),
        ("X_BASE_URL", "http://x"),
        ("X_API_FORMAT", "Anthropic"),
        ("CUSTOM_API_KEY", "k"),
        ("CUSTOM_BASE_URL", "http://c"),
        ("PROXY_API_KEY", "p"),
        ("POE_CUSTOM_HEADER_X_API_KEY", "v"),
        ("FOO_API_KEY", "k"),
        ("BLANK_API_KEY", "   "),
    ]);
    let config = machine.load();

    assert_eq!(names(&config), ["azure_openai", "custom", "x"]);
    assert_eq!(provider(&config, "azure_openai").base_url, "http://h/v1");
    assert_eq!(provider(&config, "x").api, Api::Messages);
    assert_eq!(config.proxy_api_key.unwrap().expose(), "p");
    let missing: Vec<_> =
        config.settings.partial.iter().map(|p| (p.name.as_str(), p.missing.as_str())).collect();
    assert_eq!(missing, [("foo", "FOO_BASE_URL")]);
    assert_eq!(config.warnings[0], "foo has a key but no base URL; to use it, set FOO_BASE_URL");
}

#[test]
fn variables_of_a_name_with_a_dash_have_an_underscore() {
    let machine = Machine::with(&[("MY_CORP_API_KEY", "k")]).toml("[my-corp]\nbase-url = 'http://c'");
    assert_eq!(names(&machine.load()), ["my-corp"]);
}

/// Requirement: Keys `bad bad` → an error within a second and `/health` keeps answering.
#[test]
fn keys_take_blanks_between_them_and_count_once() {
    let machine = Machine::with(&[("POE_API_KEY", " a  b\ta ")]);
    let config = machine.load();

    let keys: Vec<_> = provider(&config, "poe").keys.iter().map(ApiKey::expose).collect();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("POE_API_KEY"), "{:?}", config.warnings);
}

/// Requirement: Given `HD_CUSTOM_HEADER_X_USER_ID=u1`, then upstream requests of hd carry `X-USER-ID: u1` and
/// those of other providers do not.
#[test]
fn custom_headers_go_to_their_provider_only() {
    let machine = Machine::with(&[
        ("POE_API_KEY", "k"),
        ("ZAI_API_KEY", "k"),
        ("POE_CUSTOM_HEADER_X_USER_ID", "u1"),
        ("POE_CUSTOM_HEADER_", "ignored"),
    ])
    .toml("[poe.custom-headers]\nX-User-Id = 'under'\nx-team = 't'");
    let config = machine.load();

    let headers = &provider(&config, "poe").custom_headers;
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(headers, [("x-team", "t"), ("x-user-id", "u1")]);
    assert!(provider(&config, "zai").custom_headers.is_empty());
}

/// Requirement: Given `CUSTOM_HEADER_X_GLOBAL=g`, then every provider's requests carry `X-GLOBAL: g`; a
/// provider-specific header of that name overrides it.
#[test]
fn a_header_for_all_goes_to_those_that_have_none_of_its_name() {
    let machine = Machine::with(&[
        ("POE_API_KEY", "k"),
        ("ZAI_API_KEY", "k"),
        ("CUSTOM_HEADER_X_TEAM", "all"),
        ("CUSTOM_HEADER_", "ignored"),
    ])
    .toml("[poe.custom-headers]\nX-Team = 'own'");
    let config = machine.load();

    for (name, value) in [("poe", "own"), ("zai", "all")] {
        let headers = &provider(&config, name).custom_headers;
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(headers, [("x-team", value)], "{name}");
    }
}

/// Requirement: Given POE key and `VDM_DEFAULT_PROVIDER=poe`, then `gpt-x` goes to poe.
/// Requirement: Given OPENAI and POE keys and `VDM_DEFAULT_PROVIDER=openai`, then the configured default is
/// openai with source env.
/// Requirement: Given `VDM_DEFAULT_PROVIDER=POE`, then exactly one provider poe is listed and is default.
/// Requirement: Given `VDM_DEFAULT_PROVIDER=nonexist` and an OPENAI key, then openai is used. a visible WARNING
/// names both.
#[test]
fn the_default_provider_is_the_configured_else_openai_else_the_first() {
    let key = |name| (name, "k");
    let poe = key("POE_API_KEY");
    let zai = key("ZAI_API_KEY");
    let openai = key("OPENAI_API_KEY");
    let wants = |name| ("VDM_DEFAULT_PROVIDER", name);
    let table: [(Set<'_>, Option<&str>, usize); 9] = [
        (&[zai, openai], Some("openai"), 0),
        (&[zai, poe], Some("poe"), 0),
        (&[zai, poe, wants("ZAI")], Some("zai"), 0),
        (&[poe, openai, wants("openai")], Some("openai"), 0),
        (&[poe, openai, wants("nonexist")], Some("openai"), 1),
        (&[poe, wants("openai")], Some("poe"), 1),
        (&[poe, wants("")], Some("poe"), 0),
        (&[wants("poe")], None, 1),
        (&[poe, wants("demo"), ("VDM_DEMO", "1")], Some("demo"), 0),
    ];
    for (variables, default, warnings) in table {
        let machine = Machine::with(variables);
        assert_eq!(machine.default_provider().as_deref(), default, "{variables:?}");
        assert_eq!(machine.load().warnings.len(), warnings, "{variables:?}: {:?}", machine.load().warnings);
    }
    let machine = Machine::with(&[poe, zai]).toml("[defaults]\ndefault-provider = 'zai'");
    assert_eq!(machine.default_provider().as_deref(), Some("zai"));
}

/// Requirement: Given `VDM_DEFAULT_PROVIDER=nonexist` and an OPENAI key, then openai is used. a visible WARNING
/// names both.
#[test]
fn a_default_provider_that_is_not_there_is_told_with_what_is_used() {
    let machine =
        Machine::with(&[("POE_API_KEY", "k"), ("VDM_DEFAULT_PROVIDER", "foo"), ("FOO_API_KEY", "k")]);
    let warnings = machine.warnings();
    let told = warnings.iter().find(|warning| warning.contains("VDM_DEFAULT_PROVIDER")).unwrap();
    assert!(told.contains("\"foo\" misses FOO_BASE_URL") && told.contains("\"poe\""), "{told}");
}

#[test]
fn the_demo_answers_only_if_asked_for_or_if_nothing_else_does_on_loopback() {
    let table: [(Set<'_>, DemoMode); 8] = [
        (&[], DemoMode::Fallback),
        (&[("HOST", "localhost")], DemoMode::Fallback),
        (&[("HOST", "::1")], DemoMode::Fallback),
        (&[("HOST", "0.0.0.0")], DemoMode::Off),
        (&[("OPENAI_API_KEY", "k")], DemoMode::Off),
        (&[("OPENAI_API_KEY", "k"), ("VDM_DEMO", "1")], DemoMode::Forced),
        (&[("HOST", "0.0.0.0"), ("VDM_DEMO", "yes")], DemoMode::Forced),
        (&[("VDM_DEMO", "0")], DemoMode::Off),
    ];
    for (variables, demo) in table {
        assert_eq!(Machine::with(variables).load().demo, demo, "{variables:?}");
    }
}

#[test]
fn a_listener_open_to_all_without_a_key_is_worth_a_warning() {
    assert_eq!(Machine::with(&[("HOST", "0.0.0.0")]).load().warnings.len(), 1);
    assert!(Machine::with(&[("HOST", "0.0.0.0"), ("PROXY_API_KEY", "p")]).load().warnings.is_empty());
}

#[test]
fn an_upstream_that_is_our_own_listener_is_replaced_by_what_lies_below() {
    let machine = Machine::with(&[
        ("ANTHROPIC_API_KEY", KEY_OF_A_VENDOR),
        ("ANTHROPIC_BASE_URL", "http://localhost:8082"),
    ]);
    let config = machine.load();
    assert_eq!(provider(&config, "anthropic").base_url, "https://api.anthropic.com");
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("ANTHROPIC_BASE_URL") && config.warnings[0].contains("own address"));

    let machine = machine.toml("[anthropic]\nbase-url = 'https://corp.example'");
    assert_eq!(provider(&machine.load(), "anthropic").base_url, "https://corp.example");

    let machine = machine.variable("PORT", "9000");
    let config = machine.load();
    assert_eq!(provider(&config, "anthropic").base_url, "http://localhost:8082");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn a_provider_that_only_knows_our_own_address_is_not_usable() {
    let machine = Machine::with(&[("FOO_API_KEY", "k"), ("FOO_BASE_URL", "http://[::1]:8082/v1")]);
    let config = machine.load();
    assert!(config.settings.providers.is_empty());
    assert_eq!(config.settings.partial[0].missing, "FOO_BASE_URL");
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
}

#[test]
fn middleware_is_all_that_there_is_unless_a_section_names_it() {
    let applies = |toml: &str, model: &str| {
        let config = Machine::with(&[("POE_API_KEY", "k")]).toml(toml).load();
        provider(&config, "poe").middleware.for_model(model).is_some()
    };
    let (named, none) = ("[poe]\nmiddleware = ['gemini']", "[poe]\nmiddleware = []");
    for (toml, model, expected) in [
        ("", "Gemini-3-flash", true),
        ("", "gpt-5", false),
        (named, "gpt-5", true),
        (none, "gemini-3-flash", false),
    ] {
        assert_eq!(applies(toml, model), expected, "{toml} {model}");
    }
    let mistakes = Machine::with(&[("POE_API_KEY", "k")]).toml("[poe]\nmiddleware = ['x']").mistakes();
    assert_eq!(
        mistakes,
        ["work/vandamme-config.toml:2:14: [poe] middleware: expected \"gemini\", found \"x\""]
    );
}

#[test]
fn thought_signatures_are_remembered_as_the_originals_variables_say() {
    let stock = Machine::new().load().settings.limits.thoughts;
    let second = Duration::from_secs(1);
    assert_eq!((stock.entries, stock.ttl, stock.sweep), (10_000, 3_600 * second, 300 * second));

    let config = Machine::with(&[
        ("POE_API_KEY", "k"),
        ("GEMINI_THOUGHT_SIGNATURES_ENABLED", "false"),
        ("THOUGHT_SIGNATURE_MAX_CACHE_SIZE", "7"),
        ("THOUGHT_SIGNATURE_CACHE_TTL", "1.5"),
        ("THOUGHT_SIGNATURE_CLEANUP_INTERVAL", "2"),
    ])
    .toml("[limits]\nthoughts = 8")
    .load();
    let thoughts = config.settings.limits.thoughts;
    assert_eq!((thoughts.entries, thoughts.ttl, thoughts.sweep), (7, second * 3 / 2, 2 * second));
    assert!(!provider(&config, "poe").dialect.extras);

    let wrong = [("THOUGHT_SIGNATURE_MAX_CACHE_SIZE", "0"), ("THOUGHT_SIGNATURE_CACHE_TTL", "0")];
    assert_eq!(Machine::with(&wrong).mistakes().len(), 2);
}

#[test]
fn variables_that_are_not_for_us_do_no_harm() {
    let machine = Machine::with(&[
        ("OPENAI_API_KEY", "k"),
        ("GITHUB_BASE_URL", "not a url"),
        ("MONGO_AUTH_MODE", "oauth"),
        ("SOME_API_FORMAT", "soap"),
        ("ODD_API_KEY", "schlüssel"),
        ("lower_api_key", "k"),
        ("POE_BASE_URL", "not a url"),
    ]);
    assert_eq!(names(&machine.load()), ["openai"]);
}

#[test]
fn secrets_are_in_no_output() {
    let good = Machine::with(&[
        ("POE_API_KEY", "canary1 canary1 canary2"),
        ("POE_CUSTOM_HEADER_X_SECRET", "canary"),
        ("PROXY_API_KEY", "canary"),
        ("FOO_API_KEY", "canary"),
    ])
    .toml("[zai]\napi-key = 'canary'");
    assert!(!format!("{:?}", good.load()).contains("canary"));

    let bad = Machine::with(&[
        ("POE_API_KEY", "canary\u{e9}"),
        ("POE_CUSTOM_HEADER_X_SECRET", "canary\n"),
        ("ZAI_API_KEY", "k"),
        ("ZAI_BASE_URL", "https://user:canary@host"),
        ("PROXY_API_KEY", "canary canary"),
    ])
    .toml("proxy-api-key = 'canary canary'\n[poe]\napi-key = ['canary']\nbase-url = 'https://canary@x'\n[poe.custom-headers]\nx-api-key = 'canary'\nx-b = \"canary\\n\"")
    .file("work/.env", "OPENAI_API_KEY canary\nA='canary");
    let mistakes = bad.mistakes();
    assert!(mistakes.len() >= 9, "{mistakes:#?}");
    assert!(!mistakes.concat().contains("canary"), "{mistakes:#?}");
}

/// The file at the top of the project, with its keys set.
fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file::NAME);
    let text = fs::read_to_string(path).unwrap();
    assert!(
        text.lines().all(|line| line.is_empty() || line.starts_with('#')),
        "it changes nothing as shipped"
    );
    let is_setting = |rest: &&str| !rest.is_empty() && !rest.starts_with([' ', '#']);
    text.lines()
        .map(|line| line.strip_prefix('#').filter(is_setting).unwrap_or("").to_owned() + "\n")
        .collect()
}

#[test]
fn the_example_shows_every_key_and_no_other() {
    let text = example();
    // A key is set in one way only, and the example shows both. Certificates must exist.
    const FILES: [&str; 7] = [
        "api-key-file = ",
        "admin-key-file = ",
        "{ file = ",
        "tls-",
        "ca-file",
        "client-cert",
        "client-key =",
    ];
    let is_file = |line: &&str| FILES.iter().any(|file| line.contains(file));
    let loaded: String =
        text.lines().filter(|line| !is_file(line)).map(|line| line.to_owned() + "\n").collect();
    let config = Machine::new().toml(&loaded).load();
    let document: toml_edit::DocumentMut = text.parse().unwrap();
    let stated = |table: &dyn toml_edit::TableLike| {
        let mut names: Vec<_> = table.iter().map(|(name, _)| name.to_owned()).collect();
        names.sort();
        names
    };
    let known = |keys: schema::Keys| {
        let available = keys
            .iter()
            .filter(|(_, kind)| !matches!(kind, value_type::KeyType::Later | value_type::KeyType::AuthMode));
        let mut names: Vec<_> = available.map(|(name, _)| (*name).to_owned()).collect();
        names.sort();
        names
    };
    let table = |name: &str| document[name].as_table_like().unwrap();
    assert_eq!(stated(table("defaults")), known(schema::DEFAULTS));
    assert_eq!(stated(table("limits")), known(schema::LIMITS));
    assert_eq!(stated(table("mycorp")), known(schema::PROVIDER));
    assert_eq!(stated(table("#work")), known(schema::PROFILE));
    let tables = ["defaults", "limits", "mycorp", "#work", client_keys::TABLE];
    let top = stated(document.as_table()).into_iter().filter(|name| !tables.contains(&name.as_str()));
    assert_eq!(top.collect::<Vec<_>>(), known(schema::TOP));

    let stock = Machine::new().load();
    assert_eq!(config.settings.limits, stock.settings.limits, "it shows the built-in values");
    assert_eq!((config.host, config.port, config.log_level), (stock.host, stock.port, stock.log_level));
}
