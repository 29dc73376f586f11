//! The start of the gateway: what is accepted, what is refused with which error, and the exit codes.

use std::net::TcpListener;

use crate::support::client::prompt;
use crate::support::gateway::{Finished, Gateway, MODEL, PORT_TAKEN, Setup, start_with_port};
use crate::support::upstream::Upstream;

fn refused(setup: Setup) -> Finished {
    let finished = setup.run_to_end();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.output);
    assert!(!finished.output.contains("panicked"), "{}", finished.output);
    finished
}

/// The only line that contains this.
fn line_naming<'a>(output: &'a str, what: &str) -> &'a str {
    let lines: Vec<&str> = output.lines().filter(|line| line.contains(what)).collect();
    assert_eq!(lines.len(), 1, "one line about {what}:\n{output}");
    lines[0]
}

/// Requirement: Given only a POE key, stock defaults, strict on, then the server starts and `gpt-x` goes to poe.
/// Requirement: A package profile whose provider is missing never blocks startup.
#[test]
fn one_key_and_the_defaults_are_enough_to_start() {
    for name in ["OPENAI", "ANTHROPIC", "POE", "OPENROUTER", "ZAI", "DEEPSEEK", "KIMI"] {
        let gateway = Gateway::bare().env(&format!("{name}_API_KEY"), "sk-test").start();
        let health = gateway.get("/health?format=json").json();
        assert_eq!(health["status"], "healthy", "{name}: {health}");
        assert_eq!(health["default_provider"], name.to_lowercase(), "{name}: {health}");
    }
}

#[test]
fn the_start_message_has_the_address_and_the_command_for_claude_code() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let url = format!("http://{}", gateway.address);
    let log = gateway.run.await_log(&format!("ANTHROPIC_BASE_URL={url}"));
    assert!(log.contains("openai"), "{log}");
}

/// Requirement: Given `FOO_API_KEY=k` and `FOO_BASE_URL=u`, then foo is registered, format openai.
#[test]
fn a_custom_provider_needs_only_a_key_and_a_url() {
    let upstream = Upstream::openai();
    let gateway =
        Gateway::bare().env("MINE_API_KEY", "sk-mine").env("MINE_BASE_URL", upstream.base_url()).start();
    assert_eq!(gateway.ask("hi").text(), "Hello there!");
    assert_eq!(upstream.keys_seen(), ["sk-mine"]);
}

/// Requirement: Given `FOO_API_KEY=k` only, then foo is partial, shown with "Missing FOO_BASE_URL", and requests
/// to it fail as unknown.
#[test]
fn a_key_without_a_url_causes_one_warning() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("FOO_API_KEY", "sk-foo-canary").start();
    let log = gateway.run.await_log("FOO_BASE_URL");
    line_naming(&log, "FOO_BASE_URL");
    let reply = gateway.messages(&prompt("foo:m", "hi")).reply();
    assert_eq!(reply.status(), 404);
    assert!(reply.error_message().contains("foo"), "{reply}");
}

/// Requirement: Given `VDM_DEFAULT_PROVIDER=POE`, then exactly one provider poe is listed and is default.
#[test]
fn the_default_provider_is_the_named_one_or_openai_or_the_first() {
    let [one, two] = [Upstream::openai(), Upstream::anthropic()];
    let setup = Gateway::before(&one).provider("anthropic", &two);
    for (named, expected) in [(None, "openai"), (Some("Anthropic"), "anthropic"), (Some("openai"), "openai")]
    {
        let setup = setup.clone();
        let gateway = named.map_or(setup.clone(), |name| setup.env("VDM_DEFAULT_PROVIDER", name)).start();
        assert_eq!(gateway.get("/health?format=json").json()["default_provider"], expected);
    }
}

/// Requirement: Given `VDM_DEFAULT_PROVIDER=nonexist` and an OPENAI key, then openai is used. a visible WARNING
/// names both.
#[test]
fn an_unknown_default_provider_is_a_warning() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("VDM_DEFAULT_PROVIDER", "nowhere").start();
    let log = gateway.run.await_log("nowhere");
    assert!(line_naming(&log, "nowhere").contains("VDM_DEFAULT_PROVIDER"), "{log}");
    assert_eq!(gateway.ask("hi").status(), 200);
}

