//! The commands that call providers, on the built binary: their output and their exit codes.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::gateway::{free_port, fresh_directory};
use crate::support::upstream::{Answer, Upstream};

const LIST: &str = r#"{"data":[{"id":"m-1","name":"Em One","created":1700000000},
    {"id":"vendor/m-2","name":"Em Two, which has so long a name that no line of eighty columns holds it\u001b[31m",
     "context_length":200000,"pricing":{"prompt":"0.00001","completion":"0.00003"},"tags":["text","image"]}]}"#;

/// A user whose home is also the working directory. Both are removed when this is dropped.
struct User {
    directory: PathBuf,
    environment: Vec<(String, String)>,
}

impl User {
    fn new() -> Self {
        Self { directory: fresh_directory(), environment: vec![] }
    }

    fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    fn file(self, path: &str, content: &str) -> Self {
        std::fs::write(self.directory.join(path), content).expect("a writable directory");
        self
    }

    /// The environment: a key for `openai`, which is this upstream, and one for `zai`, which is unreachable.
    fn of(upstream: &Upstream) -> Self {
        Self::new()
            .env("OPENAI_API_KEY", "sk-canary-1")
            .env("OPENAI_BASE_URL", upstream.base_url())
            .env("MAX_RETRIES", "0")
    }

    fn with_nobody(self) -> Self {
        self.env("ZAI_API_KEY", "sk-canary-2")
            .env("ZAI_BASE_URL", format!("http://127.0.0.1:{}", free_port()))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(&self.directory).env("HOME", &self.directory);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Without a terminal.
    fn vdm(&self, line: &str) -> Told {
        let output = self.command(env!("CARGO_BIN_EXE_vdm")).args(line.split(' ')).output();
        Told::of(&output.expect("vdm is built"))
    }

    /// On a terminal of 80 columns. Both streams arrive as one.
    fn on_a_terminal(&self, line: &str) -> Told {
        let line = format!("stty cols 80 rows 24; {} {line}", env!("CARGO_BIN_EXE_vdm"));
        let mut script = self.command("script");
        let output = script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").output();
        Told::of(&output.expect("script, of util-linux, is there"))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.directory);
    }
}

/// The output of a command, and its exit code.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Told {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told =
            Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
        assert!(!told.stdout.contains("canary") && !told.stderr.contains("canary"), "{told:?}");
        assert!(!told.stderr.contains("panicked"), "{told:?}");
        told
    }

    fn all(&self) -> (Option<i32>, &str, &str) {
        (self.code, &self.stdout, &self.stderr)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn listing(upstream: Upstream) -> Upstream {
    upstream.ruled_first(|seen| seen.target().contains("/models").then(|| Answer::json(200, LIST)))
}

#[test]
fn models_list_prints_names_that_requests_can_use() {
    let upstream = listing(Upstream::openai());
    let user = User::of(&upstream);
    let expected = "MODEL              CREATED     NAME\n\
                    openai:m-1         2023-11-14  Em One\n\
                    openai:vendor/m-2              Em Two, which has so long a name that no line of eighty columns holds it?[31m\n";
    assert_eq!(user.vdm("models list").all(), (Some(0), expected, ""));
    // The next process uses the cached list, unless it must not.
    assert_eq!(user.vdm("models list --provider OPENAI").all(), (Some(0), expected, ""));
    assert_eq!(upstream.count(), 1);
    let json = user.vdm("models list --refresh --json").json();
    assert_eq!(upstream.count(), 2);
    assert_eq!(
        json["models"][0],
        json!({"model": "openai:m-1", "provider": "openai", "id": "m-1", "display_name": "Em One",
            "created_at": "2023-11-14T22:13:20Z"})
    );
    assert_eq!(json["errors"], json!([]));
    let user = user.env("OPENAI_MODEL_PAGE", "https://models.example/{id}?name={display_name}");
    let json = user.vdm("models list --json").json();
    assert_eq!(json["models"][0]["page"], "https://models.example/m-1?name=Em%20One");
}

#[test]
fn models_list_names_providers_that_do_not_answer_or_are_unknown() {
    let upstream = listing(Upstream::openai());
    let user = User::of(&upstream)
        .with_nobody()
        .env("PT_API_KEY", "!PASSTHRU")
        .env("PT_BASE_URL", "http://127.0.0.1:9");
    let told = user.vdm("models list");
    assert_eq!((told.code, told.stdout.lines().count()), (Some(1), 3), "{told:?}");
    assert!(told.stderr.starts_with("vdm: pt needs a key from each client"), "{told:?}");
    assert!(
        told.stderr.contains("\nvdm: zai: Failed to list models: provider 'zai' could not be reached at "),
        "{told:?}"
    );
    let json = user.vdm("models list --json");
    assert_eq!(
        (json.code, &json.json()["errors"][0]["provider"], &json.json()["skipped"]),
        (Some(1), &json!("zai"), &json!(["pt"]))
    );

    let known = "the providers are openai, zai, pt";
    assert_eq!(
        user.vdm("models list -p opnai").all(),
        (Some(1), "", format!("vdm: unknown provider 'opnai': {known}; did you mean 'openai'?\n").as_str())
    );
    assert_eq!(
        user.vdm("models list -p xyz").all(),
        (Some(1), "", format!("vdm: unknown provider 'xyz': {known}\n").as_str())
    );
    let keyless = user.vdm("models list -p poe");
    assert_eq!(keyless.all(), (Some(1), "", "vdm: provider 'poe' has no key: set POE_API_KEY and restart\n"));
}

#[test]
fn models_list_marks_an_old_list() {
    let upstream = Upstream::openai().answering(Answer::json(200, LIST)).answering(Answer::json(503, "{}"));
    let user = User::of(&upstream);
    assert_eq!(user.vdm("models list").code, Some(0));
    let told = user.vdm("models list --refresh");
    assert_eq!((told.code, told.stdout.lines().count()), (Some(0), 3), "{told:?}");
    assert!(told.stderr.starts_with("vdm: openai does not answer; showing its list of 20"), "{told:?}");
}

#[test]
fn on_a_terminal_lines_fit_and_headings_are_bold() {
    let upstream = listing(Upstream::openai());
    let user = User::of(&upstream);
    let told = user.on_a_terminal("models list");
    // The end of the progress line, which named the provider that was waited for.
    let shown = told.stdout.rsplit("\u{1b}[K").next().unwrap_or_default();
    assert!(told.stdout.contains("waiting for openai"), "{told:?}");
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 3, "{told:?}");
    assert_eq!(lines[0], "\u{1b}[1mMODEL              CREATED     NAME\u{1b}[0m");
    assert_eq!(lines[2], "openai:vendor/m-2              Em Two, which has so long a name that no line of…");
    assert_eq!(lines[2].chars().count(), 80);
    let plain = user.env("NO_COLOR", "1").on_a_terminal("models list");
    assert!(!plain.stdout.contains("\u{1b}[1m") && plain.stdout.contains("MODEL  "), "{plain:?}");
}

