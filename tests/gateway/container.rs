//! The requirements of a container: `vdm health server`, and a Dockerfile that copies all files of the build.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::gateway::{Gateway, free_port};
use crate::support::upstream::Upstream;

fn vdm(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vdm"));
    command.args(arguments).env_clear().current_dir(std::env::temp_dir()).envs(environment.iter().copied());
    command.output().expect("vdm is built")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

fn top(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text after `word` in the Dockerfile's lines.
fn lines(dockerfile: &str, word: &str) -> Vec<String> {
    let lines = dockerfile.lines().filter_map(|line| line.trim().strip_prefix(word));
    lines.map(|rest| rest.trim().to_owned()).collect()
}

#[test]
fn the_containers_health_check_finds_a_gateway_on_all_addresses() {
    let dockerfile = top("Dockerfile");
    let check = lines(&dockerfile, "HEALTHCHECK").pop().expect("a HEALTHCHECK");
    let (_, command) = check.split_once("CMD").expect("a command");
    let command: Vec<String> = serde_json::from_str(command.trim()).expect("in the exec form");
    assert_eq!(command[0], "vdm");
    let arguments: Vec<&str> = command[1..].iter().map(String::as_str).collect();
    assert!(lines(&dockerfile, "ENV").contains(&"HOST=0.0.0.0".to_owned()));

    let upstream = Upstream::openai();
    let gateway =
        Gateway::before(&upstream).env("HOST", "0.0.0.0").env("PROXY_API_KEY", "sk-gateway").start();
    let port = gateway.address.port().to_string();
    let environment = [("HOST", "0.0.0.0"), ("PORT", port.as_str()), ("PROXY_API_KEY", "sk-gateway")];

    let healthy = vdm(&arguments, &environment);
    assert!(healthy.status.success(), "{}", said(&healthy));
    assert!(said(&healthy).contains("healthy") && said(&healthy).contains("openai: 1 of 1 keys ready"));
    drop(gateway);
    let gone = vdm(&arguments, &environment);
    assert_eq!(gone.status.code(), Some(1), "{}", said(&gone));
}

#[test]
fn a_gateway_without_providers_is_not_healthy_and_says_why() {
    let gateway = Gateway::bare().env("VDM_DEMO", "0").start();
    let port = gateway.address.port().to_string();
    let output = vdm(&["health", "server", "--port", &port], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("degraded") && said(&output).contains("OPENAI_API_KEY"),
        "{}",
        said(&output)
    );
}

/// Requirement: `vdm health server` against a closed port → exit 1, `--json` gives `status: error`. against a
/// running server → exit 0.
#[test]
fn json_has_the_gateways_report_or_the_error() {
    let gateway = Gateway::before(&Upstream::openai()).start();
    let port = gateway.address.port().to_string();
    let output = vdm(&["health", "server", "--json", "--host", "localhost", "--port", &port], &[]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!((report["status"].as_str(), output.status.code()), (Some("healthy"), Some(0)));

    let nobody = free_port().to_string();
    let output = vdm(&["health", "server", "--json", "--port", &nobody], &[]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!((report["status"].as_str(), output.status.code()), (Some("error"), Some(1)));
    assert!(report["message"].as_str().is_some_and(|message| message.contains(&nobody)));
}

#[test]
fn the_gateway_key_is_not_sent_to_another_host() {
    let stranger = Upstream::openai();
    let port = stranger.address().port().to_string();
    let environment = [("PROXY_API_KEY", "sk-gateway")];
    vdm(&["health", "server", "--host", "127.0.0.1", "--port", &port], &environment);
    let seen = stranger.only_request();
    assert!(seen.head.headers.iter().all(|(_, value)| !value.contains("sk-gateway")), "{:?}", seen.head);
}

#[test]
fn the_dockerfile_copies_existing_files_and_all_that_the_build_reads() {
    let ignored = top(".dockerignore");
    let allowed: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignored.lines().any(|line| line == "*"), "everything else stays out");
    let copied: Vec<String> = lines(&top("Dockerfile"), "COPY ")
        .iter()
        .filter(|words| !words.starts_with("--from"))
        .flat_map(|words| {
            let mut paths: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            paths.pop();
            paths
        })
        .collect();
    for path in &copied {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{path} is not there");
        assert!(allowed.contains(&path.as_str()), "{path} is kept out by .dockerignore");
    }
    for needed in ["Cargo.toml", "Cargo.lock", "src", "protocol", "actors", "vendor"] {
        assert!(copied.iter().any(|path| path == needed), "{needed} is not copied");
    }
    let manifest = top("Cargo.toml");
    assert!(
        manifest.contains(r#"members = ["protocol", "actors"]"#),
        "a member that is not copied: {manifest}"
    );
    assert!(lines(&top("Dockerfile"), "USER").iter().all(|user| user != "root" && user != "0"));
    assert_eq!(lines(&top("Dockerfile"), "USER").len(), 1);
}

#[test]
fn keys_are_read_from_mounted_files() {
    let upstream = Upstream::openai();
    let gateway = Gateway::bare()
        .env("OPENAI_BASE_URL", upstream.base_url())
        .env("OPENAI_API_KEY_FILE", "secrets/openai")
        .env("PROXY_API_KEY_FILE", "secrets/own")
        .file("secrets/openai", "sk-one\nsk-two\n")
        .file("secrets/own", "sk-front\n")
        .start();
    assert_eq!(gateway.ask("hi").status(), 401);
    for _ in 0..2 {
        let call =
            gateway.messages(&crate::support::client::prompt("m", "hi")).header("x-api-key", "sk-front");
        assert_eq!(call.reply().status(), 200);
    }
    assert_eq!(upstream.keys_seen(), ["sk-one", "sk-two"]);
    let log = gateway.stop();
    assert!(!["sk-one", "sk-two", "sk-front"].iter().any(|key| log.contains(key)), "{log}");
}