/// Requirement: Given `./.env` with `PORT=9000` and no PORT in the environment, then port is 9000; with
/// `PORT=9001` in the environment, 9001.
#[test]
fn the_environment_overrides_dotenv_and_dotenv_overrides_files() {
    let [from_env, from_dotenv, from_file] = [Upstream::openai(), Upstream::openai(), Upstream::openai()];
    let file = format!("[openai]\napi-key = \"sk-file\"\nbase-url = \"{}\"", from_file.base_url());
    let of_file = Gateway::bare().toml(&file);
    let of_dotenv = of_file.clone().dotenv(&format!("OPENAI_BASE_URL={}\n", from_dotenv.base_url()));
    let of_env = of_dotenv.clone().env("OPENAI_BASE_URL", from_env.base_url());
    for setup in [of_file, of_dotenv, of_env] {
        assert_eq!(setup.start().ask("hi").text(), "Hello there!");
    }
    for upstream in [from_env, from_dotenv, from_file] {
        assert_eq!(upstream.keys_seen(), ["sk-file"]);
    }
}

#[test]
fn default_files_are_read_from_the_working_directory_and_the_home() {
    let setup = Gateway::bare().env("OPENAI_API_KEY", "sk-test");
    let upstream = Upstream::openai();
    let file = format!("[openai]\nbase-url = \"{}\"\n", upstream.base_url());
    for place in ["vandamme-config.toml", ".config/vandamme-proxy/vandamme-config.toml"] {
        let gateway = setup.clone().file(place, &file).start();
        assert_eq!(gateway.ask("hi").text(), "Hello there!", "{place}");
    }
    assert_eq!(upstream.count(), 2);
}

/// Requirement: Given two bad variables, when the server starts, then both are reported, without a traceback.
#[test]
fn every_error_is_one_line_and_all_are_reported_together() {
    let output = refused(
        Gateway::bare()
            .env("OPENAI_API_KEY", "sk-canary")
            .env("LOG_LEVEL", "LOUD")
            .env("REQUEST_TIMEOUT", "-1")
            .env("MAX_RETRIES", "many")
            .env("OPENAI_BASE_URL", "ftp://nowhere")
            .env("OPENAI_API_FORMAT", "gopher"),
    )
    .output;
    for variable in ["LOG_LEVEL", "REQUEST_TIMEOUT", "MAX_RETRIES", "OPENAI_BASE_URL", "OPENAI_API_FORMAT"] {
        line_naming(&output, variable);
    }
    assert!(!output.contains("sk-canary"), "{output}");
}

/// Requirement: Given a syntax error in `./vandamme-config.toml`, when the server starts, then exit 1 with file
/// and line.
#[test]
fn an_error_in_a_file_has_file_and_line_and_a_suggestion() {
    let output =
        refused(Gateway::bare().env("OPENAI_API_KEY", "sk").toml("[openai]\nbase-ulr = \"http://x\"")).output;
    let line = line_naming(&output, "base-ulr");
    // The file begins with `[limits]`.
    assert!(line.contains("test.toml:3") && line.contains("base-url"), "{line}");
    let output =
        refused(Gateway::bare().env("OPENAI_API_KEY", "sk").toml("[openai]\ntimeout = \"soon\"")).output;
    assert!(line_naming(&output, "timeout").contains("test.toml:3"), "{output}");
    let output = refused(Gateway::bare().env("OPENAI_API_KEY", "sk").toml("[openai\n")).output;
    assert!(output.lines().any(|line| line.contains("test.toml:2")), "{output}");
}

#[test]
fn errors_of_file_and_environment_are_reported_together() {
    let output = refused(Gateway::bare().env("LOG_LEVEL", "LOUD").toml("[opneai]\napi-key = 5")).output;
    line_naming(&output, "LOG_LEVEL");
    assert!(output.contains("test.toml:"), "{output}");
}

#[test]
fn a_missing_file_of_the_command_line_is_an_error() {
    let output = refused(Gateway::bare().config_at("/nowhere/vdm.toml")).output;
    assert!(output.contains("/nowhere/vdm.toml"), "{output}");
}

#[test]
fn an_error_in_dotenv_has_its_line() {
    let output = refused(Gateway::bare().dotenv("OPENAI_API_KEY=sk-canary\nthis is no assignment\n")).output;
    assert!(output.contains(".env:2"), "{output}");
    assert!(!output.contains("sk-canary"), "{output}");
}

#[test]
fn oauth_is_refused_with_a_reason() {
    let asked = [
        Gateway::bare().env("OPENAI_API_KEY", "!OAUTH"),
        Gateway::bare().env("OPENAI_API_KEY", "sk").env("OPENAI_AUTH_MODE", "oauth"),
        Gateway::bare().env("OPENAI_API_KEY", "sk").toml("[openai]\nauth-mode = \"oauth\""),
    ];
    for setup in asked {
        let finished = setup.run_to_end();
        assert_eq!(finished.status.code(), Some(2), "{}", finished.output);
        assert!(finished.output.to_lowercase().contains("oauth"), "{}", finished.output);
    }
}

