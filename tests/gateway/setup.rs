//! `vdm config setup`: with flags and no terminal, and with questions on a pseudo-terminal.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rexpect::session::{PtySession, spawn_command};
use serde_json::Value;

use crate::support::canned::openai;
use crate::support::gateway::fresh_directory;
use crate::support::upstream::{Answer, Upstream};

/// A directory, which is also this user's home.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        Self(fresh_directory())
    }

    fn with(self, name: &str, text: &str) -> Self {
        std::fs::write(self.0.join(name), text).expect("a writable directory");
        self
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    fn mode(&self, name: &str) -> u32 {
        let metadata = std::fs::metadata(self.0.join(name)).expect("it is there");
        metadata.permissions().mode() & 0o777
    }

    /// The files in the directory, by name.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("ours");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("ours").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vdm"));
        command.args(["config", "setup"]).args(arguments).current_dir(&self.0).env_clear();
        command.env("HOME", &self.0).env("TERM", "xterm").envs(environment.iter().copied());
        command
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)], stdin: &str) -> Output {
        let mut command = self.command(arguments, environment);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("vdm is built");
        let mut input = child.stdin.take().expect("piped");
        // A failed write is no error: setup may not read its input.
        drop(input.write_all(stdin.as_bytes()));
        drop(input);
        child.wait_with_output().expect("our child")
    }

    fn ask(&self, environment: &[(&str, &str)]) -> PtySession {
        spawn_command(self.command(&[], environment), Some(60_000)).expect("a pseudo-terminal")
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

/// Lists two models for every key but `sk-bad`.
fn upstream() -> Upstream {
    let list = r#"{"object":"list","data":[{"id":"one-model","object":"model"},{"id":"two-model","object":"model"}]}"#;
    let wrong = openai::error("Incorrect API key provided", "invalid_request_error", "invalid_api_key");
    Upstream::openai().answering_key("sk-bad", Answer::json(401, wrong)).always(Answer::json(200, list))
}

/// Requirement: `vdm config setup` does not touch an existing `.env` unless confirmed. the new file is mode 0600.
#[test]
fn flags_write_their_values_and_keep_the_rest() {
    let upstream = upstream();
    let url = upstream.base_url();
    let before = "# mine\nexport OPENAI_API_KEY=sk-old # old\nOTHER='a\nOPENAI_API_KEY=no\n'\n";
    let home = Home::new().with(".env", before);
    let base = format!("mine={url}");
    let arguments = [
        "--provider",
        "openai",
        "--provider",
        "mine",
        "--base-url",
        &base,
        "--default",
        "mine",
        "--alias",
        "mine:haiku=one-model",
        "--keys",
        "-",
        "--json",
    ];
    let keys = "MINE_API_KEY='sk-one sk-two'\nOPENAI_API_KEY=sk-new\nPROXY_API_KEY=sk-front\n";
    let output = home.run(&arguments, &[("OPENAI_BASE_URL", &url)], keys);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let written: Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!(written["tried"][1]["models"], 2);
    let mut seen = upstream.keys_seen();
    seen.sort();
    assert_eq!(seen, ["sk-new", "sk-one", "sk-two"], "each key by itself");
    let expected = before.replace("export OPENAI_API_KEY=sk-old # old", "OPENAI_API_KEY=sk-new")
        + &format!(
            "MINE_BASE_URL={url}\nMINE_API_KEY='sk-one sk-two'\nMINE_ALIAS_HAIKU=one-model\nVDM_DEFAULT_PROVIDER=mine\nPROXY_API_KEY=sk-front\n"
        );
    assert_eq!(home.read(".env"), expected);
    assert_eq!(home.mode(".env"), 0o600);
    assert_eq!(home.names(), [".env"], "nothing else is left behind");
    assert!(!(stdout(&output) + &stderr(&output)).contains("sk-"), "{}", stderr(&output));
}

#[test]
fn a_toml_file_keeps_its_comments_and_an_overriding_variable_is_reported() {
    let before = "# top\nport = 9000 # mine\n\n[openai]\ntimeout = 5 # short\n";
    let home = Home::new().with("vandamme-config.toml", before);
    let arguments = ["--provider", "openai", "--no-test", "--keys", "-", "--write", "vandamme-config.toml"];
    let output = home.run(&arguments, &[("OPENAI_API_KEY", "sk-other")], "OPENAI_API_KEY=sk-new");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(home.read("vandamme-config.toml"), before.to_owned() + "api-key = \"sk-new\"\n");
    assert_eq!(home.mode("vandamme-config.toml"), 0o600);
    let warning = "warning: openai.api-key is set by environment variable OPENAI_API_KEY, over this file";
    assert!(stderr(&output).contains(warning), "{}", stderr(&output));

    let output = home.run(
        &["--provider", "openai", "--no-test", "--write", "x.toml"],
        &[("OPENAI_API_KEY", "sk-new")],
        "",
    );
    assert!(stderr(&output).contains("start it with --config"), "{}", stderr(&output));
    let file = home.0.join("x.toml");
    let command = format!("Now start the gateway:  vdm server start --config {}\n", file.display());
    assert!(stderr(&output).ends_with(&command), "{}", stderr(&output));
}

#[test]
fn an_invalid_flag_is_one_line_and_changes_nothing() {
    let upstream = upstream();
    let base_url = ("OPENAI_BASE_URL", upstream.base_url());
    let refused: [(&[&str], &str, i32, &str); 12] = [
        (
            &["--provider", "foo", "--keys", "-", "--base-url", "foo=http://x/v1/chat/completions"],
            "FOO_API_KEY=k",
            1,
            "write http://x/v1\n",
        ),
        (
            &["--provider", "openai", "--keys", "-"],
            "OPENAI_API_KEY=sk-canary1,sk-canary2",
            1,
            "OPENAI_API_KEY: the key contains a comma",
        ),
        (&[], "", 2, "vdm: setup asks questions, and there is no terminal"),
        (&["--provider", "openai"], "", 2, "vdm: there is no key for openai: set OPENAI_API_KEY"),
        (&["--provider", "op enai"], "", 2, "vdm: --provider: a name can contain"),
        (&["--base-url", "x"], "", 2, "vdm: --base-url takes NAME=URL, not \"x\""),
        (&["--base-url", "x=http://y"], "", 2, "vdm: x is not among the providers; add --provider x"),
        (&["--alias", "haiku=x"], "", 2, "vdm: --alias takes PROVIDER:ALIAS=MODEL"),
        (&["--provider", "openai", "--keys", "absent"], "", 1, "vdm: cannot read keys from absent"),
        (&["--keys", "-"], "OPENAI_API_KEY sk-canary", 1, "vdm: keys from stdin: expected lines such as"),
        (&["--provider", "openai", "--keys", "-"], "OPENAI_API_KEY=sk-bad", 1, "vdm: openai refuses a key: "),
        (
            &["--provider", "foo", "--keys", "-", "--base-url", "foo=ftp://x"],
            "FOO_API_KEY=k",
            1,
            "FOO_BASE_URL: ",
        ),
    ];
    for (arguments, stdin, code, words) in refused {
        let home = Home::new().with(".env", "A=1\n");
        let output = home.run(arguments, &[(base_url.0, &base_url.1)], stdin);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(code), ""), "{arguments:?}");
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("canary"), "{}", stderr(&output));
        assert_eq!((home.read(".env"), home.names()), ("A=1\n".to_owned(), vec![".env".to_owned()]));
    }
}