/// Deviates from the original ("`vdm models top --limit 51` → exit 2. unreachable server → one line, exit 1"): it
/// asks the catalogue itself, with no server; the rest holds.
#[test]
fn models_top_must_be_enabled_and_suggests_aliases() {
    let upstream = listing(Upstream::openai());
    let unwanted = User::of(&upstream).vdm("models top");
    assert_eq!(
        unwanted.all(),
        (
            Some(1),
            "",
            "vdm: recommended models are off: set TOP_MODELS_SOURCE=openrouter, or OPENROUTER_API_KEY, or TOP_MODELS_RANKINGS_FILE with TOP_MODELS_SOURCE=manual_rankings\n"
        )
    );
    assert_eq!(upstream.count(), 0);

    let user = User::of(&upstream)
        .env("TOP_MODELS_SOURCE", "openrouter")
        .env("OPENROUTER_BASE_URL", upstream.base_url());
    let told = user.vdm("models top");
    let expected = "MODEL                  CONTEXT  $/M IN  $/M OUT  $/M AVG  CAPABILITIES\n\
                    openrouter:m-1\n\
                    openrouter:vendor/m-2  200000   10.000  30.000   20.000   text,image\n\
                    \n\
                    SUGGESTED    MODEL\n\
                    top          m-1\n\
                    top-cheap    vendor/m-2\n\
                    top-longctx  vendor/m-2\n";
    assert_eq!(told.all(), (Some(0), expected, ""));
    let json = user.vdm("models top --json --limit 1 --sub-provider vendor");
    assert_eq!(json.json()["models"][0]["id"], "vendor/m-2");
    assert_eq!((json.json()["cached"].clone(), upstream.count()), (json!(true), 1));
    assert_eq!(user.vdm("models top --limit 51").code, Some(2));

    let nobody = format!("http://127.0.0.1:{}", free_port());
    let told = User::of(&upstream)
        .env("TOP_MODELS_SOURCE", "openrouter")
        .env("OPENROUTER_BASE_URL", nobody)
        .vdm("models top");
    assert_eq!((told.code, told.stdout.as_str(), told.stderr.lines().count()), (Some(1), "", 1), "{told:?}");
}

#[test]
fn aliases_of_the_demo_are_listed_while_it_runs() {
    let told = User::new().vdm("aliases -p demo");
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stdout.contains("demo:sonnet  demo-1      demo:demo-1\n"), "{told:?}");
}

