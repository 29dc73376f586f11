//! The layers: files, variables and defaults, and which of them wins.

use log::LevelFilter;

use super::*;

/// Deviates from the original ("Start with one key and stock defaults (BUG-13, 4). 2. `!literal` (1). 3. Default
/// profile and `VDM_DEFAULT_PROVIDER=openai` (2, 3)"): 127.0.0.1, no clamp, its own deadlines; the rest holds.
/// Requirement: Given `OPENAI_API_KEY=k`, then provider openai is registered with `https://api.openai.com/v1`.
/// Requirement: A package profile whose provider is missing never blocks startup.
#[test]
fn one_key_and_the_defaults_are_enough_to_start() {
    let config = Machine::with(&[("OPENAI_API_KEY", "k")]).load();

    assert_eq!((config.host.as_str(), config.port), ("127.0.0.1", 8082));
    assert_eq!((config.log.level, config.log.level_word.as_str()), (LevelFilter::Info, "INFO"));
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
fn the_limits_have_their_designed_defaults() {
    let limits = Machine::new().load().settings.limits;

    assert_eq!((limits.request_body, limits.whole_reply), (32 << 20, 64 << 20));
    assert_eq!((limits.event, limits.client_channel, limits.body_min_rate), (16 << 20, 64 << 10, 1024));
    assert_eq!((limits.before_first_event, limits.event_min_rate), (64 << 10, 1024));
    assert_eq!((limits.connections, limits.in_flight, limits.provider_in_flight), (10_000, 4_096, 4_096));
    assert_eq!((limits.provider_queue, limits.provider_queue_wait), (256, Duration::from_secs(5)));
    assert_eq!(limits.total_timeout, None);
    assert_eq!(limits.whole_timeout, Some(Duration::from_secs(600)));
    assert_eq!(limits.watch_interval, Duration::from_millis(250));
}

/// Requirement: Given `PORT=" 8082 "`, then port is 8082.
/// Requirement: Given `./.env` with `PORT=9000` and no PORT in the environment, then port is 9000; with
/// `PORT=9001` in the environment, 9001.
#[test]
fn each_layer_overrides_the_ones_before() {
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
fn timeouts_and_retries_of_variables_override_the_providers_own() {
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
fn the_originals_variables_set_the_store_of_thought_signatures() {
    let stock = Machine::new().load().settings.limits.signatures;
    let second = Duration::from_secs(1);
    assert_eq!((stock.entries, stock.ttl, stock.sweep), (10_000, 3_600 * second, 300 * second));

    let config = Machine::with(&[
        ("POE_API_KEY", "k"),
        ("GEMINI_THOUGHT_SIGNATURES_ENABLED", "false"),
        ("THOUGHT_SIGNATURE_MAX_CACHE_SIZE", "7"),
        ("THOUGHT_SIGNATURE_CACHE_TTL", "1.5"),
        ("THOUGHT_SIGNATURE_CLEANUP_INTERVAL", "2"),
    ])
    .toml("[limits]\nsignatures = 8")
    .load();
    let signatures = config.settings.limits.signatures;
    assert_eq!((signatures.entries, signatures.ttl, signatures.sweep), (7, second * 3 / 2, 2 * second));
    assert!(!provider(&config, "poe").dialect.extras);

    let wrong = [("THOUGHT_SIGNATURE_MAX_CACHE_SIZE", "0"), ("THOUGHT_SIGNATURE_CACHE_TTL", "0")];
    assert_eq!(Machine::with(&wrong).mistakes().len(), 2);
}

#[test]
fn unrelated_variables_have_no_effect() {
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