/// Waits for a question and types the answer.
fn answer(session: &mut PtySession, question: &str, typed: &str) -> String {
    let before = session.exp_string(question).unwrap_or_else(|error| panic!("{question}: {error}"));
    session.send(typed).and_then(|_| session.flush()).expect("it listens");
    before
}

const ENTER: &str = "\r";
const CTRL_C: &str = "\x03";

/// Requirement: `vdm config setup` does not touch an existing `.env` unless confirmed. the new file is mode 0600.
#[test]
fn the_questions_produce_a_valid_file_and_no_key_is_printed() {
    let upstream = upstream();
    let url = upstream.base_url();
    let home = Home::new().with(".env", "# kept\nLOG_LEVEL=INFO\n");
    let mut session = home.ask(&[("OPENAI_BASE_URL", &url)]);
    let mut screen = answer(&mut session, "Which providers?", " \r");
    screen += &answer(&mut session, "Key of openai:", "sk-bad\r");
    screen += &answer(&mut session, "openai refuses a key", "");
    screen += &answer(&mut session, "What now?", ENTER);
    screen += &answer(&mut session, "Key of openai:", "sk-good-canary\r");
    screen += &answer(&mut session, "openai answers: it has 2 models", "");
    screen += &answer(&mut session, "Change the models behind Claude Code's names?", "y\r");
    screen += &answer(&mut session, "haiku:", &("\x7f".repeat(30) + "two-model\r"));
    for name in ["sonnet:", "opus:", "fable:"] {
        screen += &answer(&mut session, name, ENTER);
    }
    screen += &answer(&mut session, "Gateway key for clients:", "sk-front-canary\r");
    screen += &answer(&mut session, "Save where?", ENTER);
    screen += &session.exp_eof().expect("it ends");
    assert!(!screen.contains("canary") && !screen.contains("sk-bad"), "{screen}");
    assert!(screen.contains("Wrote "), "{screen}");
    assert_eq!(
        home.read(".env"),
        "# kept\nLOG_LEVEL=INFO\nOPENAI_API_KEY=sk-good-canary\nOPENAI_ALIAS_HAIKU=two-model\nPROXY_API_KEY=sk-front-canary\n"
    );
    assert_eq!(home.mode(".env"), 0o600);
}