/// Requirement: SIGTERM ends the server gracefully; a busy port ends it with a non-zero code. `--daemon` either
/// works or exits non-zero.
#[test]
fn a_port_that_is_taken_is_one_line_and_exit_code_3() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut run = Gateway::bare().env("OPENAI_API_KEY", "sk").run(port);
    assert_eq!(run.wait().code(), Some(PORT_TAKEN), "{}", run.log());
    assert!(run.log().lines().any(|line| line.contains(&port.to_string())), "{}", run.log());
    assert!(!run.log().contains("panicked"), "{}", run.log());
}

#[test]
fn the_gateways_own_address_as_an_upstream_is_refused_with_a_warning() {
    // The environment of a user who exported the client's variable before starting the gateway.
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let gateway = start_with_port(|port| {
            Gateway::bare()
                .env("ANTHROPIC_API_KEY", "sk-ant-api03-0123456789")
                .env("ANTHROPIC_BASE_URL", format!("http://{host}:{port}"))
        });
        let port = gateway.address.port();
        let log = gateway.run.await_log("ANTHROPIC_BASE_URL");
        assert!(
            log.lines().any(|line| line.contains("ANTHROPIC_BASE_URL") && line.contains(&port.to_string())),
            "{log}"
        );
        let health = gateway.get("/health?format=json").json();
        assert_eq!(health["providers"]["anthropic"]["base_url"], "https://api.anthropic.com");
    }
}

#[test]
fn sigint_and_sigterm_end_an_idle_gateway_with_0() {
    for signal in ["INT", "TERM"] {
        let upstream = Upstream::openai();
        let mut gateway = Gateway::before(&upstream).start();
        gateway.run.signal(signal);
        assert_eq!(gateway.run.wait().code(), Some(0), "SIG{signal}: {}", gateway.log());
    }
}

/// Complaint of gateway users: the gateway's own timers are shorter than thinking.
#[test]
fn every_limit_can_be_set() {
    let upstream = Upstream::openai();
    let mut setup = Gateway::before(&upstream);
    let limits = [
        "request-body",
        "model-name",
        "request-head-timeout",
        "body-grace",
        "body-min-rate",
        "connections",
        "connections-per-address",
        "in-flight",
        "provider-in-flight",
        "provider-queue",
        "provider-queue-wait",
        "client-channel",
        "client-timeout",
        "reply-grace",
        "reply-min-rate",
        "event",
        "event-min-rate",
        "before-first-event",
        "whole-reply",
        "connect-timeout",
        "whole-timeout",
        "first-byte-timeout",
        "idle-timeout",
        "total-timeout",
        "head-patience",
        "ping-interval",
        "cooldown",
        "cooldown-cap",
        "alias-chain",
        "models-ttl",
        "drain",
        "worker-liveness",
        "watch-interval",
        "watch-patience",
    ];
    for limit in limits {
        setup = setup.limit(limit, 60_000);
    }
    assert_eq!(setup.start().ask("hi").status(), 200);
    let output = refused(Gateway::before(&Upstream::openai()).limit("ping-intervall", 5)).output;
    assert!(line_naming(&output, "ping-intervall").contains("ping-interval"), "{output}");
}

#[test]
fn a_slow_request_head_or_body_is_a_408() {
    use std::io::Write as _;

    use crate::support::client::{Exchange, connect};

    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream)
        .limit("request-head-timeout", 0.3)
        .limit("body-grace", 0.3)
        .limit("body-min-rate", 100_000)
        .start();
    let whole = gateway.messages(&prompt(MODEL, "hi")).bytes();
    let cuts = [20, whole.len() - 5];
    for cut in cuts {
        let mut stream = connect(gateway.address);
        stream.write_all(&whole[..cut]).unwrap();
        assert_eq!(Exchange::new(stream).finish().status(), 408, "cut at {cut} of {}", whole.len());
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_invalid_proxy_is_reported_before_any_client_is_served() {
    let upstream = Upstream::openai();
    let setup = || Gateway::before(&upstream).env("HTTPS_PROXY", "socks5://me:canary@proxy:1080");
    let output = refused(setup()).output;
    let line = line_naming(&output, "HTTPS_PROXY");
    assert!(
        line.contains("environment variable HTTPS_PROXY: expected a proxy as http://host:port"),
        "{line}"
    );
    assert!(!output.contains("canary") && !output.contains("listens"), "{output}");
}
