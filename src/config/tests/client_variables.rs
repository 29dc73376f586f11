//! The variables of a client in the same shell, and what lower layers say of that provider.

use super::*;

/// The only warning.
fn warning(machine: &Machine) -> String {
    let warnings = machine.warnings();
    let [warning] = &warnings[..] else { panic!("{warnings:#?}") };
    warning.clone()
}

#[test]
fn a_clients_variables_in_the_same_shell_do_not_register_a_provider() {
    for (name, url) in [("ANTHROPIC", "http://localhost:8082"), ("OPENAI", "http://127.0.0.1:8082/v1")] {
        let (key_name, url_name) = (format!("{name}_API_KEY"), format!("{name}_BASE_URL"));
        for key in ["any", "proxy-auth-required", "the-key-of-this-gateway"] {
            let machine = Machine::with(&[
                (&key_name, key),
                (&url_name, url),
                ("PROXY_API_KEY", "the-key-of-this-gateway"),
                ("MINE_API_KEY", "k"),
                ("MINE_BASE_URL", "http://mine/v1"),
                ("MINE_ALIAS_HAIKU", "m"),
                ("MINE_ALIAS_SONNET", "m"),
                ("MINE_ALIAS_OPUS", "m"),
            ]);
            assert_eq!(names(&machine.load()), ["mine"], "{name} {key}");
            assert_eq!(machine.default_provider().as_deref(), Some("mine"));
            let told = warning(&machine);
            assert!(told.starts_with(&format!("environment variable {url_name}: this is the gateway's own address, and {key_name} is no vendor's key")), "{told}");
        }
        let machine = Machine::with(&[(&key_name, KEY_OF_A_VENDOR), (&url_name, url)]);
        assert_eq!(
            names(&machine.load()),
            [name.to_lowercase()],
            "a vendor's key is used at the vendor's address"
        );
        let machine = Machine::with(&[(&key_name, "any"), (&url_name, "http://elsewhere:1/v1")]);
        assert_eq!(names(&machine.load()), [name.to_lowercase()]);
    }
}

/// What a provider consists of: its base URL and its keys.
fn parts(machine: &Machine, name: &str) -> (String, Vec<String>) {
    let config = machine.load();
    let found = provider(&config, name);
    (found.base_url.clone(), found.keys.iter().map(|key| key.expose().to_owned()).collect())
}

#[test]
fn a_clients_variables_do_not_affect_lower_layers() {
    const OWN: &str = "http://localhost:8082/v1";
    let client = |key: &str| Machine::with(&[("OPENAI_API_KEY", key), ("OPENAI_BASE_URL", OWN)]);
    let lab = "base-url = 'http://127.0.0.1:19001/v1'\n";
    let vendor = "https://api.openai.com/v1";
    for (machine, url, key) in [
        (
            client("ollama").toml(&format!("[openai]\n{lab}api-key = 'filekey'")),
            "http://127.0.0.1:19001/v1",
            "filekey",
        ),
        (client("any").toml("[openai]\napi-key = 'filekey'"), vendor, "filekey"),
        (client("any").file("work/.env", "OPENAI_API_KEY=dotkey"), vendor, "dotkey"),
        (
            client("any").file("work/.env", "OPENAI_API_KEY=dotkey\nOPENAI_BASE_URL=http://lab:1/v1"),
            "http://lab:1/v1",
            "dotkey",
        ),
        (client("any").variable("OPENAI_API_KEY_FILE", "keys").file("work/keys", "kept"), vendor, "kept"),
        // A word is the key of a user's own server.
        (client("ollama").toml(&format!("[openai]\n{lab}")), "http://127.0.0.1:19001/v1", "ollama"),
        (client("ollama").file("work/.env", "OPENAI_BASE_URL=http://lab:1/v1"), "http://lab:1/v1", "ollama"),
        (
            client(KEY_OF_A_VENDOR).file("work/.env", "OPENAI_BASE_URL=http://lab:1/v1"),
            "http://lab:1/v1",
            KEY_OF_A_VENDOR,
        ),
    ] {
        assert_eq!(parts(&machine, "openai"), (url.to_owned(), vec![key.to_owned()]));
        let warnings = machine.warnings();
        let told = |warning: &&String| warning.contains("OPENAI_BASE_URL: this is the gateway's own address");
        assert_eq!(warnings.iter().filter(told).count(), 1, "{warnings:?}");
    }
    let own_key = client("gate").variable("PROXY_API_KEY", "gate").toml(&format!("[openai]\n{lab}"));
    assert!(own_key.load().settings.providers.is_empty(), "the gateway's own key never goes upstream");
    let moved = Machine::with(&[
        ("OPENAI_API_KEY", "any"),
        ("OPENAI_BASE_URL", "http://localhost:9/v1"),
        ("PORT", "9"),
    ]);
    assert!(moved.load().settings.providers.is_empty(), "the port may be a variable, too");
}

#[test]
fn a_passthrough_provider_stays_when_its_url_is_a_clients() {
    let url = ("ANTHROPIC_BASE_URL", "http://127.0.0.1:8082");
    let word = Machine::with(&[("ANTHROPIC_API_KEY", "!PASSTHRU"), url]);
    let mode = Machine::with(&[("ANTHROPIC_API_KEY", "any"), ("ANTHROPIC_AUTH_MODE", "passthrough"), url]);
    for machine in [word, mode] {
        let config = machine.load();
        let anthropic = provider(&config, "anthropic");
        assert!(anthropic.passthrough && anthropic.keys.is_empty());
        assert_eq!((anthropic.base_url.as_str(), config.demo), ("https://api.anthropic.com", DemoMode::Off));
        assert!(warning(&machine).contains("this is the gateway's own address"));
    }
}
