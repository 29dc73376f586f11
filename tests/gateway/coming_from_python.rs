//! Compares docs/coming-from-python.md with the program: what it calls the same works, what
//! it calls gone does not, and the page covers everything that the original had.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::gateway::{Gateway, vdm};
use crate::support::upstream::Upstream;

/// The state of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Same,
    Better,
    Replaced,
    NotYet,
    Gone,
}

use State::{Better, Gone, NotYet, Replaced, Same};

/// The tables below a heading: the text of each first column, without its quotes, and the state.
fn rows(heading: &str) -> BTreeMap<String, State> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coming-from-python.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let after = page.split_once(&format!("\n## {heading}\n")).expect(heading).1;
    let section = after.split("\n## ").next().unwrap_or_default();
    let mut rows = BTreeMap::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').splitn(3, " | ").map(str::trim).collect();
        let state = match cells[1] {
            "same" => Same,
            "better" => Better,
            "replaced" => Replaced,
            "not yet" => NotYet,
            "gone" => Gone,
            other => panic!("{line}: {other} is no state"),
        };
        let twice = rows.insert(cells[0].trim_matches('`').to_owned(), state);
        assert!(twice.is_none(), "{} stands there twice", cells[0]);
    }
    assert!(!rows.is_empty(), "{heading} has no table");
    rows
}

fn names(rows: &BTreeMap<String, State>) -> BTreeSet<&str> {
    rows.keys().map(String::as_str).collect()
}

fn is_there(state: State) -> bool {
    matches!(state, Same | Better)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every variable that the original read, and a value of each.
const VARIABLES: &[(&str, &str)] = &[
    ("HOST", "127.0.0.1"),
    ("PORT", "8082"),
    ("LOG_LEVEL", "INFO"),
    ("VDM_STRICT_PROFILE_VALIDATION", "true"),
    ("VDM_DEFAULT_PROVIDER", "poe"),
    ("PROXY_API_KEY", "sk-gateway"),
    ("REQUEST_TIMEOUT", "90"),
    ("MAX_RETRIES", "2"),
    ("STREAMING_READ_TIMEOUT_SECONDS", "60.5"),
    ("STREAMING_CONNECT_TIMEOUT_SECONDS", "30"),
    ("LOG_REQUEST_METRICS", "true"),
    ("LOG_SUMMARY_INTERVAL", "100"),
    ("MAX_TOKENS_LIMIT", "4096"),
    ("MIN_TOKENS_LIMIT", "100"),
    ("VDM_ACTIVE_REQUESTS_SSE_ENABLED", "true"),
    ("VDM_ACTIVE_REQUESTS_SSE_INTERVAL", "0.5"),
    ("VDM_ACTIVE_REQUESTS_SSE_HEARTBEAT", "30"),
    ("CACHE_DIR", "~/.cache/vandamme-proxy"),
    ("MODELS_CACHE_ENABLED", "yes"),
    ("MODELS_CACHE_TTL_HOURS", "24"),
    ("ALIAS_CACHE_TTL_SECONDS", "300"),
    ("ALIAS_CACHE_MAX_SIZE", "1000"),
    ("ALIAS_MAX_CHAIN_LENGTH", "10"),
    ("GEMINI_THOUGHT_SIGNATURES_ENABLED", "true"),
    ("THOUGHT_SIGNATURE_MAX_CACHE_SIZE", "10000"),
    ("THOUGHT_SIGNATURE_CACHE_TTL", "3600"),
    ("THOUGHT_SIGNATURE_CLEANUP_INTERVAL", "300"),
    ("TOP_MODELS_SOURCE", "openrouter"),
    ("TOP_MODELS_RANKINGS_FILE", "best.toml"),
    ("TOP_MODELS_TIMEOUT_SECONDS", "5"),
    ("TOP_MODELS_EXCLUDE", "preview, beta"),
    ("CUSTOM_HEADER_{X_Y}", "v"),
    ("{PROVIDER}_API_KEY", "sk-1 sk-2"),
    ("{PROVIDER}_BASE_URL", "https://poe.example/v1"),
    ("{PROVIDER}_API_FORMAT", "openai"),
    ("{PROVIDER}_API_VERSION", ""),
    ("{PROVIDER}_AUTH_MODE", "api_key"),
    ("{PROVIDER}_MODELS_URL", "https://poe.example/models"),
    ("{PROVIDER}_MODEL_PAGE", "https://poe.example/{id}"),
    ("{PROVIDER}_CUSTOM_HEADER_{X_Y}", "v"),
    ("{PROVIDER}_ALIAS_{NAME}", "gpt-5"),
    ("HTTP_PROXY", "http://127.0.0.1:9"),
    ("HTTPS_PROXY", "http://127.0.0.1:9"),
    ("ALL_PROXY", "http://127.0.0.1:9"),
    ("NO_PROXY", "localhost"),
    ("SSL_CERT_FILE", ""),
    ("SSL_CERT_DIR", ""),
    ("OPENAI_ORG_ID", "org"),
    ("OPENAI_PROJECT_ID", "proj"),
    ("CHATGPT_LOCAL_HOME", "/nowhere"),
    ("CODEX_HOME", "/nowhere"),
    ("BROWSER", "firefox"),
    ("VIRTUAL_ENV", "/nowhere"),
    ("UV_ACTIVE", "1"),
    ("PYTEST_CURRENT_TEST", ""),
];

/// The environment of a user with a key for Poe.
fn written(name: &str) -> String {
    name.replace("{PROVIDER}", "POE").replace("{X_Y}", "X_Y").replace("{NAME}", "FAST")
}

#[test]
fn every_variable_of_the_original_has_its_documented_state() {
    let page = rows("Variables");
    let had: BTreeSet<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names(&page), had);
    let env = vdm(&["config", "env", "--json"], &[], "");
    let documented: Vec<serde_json::Value> = serde_json::from_slice(&env.stdout).expect("JSON");
    let documented: Vec<&str> = documented.iter().filter_map(|variable| variable["name"].as_str()).collect();
    let read: BTreeSet<&str> = documented.iter().flat_map(|names| names.split(", ")).collect();
    for (name, state) in &page {
        assert_eq!(read.contains(name.as_str()), is_there(*state), "{name} is {state:?}");
    }
}

