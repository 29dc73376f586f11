//! `vdm config import ccr`: the import of a configuration of claude-code-router, and a gateway that runs on the result.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::client::prompt;
use crate::support::gateway::{Gateway, fresh_directory};
use crate::support::upstream::Upstream;

const USER_FILE: &str = ".config/vandamme-proxy/vandamme-config.toml";
const USER_DOTENV: &str = ".config/vandamme-proxy/.env";

/// A user's home, with a configuration of claude-code-router.
struct Home(PathBuf);

impl Home {
    fn new(config: &str) -> Self {
        let home = Self(fresh_directory());
        home.write(".claude-code-router/config.json", config.as_bytes());
        home
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("below the home")).expect("a writable directory");
        std::fs::write(path, content).expect("a writable directory");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.0.join(name)).expect("it is there").permissions().mode() & 0o777
    }

    fn import(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vdm"));
        command.args(["config", "import", "ccr"]).args(arguments).current_dir(&self.0).env_clear();
        command.env("HOME", &self.0).output().expect("vdm is built")
    }

    /// The errors of an import that must fail.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.import(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
        let text = stderr(&output);
        text.strip_suffix("vdm: nothing was written\n").expect("it says so").to_owned()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Three providers on scripted upstreams, as a user of claude-code-router has them.
fn config(main: &Upstream, small: &Upstream, native: &Upstream) -> String {
    format!(
        r#"{{
  // The full URLs of endpoints, as always.
  "APIKEY": "front-door-0123",
  "Providers": [
    {{ "name": "main.model", "api_base_url": "{}/chat/completions", "api_key": "sk-main-0123456789", "models": ["big-1"],
      "transformer": {{ "use": [["maxtoken", {{ "max_tokens": 512 }}]] }} }},
    {{ "name": "small", "api_base_url": "{}/chat/completions", "api_key": "$SMALL_SECRET", "models": ["tiny:1"] }},
    {{ "name": "native", "api_base_url": "{}/v1/messages", "api_key": "sk-native-0123456789", "models": ["claude-sonnet-x"],
      "transformer": {{ "use": ["Anthropic"] }} }},
  ],
  "Router": {{ "default": "main.model,big-1", "background": "small,tiny:1", "think": "main.model,thinker",
    "longContext": "native,long-1", "longContextThreshold": 2000, "webSearch": "native,finder", "image": "main.model,seer" }},
  "fallback": {{ "default": ["native,claude-sonnet-x"] }},
}}"#,
        main.base_url(),
        small.base_url(),
        native.base_url()
    )
}