#[test]
fn aliases_lists_the_targets_without_calling_a_provider() {
    let user = User::new().env("OPENAI_API_KEY", "sk-canary-1").env("OPENAI_ALIAS_FAR", "poe:x");
    let expected = "ALIAS           STANDS FOR     LEADS TO\n\
                    openai:extract  gpt-4o         openai:gpt-4o\n\
                    openai:fable    gpt-6.2-astra  openai:gpt-6.2-astra\n\
                    openai:far      poe:x          nowhere: provider 'poe' has no key: set POE_API_KEY and restart\n\
                    openai:haiku    gpt-6-luna     openai:gpt-6-luna\n\
                    openai:opus     gpt-6.2-astra  openai:gpt-6.2-astra\n\
                    openai:sonnet   gpt-6.1-sol    openai:gpt-6.1-sol\n";
    assert_eq!(user.vdm("aliases --provider openai").all(), (Some(0), expected, ""));
    let json = user.vdm("aliases --json").json();
    let rows = json.as_array().expect("a list");
    let find =
        |name: &str| rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(
        find("openai:haiku"),
        &json!({"name": "openai:haiku", "owner": "openai", "kind": "provider", "target": "gpt-6-luna",
            "leads_to": "openai:gpt-6-luna"})
    );
    assert_eq!(find("top:haiku")["kind"], "profile");
    assert!(find("top:haiku")["error"].as_str().is_some_and(|why| why.contains("ZAI_API_KEY")));
    let nobody = user.vdm("aliases -p openia");
    assert_eq!((nobody.code, nobody.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        nobody.stderr,
        "vdm: no provider or profile is called 'openia', but main, openai, top; did you mean 'openai'?\n"
    );
}

#[test]
fn explain_uses_the_cached_lists_of_models() {
    let list = r#"{"data":[{"id":"docs-writer"}]}"#;
    let upstream = Upstream::openai().always(Answer::json(200, list));
    let user = User::of(&upstream).env("OPENAI_ALIAS_DOCS", "ds");
    assert!(user.vdm("explain openai:docs-writer").stdout.ends_with("→ openai:ds\n"));
    assert_eq!(user.vdm("models list").code, Some(0));
    let told = user.vdm("explain openai:docs-writer");
    assert!(
        told.stdout.contains("the provider lists this model")
            && told.stdout.ends_with("→ openai:docs-writer\n"),
        "{told:?}"
    );
}

#[test]
fn test_connection_calls_one_provider_or_all() {
    let upstream = Upstream::openai();
    let user = User::of(&upstream).with_nobody();
    let told = user.vdm("test connection --json");
    let json = told.json();
    assert_eq!(
        (told.code, &json[0]["status"], &json[0]["model"]),
        (Some(0), &json!("success"), &json!("openai:haiku"))
    );
    assert_eq!(upstream.only_request().json()["model"], "gpt-6-luna");

    let told = user.vdm("test connection --all");
    assert_eq!((told.code, told.stderr.as_str()), (Some(1), ""));
    let lines: Vec<_> = told.stdout.lines().collect();
    assert!(lines[1].starts_with("openai:haiku  ") && lines[1].ends_with(" ms  answers"), "{told:?}");
    assert!(lines[2].contains("failed (502): provider 'zai' could not be reached"), "{told:?}");

    let named = user.vdm("test connection -p openai -m m-9");
    assert_eq!((named.code, upstream.request(2).json()["model"].as_str()), (Some(0), Some("m-9")));
    assert_eq!(user.vdm("test connection --all -p zai").code, Some(2));
    assert_eq!(user.vdm("test connection -p nobody").code, Some(1));
}

#[test]
fn testing_a_provider_does_not_use_its_fallback() {
    let upstream = Upstream::openai();
    let toml = "[zai.fallbacks]\n'*' = ['openai:m-2']\n['#team'.aliases]\nfast = 'zai:x'\n['#team'.fallbacks]\nfast = ['openai:m-2']";
    let user = User::of(&upstream).with_nobody().file("vandamme-config.toml", toml);
    let told = user.vdm("test connection -p zai");
    assert_eq!(told.code, Some(1), "{told:?}");
    let told = user.vdm("test models zai:x --json");
    assert_eq!((told.code, &told.json()[0]["leads_to"]), (Some(1), &json!("zai:x")), "{told:?}");
    assert_eq!(upstream.count(), 0);
    let told = user.vdm("aliases -p team");
    assert!(told.stdout.ends_with("team:fast  zai:x       zai:x, then openai:m-2\n"), "{told:?}");
}

#[test]
fn test_models_tests_the_names_that_clients_use() {
    let upstream = Upstream::openai();
    let user = User::of(&upstream);
    let told = user.vdm("test models");
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    let lines: Vec<_> = told.stdout.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[1].starts_with("haiku ") && lines[1].ends_with("answers as openai:gpt-6-luna"), "{told:?}");
    assert_eq!(upstream.count(), 3);

    let told = user.vdm("test models m-1 nobody:x --json");
    let json = told.json();
    assert_eq!(
        (told.code, &json[0]["leads_to"], &json[1]["status"]),
        (Some(1), &json!("openai:m-1"), &json!("failed"))
    );
    assert_eq!(json[1]["upstream_status"], 404);
}