#[test]
fn an_environment_of_the_original_starts_and_reports_what_has_no_effect() {
    let page = rows("Variables");
    let set: Vec<(String, &str)> = VARIABLES.iter().map(|(name, value)| (written(name), *value)).collect();
    let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let output = vdm(&["config", "validate", "--json"], &set, "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(verdict["providers"], serde_json::json!(["poe"]));
    let told: BTreeSet<&str> = verdict["warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|warning| warning.as_str()?.strip_prefix("environment variable ")?.split(':').next())
        .collect();
    // Variables that only libraries or OAuth used are not reported.
    let of_others =
        ["BROWSER", "CHATGPT_LOCAL_HOME", "CODEX_HOME", "PYTEST_CURRENT_TEST", "UV_ACTIVE", "VIRTUAL_ENV"];
    let idle = page.iter().filter(|(name, state)| !is_there(**state) && !of_others.contains(&name.as_str()));
    let idle: Vec<String> = idle.map(|(name, _)| written(name)).collect();
    assert_eq!(told, idle.iter().map(String::as_str).collect());
}

/// Every key of the original's files, and a value of each.
const KEYS: &[(&str, &str)] = &[
    ("[defaults] default-provider", "'mycorp'"),
    ("[defaults] timeout", "90"),
    ("[defaults] max-retries", "3"),
    ("[defaults] aliases", "{ Quick = 'openai:m' }"),
    ("[mycorp] api-key", "'sk-1 sk-2'"),
    ("[mycorp] base-url", "'https://llm.example/v1'"),
    ("[mycorp] api-format", "'openai'"),
    ("[mycorp] api-version", "'2024-10-21'"),
    ("[mycorp] auth-mode", "'passthrough'"),
    ("[mycorp] timeout", "60"),
    ("[mycorp] max-retries", "2"),
    ("[mycorp] tool-name-sanitization", "true"),
    ("[mycorp] models-url", "'https://llm.example/models'"),
    ("[mycorp] model-page", "'https://llm.example/{id}'"),
    ("[mycorp] aliases", "{ HAIKU = 'small' }"),
    ("[\"#work\"] timeout", "100"),
    ("[\"#work\"] max-retries", "4"),
    ("[\"#work\"] aliases", "{ haiku = 'mycorp:haiku' }"),
];

#[test]
fn every_key_of_the_originals_files_has_its_documented_state() {
    let page = rows("Keys of the files");
    assert_eq!(names(&page), KEYS.iter().map(|(key, _)| *key).collect());
    for (key, value) in KEYS {
        let (section, name) = key.rsplit_once(' ').expect("a section and a key");
        let file = format!("{section}\n{name} = {value}\n");
        // A base URL without a key has no effect.
        let set: &[(&str, &str)] = if name == "base-url" { &[("MYCORP_API_KEY", "k")] } else { &[] };
        let output = vdm(&["config", "validate"], set, &file);
        let told = text(&output.stderr);
        assert!(output.status.success(), "{key}: {told}");
        assert_eq!(told.contains("has no effect"), !is_there(page[*key]), "{key}: {told}");
        let shown = text(&vdm(&["config", "show"], &[], &file).stdout);
        let place = shown.lines().filter(|line| line.contains("work") || line.contains(name));
        let ours = place.filter(|line| line.contains("vandamme-config.toml:2:")).count();
        assert_eq!(ours > 0, is_there(page[*key]), "{key}: {shown}");
    }
}

/// Every command and option of the original.
const COMMANDS: &[&str] = &[
    "vdm version",
    "vdm server start",
    "vdm server start --host",
    "vdm server start --port",
    "vdm server start --reload",
    "vdm server start --daemon",
    "vdm server start --pid-file",
    "vdm server start --systemd",
    "vdm server stop",
    "vdm server restart",
    "vdm server status",
    "vdm config show",
    "vdm config validate",
    "vdm config env",
    "vdm config setup",
    "vdm config reload-profiles",
    "vdm health server --json",
    "vdm health server --host",
    "vdm health server --port",
    "vdm health upstream --json",
    "vdm models top --base-url",
    "vdm models top --limit",
    "vdm models top --refresh",
    "vdm models top --provider",
    "vdm models top --sub-provider",
    "vdm models top --json",
    "vdm test connection",
    "vdm test providers",
    "vdm oauth login",
    "vdm oauth status",
    "vdm oauth logout",
    "vdm wrap claude",
    "vdm wrap gemini",
    "vdm wrap --port",
    "vdm wrap --host",
    "vdm wrap --dry-run",
    "vdm --verbose",
    "vdm -v",
    "vdm --config",
    "vdm -c",
    "vdm --install-completion",
    "vdm --show-completion",
];

#[test]
fn every_command_of_the_original_has_its_documented_state() {
    let page = rows("Commands");
    assert_eq!(names(&page), COMMANDS.iter().copied().collect());
    for (command, state) in &page {
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        if is_there(*state) {
            let own: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
            let output = vdm(&[&own[..], &["--help"]].concat(), &[], "");
            let help = text(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{command}");
            for option in words.iter().filter(|word| word.starts_with('-')) {
                let is_it = |word: &str| word.trim_matches([',', ' ']) == *option;
                assert!(help.split_whitespace().any(is_it), "{command}: {help}");
            }
        } else {
            let output = vdm(&words, &[], "");
            let told = text(&output.stderr);
            assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{command}");
            assert!(told.starts_with("vdm: ") && told.lines().count() == 1, "{command}: {told}");
        }
    }
}

/// Every endpoint of the original.
const ENDPOINTS: &[&str] = &[
    "POST /v1/messages",
    "POST /v1/messages/count_tokens",
    "POST /v1/chat/completions",
    "GET /v1/models",
    "GET /v1/aliases",
    "GET /profiles",
    "GET /top-models",
    "GET /health",
    "GET /test-connection",
    "GET /",
    "GET /metrics/running-totals",
    "GET /metrics/active-requests",
    "GET /metrics/active-requests/stream",
    "GET /metrics/logs",
    "GET /docs",
    "GET /redoc",
    "GET /openapi.json",
    "GET /dashboard/",
];

#[test]
fn every_endpoint_of_the_original_has_its_documented_state() {
    let page = rows("Endpoints");
    assert_eq!(names(&page), ENDPOINTS.iter().copied().collect());
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for (endpoint, state) in &page {
        let (method, path) = endpoint.split_once(' ').expect("a method and a path");
        // Reads only the beginning, because a stream may have no end.
        let status = gateway.call(method, path).body("").open().status();
        assert_eq!(status != 404, is_there(*state), "{endpoint}: {status}");
    }
}

#[test]
fn every_file_of_the_original_has_a_state() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coming-from-python.md"))
            .expect("the page");
    let files = page.split_once("\n## Files\n").expect("files").1;
    for file in [
        "`.env`",
        "`~/.config/vandamme-proxy/vandamme-config.toml`",
        "`./vandamme-config.toml`",
        "`~/.cache/vandamme-proxy/models/…/models-….json`",
        "`TOP_MODELS_RANKINGS_FILE`",
        "`~/.vandamme/oauth/…/auth.json`",
        "`~/.vdm.pid`",
        "`/dev/log`",
        "`Dockerfile`",
        "`docker-compose.yml`",
        "`examples/claude.vdm`",
        "`pip install vandamme-proxy`",
    ] {
        let line = files.lines().find(|line| line.starts_with('|') && line.contains(file));
        let state = line.and_then(|line| line.split(" | ").nth(1)).map(str::trim);
        let known = ["same", "better", "replaced", "not yet", "gone"];
        assert!(state.is_some_and(|state| known.contains(&state)), "{file}: {line:?}");
    }
}