#[test]
fn a_custom_provider_can_be_named_and_written_to_any_file() {
    let upstream = upstream();
    let home = Home::new();
    let mut session = home.ask(&[]);
    answer(&mut session, "Which providers?", "another");
    answer(&mut session, "another one, by its URL", " \r");
    answer(&mut session, "Its name:", "demo\r");
    answer(&mut session, "demo is the embedded provider", &"\x7f".repeat(4));
    answer(&mut session, "Its name:", "My-LLM\r");
    for (wrong, advice) in [
        ("", "expected a URL such as"),
        ("http://x/v1/chat/completions", "write http://x/v1"),
        ("nonsense", "expected a URL such as"),
        ("http://localhost:8082/v1", "the gateway's own address"),
    ] {
        answer(&mut session, "Its base URL:", &format!("{wrong}\r"));
        answer(&mut session, advice, &"\x7f".repeat(wrong.len()));
    }
    answer(&mut session, "Its base URL:", &(upstream.base_url() + "\r"));
    answer(&mut session, "Which API does it serve?", ENTER);
    answer(&mut session, "Key of my_llm:", "'sk-good'\r");
    answer(&mut session, "the quotes are part of the key", &"\x7f".repeat(9));
    answer(&mut session, "Key of my_llm:", "sk-good\r");
    answer(&mut session, "it has 2 models", "");
    answer(&mut session, "Change the models behind Claude Code's names?", "n\r");
    answer(&mut session, "Gateway key for clients:", ENTER);
    answer(&mut session, "Save where?", "\x1b[B\r");
    let screen = session.exp_eof().expect("it ends");
    let file = ".config/vandamme-proxy/vandamme-config.toml";
    assert!(screen.contains(file) && !screen.contains("warning"), "{screen}");
    let text = home.read(file);
    let url = upstream.base_url();
    assert_eq!(
        text,
        format!("[my_llm]\nbase-url = \"{url}\"\napi-format = \"openai\"\napi-key = \"sk-good\"\n")
    );
    let validated = Command::new(env!("CARGO_BIN_EXE_vdm"))
        .args(["config", "validate"])
        .env_clear()
        .env("HOME", &home.0)
        .current_dir(Path::new("/"))
        .output();
    assert!(stdout(&validated.expect("vdm is built")).contains("providers: my_llm"));
}

#[test]
fn a_local_server_is_set_up_by_its_address_and_azure_by_its_resource() {
    let upstream = upstream();
    let url = upstream.base_url();
    let home = Home::new();
    let mut session = home.ask(&[]);
    answer(&mut session, "Which providers?", ENTER);
    answer(&mut session, "nothing is selected", "ollama \x7f\x7f\x7f\x7f\x7f\x7fazure \r");
    answer(&mut session, "Base URL of azure:", "ftp://r\r");
    answer(&mut session, "the URL must start with http", &"\x7f".repeat(7));
    answer(&mut session, "Base URL of azure:", &format!("{url}\r"));
    answer(&mut session, "Key of azure:", "sk-azure\r");
    answer(&mut session, "azure answers: it has 2 models", "");
    answer(&mut session, "Base URL of ollama:", &format!("{}\r", url.replace("/v1", "")));
    answer(&mut session, "Key of ollama:", ENTER);
    answer(&mut session, "ollama answers: it has 2 models", "");
    answer(&mut session, "Which provider serves model names without a prefix?", ENTER);
    answer(&mut session, "Change the models behind Claude Code's names?", "n\r");
    answer(&mut session, "Gateway key for clients:", ENTER);
    answer(&mut session, "Save where?", ENTER);
    session.exp_eof().expect("it ends");
    let address = url.replace("/v1", "");
    assert_eq!(
        home.read(".env"),
        format!("AZURE_BASE_URL={url}\nAZURE_API_KEY=sk-azure\nOLLAMA_BASE_URL={address}\n")
    );
    assert_eq!(upstream.keys_seen(), ["sk-azure", "no-key-needed"]);
}