/// Requirement: after an import the gateway starts from anywhere, and each scenario reaches its model with its key.
#[test]
fn a_gateway_runs_on_the_result_of_an_import() {
    let (main, small, native) = (Upstream::openai(), Upstream::openai(), Upstream::anthropic());
    let home = Home::new(&config(&main, &small, &native));
    let output = home.import(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!(stdout(&output) + &stderr(&output)).contains("0123"), "{}", stdout(&output));
    assert_eq!((home.mode(USER_FILE), home.mode(USER_DOTENV)), (0o600, 0o600));
    assert!(!home.read(USER_FILE).contains("0123"), "{}", home.read(USER_FILE));

    let gateway = Gateway::bare()
        .env("SMALL_SECRET", "sk-small-0123456789")
        .file(USER_FILE, &home.read(USER_FILE))
        .file(USER_DOTENV, &home.read(USER_DOTENV))
        .start();
    let ask = |model: &str| {
        let call = gateway.messages(&prompt(model, "hi")).header("x-api-key", "front-door-0123");
        assert_eq!(call.reply().status(), 200, "{model}");
    };
    assert_eq!(
        gateway.messages(&prompt("sonnet", "hi")).reply().status(),
        401,
        "the key of APIKEY is required"
    );
    ask("claude-opus-4-1-20250805");
    let seen = main.only_request();
    assert_eq!((seen.key(), &seen.json()["model"]), ("sk-main-0123456789", &Value::from("big-1")));
    let limit = [&seen.json()["max_tokens"], &seen.json()["max_completion_tokens"]].map(Value::as_u64);
    assert!(limit.contains(&Some(512)), "maxtoken: {limit:?}");
    ask("claude-haiku-4-5-20251001");
    let seen = small.only_request();
    assert_eq!((seen.key(), &seen.json()["model"]), ("sk-small-0123456789", &Value::from("tiny:1")));
    ask("native:claude-sonnet-x");
    let seen = native.only_request();
    assert_eq!(
        (seen.key(), &seen.json()["model"]),
        ("sk-native-0123456789", &Value::from("claude-sonnet-x"))
    );
    // The other scenarios, by what the request contains.
    let thinking = serde_json::json!({"thinking": {"type": "enabled", "budget_tokens": 1024}});
    let long = serde_json::json!({"system": "word ".repeat(3000)});
    let search =
        serde_json::json!({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}]});
    let source = serde_json::json!({"type": "base64", "media_type": "image/png", "data": "aGk="});
    let image =
        serde_json::json!({"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]});
    let scenarios = [
        (thinking, &main, "thinker"),
        (long, &native, "long-1"),
        (search, &native, "finder"),
        (image, &main, "seer"),
    ];
    for (members, upstream, model) in scenarios {
        let mut body = prompt("claude-sonnet-4-5", "hi");
        for (name, value) in members.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let before = upstream.count();
        let reply = gateway.messages(&body).header("x-api-key", "front-door-0123").reply();
        assert_eq!(reply.status(), 200, "{model}");
        assert_eq!(upstream.count(), before + 1, "{model}");
        assert_eq!(upstream.request(before).json()["model"], model);
    }
}

/// Requirement: a proxy in `.env` is used; an invalid one is reported with its line, without its text.
#[test]
fn a_proxy_in_dotenv_applies_to_providers() {
    let proxy = Upstream::openai();
    let address = proxy.address();
    let files = format!(
        "ALL_PROXY=http://{address}\nMINE_API_KEY=sk-0123456789\nMINE_BASE_URL=http://llm.example/v1\n"
    );
    let gateway = Gateway::bare().dotenv(&files).start();
    assert_eq!(gateway.messages(&prompt("mine:m", "hi")).reply().status(), 200);
    assert!(
        proxy.only_request().target().starts_with("http://llm.example/v1/"),
        "{}",
        proxy.only_request().target()
    );
    let wrong = Gateway::bare().dotenv("ALL_PROXY=socks5://canary@h\n").run_to_end();
    assert!(wrong.output.contains("/.env:1: ALL_PROXY: expected a proxy"), "{}", wrong.output);
    assert!(!wrong.output.contains("canary"), "{}", wrong.output);
}

/// Requirement: an existing file is replaced only with --force; other lines of `.env` are kept; --dry-run writes nothing.
#[test]
fn nothing_is_overwritten_without_force() {
    let upstream = Upstream::openai();
    let home = Home::new(&config(&upstream, &upstream, &upstream));
    home.write("out/.env", b"OTHER=1\nNATIVE_API_KEY=sk-mine-0123456789\n");
    let arguments = ["--output", "out/vdm.toml"];
    let dry = home.import(&[&arguments[..], &["--dry-run"]].concat());
    assert!(
        stdout(&dry).contains("[\"#ccr\".aliases]") && stderr(&dry).contains("taken"),
        "{}",
        stderr(&dry)
    );
    assert!(home.read("out/vdm.toml").is_empty());

    let refusal = home.refused(&arguments);
    assert!(
        refusal.ends_with("/out/.env already has another NATIVE_API_KEY; use --force to replace it\n"),
        "{refusal}"
    );
    assert!(home.read("out/vdm.toml").is_empty());
    let output = home.import(&[&arguments[..], &["--force", "--json"]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!(
        (&report["written"], &report["settings"][0]["outcome"]),
        (&Value::Bool(true), &Value::from("taken"))
    );
    assert!(
        report["start"].as_str().is_some_and(|start| start.ends_with("vdm server start --config 'vdm.toml'"))
    );
    let dotenv = home.read("out/.env");
    assert!(dotenv.starts_with("OTHER=1\nNATIVE_API_KEY=sk-native-0123456789\n"), "{dotenv}");
    assert!(dotenv.contains("SMALL_API_KEY=\"${SMALL_SECRET}\"\n"), "{dotenv}");
    let refusal = home.refused(&arguments);
    assert!(refusal.contains("out/vdm.toml exists; use --force to replace it"), "{refusal}");
}

/// Requirement: a file that is no configuration is refused in one line that says why.
#[test]
fn a_file_that_cannot_be_imported_is_refused_in_one_line() {
    let home = Home::new("{\n  \"Providers\": [ sk-canary ]\n}");
    home.write("big.json", &vec![b' '; 50 << 20]);
    home.write("bytes.json", b"{\"a\": \"\xff\"}");
    for (path, expected) in [
        (
            ".claude-code-router/config.json",
            "config.json:2: column 18: this is not JSON: expected a value; text needs quotes\n",
        ),
        ("big.json", "big.json is larger than 1 MiB, so it is no configuration of claude-code-router\n"),
        ("bytes.json", "bytes.json is not UTF-8 text\n"),
        (".claude-code-router", ".claude-code-router is a directory; give the file in it, config.json\n"),
        ("none.json", "none.json does not exist; give the path of claude-code-router's config.json\n"),
        ("/dev/null", "/dev/null is no regular file\n"),
    ] {
        let refusal = home.refused(&[path]);
        assert!(refusal.ends_with(expected) && refusal.lines().count() == 1, "{path}: {refusal}");
    }
    assert!(!Path::new(&home.0).join(USER_FILE).exists());
}

/// Requirement: `.env` beside the user's file is read, below the one of the working directory.
#[test]
fn the_users_dotenv_is_read_below_that_of_the_directory() {
    let upstream = Upstream::openai();
    let url = upstream.base_url();
    let user = format!("MINE_BASE_URL={url}\nMINE_API_KEY=sk-user-0123456789\n");
    let gateway = Gateway::bare().file(USER_DOTENV, &user).start();
    assert_eq!(gateway.messages(&prompt("mine:m", "hi")).reply().status(), 200);
    let both = Gateway::bare().file(USER_DOTENV, &user).dotenv("MINE_API_KEY=sk-here-0123456789").start();
    assert_eq!(both.messages(&prompt("mine:m", "hi")).reply().status(), 200);
    assert_eq!(upstream.keys_seen(), ["sk-user-0123456789", "sk-here-0123456789"]);
}