#[test]
fn test_providers_lists_the_configuration_without_calling_a_provider() {
    let user = User::new()
        .env("OPENAI_API_KEY", "sk-canary-1 sk-canary-2")
        .env("FOO_API_KEY", "k")
        .env("PT_API_KEY", "!PASSTHRU")
        .env("PT_BASE_URL", "http://h/v1");
    let told = user.vdm("test providers");
    let ids =
        ["sk-canary-1", "sk-canary-2"].map(|key| vandamme_actors::secret::ApiKey::new(key).id().to_string());
    let expected = format!(
        "PROVIDER  STATUS            FORMAT             KEYS               BASE URL\n\
         openai *  ready             openai, responses  {} {}  https://api.openai.com/v1\n\
         pt        passthrough       openai                                http://h/v1\n\
         foo       set FOO_BASE_URL\n",
        ids[0], ids[1]
    );
    assert_eq!(told.all(), (Some(0), expected.as_str(), "* takes model names without a prefix\n"));
    let json = user.vdm("test providers --json").json();
    assert_eq!((&json[0]["default"], &json[2]["missing"]), (&json!(true), &json!("FOO_BASE_URL")));
    let none = User::new().vdm("test providers");
    assert_eq!(
        none.all(),
        (Some(1), "", "vdm: no provider is configured; set OPENAI_API_KEY, ANTHROPIC_API_KEY or another\n")
    );
}

/// Requirement: `vdm health upstream` with `VDM_DEFAULT_PROVIDER=zai` and no `ZAI_BASE_URL` contacts zai's base
/// URL, never api.openai.com.
#[test]
fn health_upstream_uses_the_keys_like_requests_do() {
    let upstream = listing(Upstream::openai().refusing("sk-canary-dead"));
    let user = User::of(&upstream).env("OPENAI_API_KEY", "sk-canary-1").with_nobody();
    let told = user.vdm("health upstream");
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    let lines: Vec<_> = told.stdout.lines().collect();
    assert!(lines[1].starts_with("openai    healthy  ") && lines[1].ends_with("  2 models"), "{told:?}");
    assert_eq!(upstream.keys_seen(), ["sk-canary-1"]);

    let told = user.vdm("health upstream --all --json");
    let json = told.json();
    assert_eq!(
        (told.code, &json[0]["status"], &json[1]["status"]),
        (Some(1), &json!("healthy"), &json!("error"))
    );
    assert!(json[0]["api_keys"][0].as_str().is_some_and(|id| id.starts_with("sha256:")), "{json}");
    // A cached list does not prove that the provider works.
    assert_eq!(upstream.count(), 2);

    // The provider repeats the key that it refuses. The output must not contain it.
    let refusal = r#"{"error":{"message":"incorrect key sk-canary-1"}}"#;
    let refused = Upstream::openai().always(Answer::json(401, refusal));
    for line in ["models list", "test connection", "test models --json"] {
        assert_eq!(User::of(&refused).vdm(line).code, Some(1), "{line}");
    }
    let told = User::of(&refused).vdm("health upstream");
    assert_eq!(told.code, Some(1));
    assert!(told.stdout.contains("error") && told.stdout.contains("(401)"), "{told:?}");
}

#[test]
fn without_any_key_the_demo_is_used() {
    let told = User::new().vdm("models list");
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    assert!(told.stdout.contains("demo:demo-1"), "{told:?}");
    assert_eq!(User::new().vdm("test connection").code, Some(0));
}

#[test]
fn a_wrong_configuration_is_reported_before_any_call() {
    let upstream = listing(Upstream::openai());
    let user = User::of(&upstream).env("PORT", "x");
    for line in [
        "models list",
        "models top",
        "aliases",
        "test connection",
        "test models",
        "test providers",
        "health upstream",
    ] {
        let told = user.vdm(line);
        assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""), "{line}");
        assert!(told.stderr.starts_with("vdm: environment variable PORT: "), "{told:?}");
    }
    assert_eq!(upstream.count(), 0);
}