#[test]
fn flags_set_up_a_local_server_without_a_key() {
    let upstream = upstream();
    let home = Home::new();
    let output = home.run(&["--provider", "ollama", "--no-test"], &[], "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(home.read(".env"), "OLLAMA_BASE_URL=http://localhost:11434/v1\n");

    let base_url = format!("ollama={}", upstream.base_url());
    let output = home.run(&["--provider", "ollama", "--base-url", &base_url], &[], "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("ollama answers: it has 2 models"), "{}", stderr(&output));
    assert_eq!(home.read(".env"), format!("OLLAMA_BASE_URL={}\n", upstream.base_url()));
}

/// Requirement: `vdm config setup` does not touch an existing `.env` unless confirmed. the new file is mode 0600.
#[test]
fn cancelling_at_any_question_changes_nothing() {
    let upstream = upstream();
    let url = upstream.base_url();
    let way = [
        ("Which providers?", " \r"),
        ("Key of openai:", "sk-good\r"),
        ("Change the models behind Claude Code's names?", "n\r"),
        ("Gateway key for clients:", ENTER),
        ("Save where?", ENTER),
    ];
    for last in 0..way.len() {
        let home = Home::new().with(".env", "A=1\n");
        let mut session = home.ask(&[("OPENAI_BASE_URL", &url)]);
        for (question, typed) in &way[..last] {
            answer(&mut session, question, typed);
        }
        answer(&mut session, way[last].0, CTRL_C);
        let screen = session.exp_eof().expect("it ends");
        assert!(screen.contains("vdm: setup was cancelled; nothing was changed"), "{screen}");
        let status = session.process().wait().expect("our child");
        assert!(matches!(status, rexpect::process::WaitStatus::Exited(_, 1)), "{status:?}");
        assert_eq!((home.read(".env"), home.names()), ("A=1\n".to_owned(), vec![".env".to_owned()]));
    }
}

#[test]
fn an_unknown_default_provider_is_refused() {
    let home = Home::new();
    let key = [("POE_API_KEY", "k")];

    let output = home.run(&["--provider", "poe", "--default", "peo", "--no-test"], &key, "");

    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("--default peo: no provider with a key, and no active profile; providers: poe"),
        "{said}"
    );
    assert!(said.contains("did you mean --default poe?"), "{said}");
    assert_eq!(home.read(".env"), "");
    let output = home.run(&["--provider", "opnai", "--no-test"], &key, "");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("did you mean --provider openai?"), "{}", stderr(&output));
    let output = home.run(&["--provider", "poe", "--default", "Poe", "--no-test"], &key, "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn an_unusable_provider_is_refused_with_the_reason() {
    for (base_url, key, test, told) in [
        (
            "mine=http://127.0.0.1:8082",
            "k",
            "",
            "mine cannot be asked: MINE_BASE_URL: this is the gateway's own address",
        ),
        ("mine=http://lab:1/v1", "k1,k2", "--no-test", "MINE_API_KEY: the key contains a comma or semicolon"),
    ] {
        let home = Home::new();
        let keys = format!("MINE_API_KEY={key}\nPOE_API_KEY=k");
        let flags = ["--provider", "mine", "--base-url", base_url, "--provider", "poe", "--keys", "-", test];
        let flags: Vec<_> = flags.into_iter().filter(|flag| !flag.is_empty()).collect();
        let output = home.run(&flags, &[], &keys);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
        assert_eq!(home.read(".env"), "");
    }
}

#[test]
fn a_url_without_a_list_of_models_causes_a_question() {
    let upstream = Upstream::openai().always(Answer::json(404, "{}"));
    let home = Home::new();
    let base_url = format!("foo={}/wrong", upstream.base_url());
    let output =
        home.run(&["--provider", "foo", "--keys", "-", "--base-url", &base_url], &[], "FOO_API_KEY=k");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("/wrong, so the key is not checked; is the base URL right?"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn each_provider_of_the_list_has_a_description() {
    let home = Home::new();
    let mut session = home.ask(&[]);
    let mut screen = answer(&mut session, "Which providers?", "zai");
    screen += &answer(&mut session, "Z.AI (GLM), for Claude Code; Anthropic API", "");
    screen += &answer(&mut session, "Z.AI (GLM); OpenAI API", CTRL_C);
    screen += &session.exp_eof().expect("it ends");
    assert!(screen.contains("setup was cancelled"), "{screen}");
}
