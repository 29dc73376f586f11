//! Behaviour of the Python original that its users rely on, or that was promised to them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Output;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::canned::{anthropic, openai};
use crate::support::client::prompt;
use crate::support::gateway::{self, Gateway, MODEL, whole_prompt};
use crate::support::upstream::{Answer, Dialect, Seen, Upstream};

const ENDPOINTS: [&str; 2] = ["/v1/messages", "/v1/chat/completions"];

fn vdm(line: &str, environment: &[(&str, &str)]) -> Output {
    gateway::vdm(&line.split(' ').collect::<Vec<_>>(), environment, "")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An upstream that answers with a whole reply after this time.
fn late(upstream: Upstream, pause: Duration) -> Upstream {
    let body = match upstream.dialect() {
        Dialect::Anthropic => anthropic::whole("late"),
        Dialect::OpenAi => openai::whole("late"),
    };
    upstream.always(Answer::json(200, body).head_after(pause))
}

/// Requirement: Given `PORT=abc` (or `0`, `70000`, empty), when any configuration-reading command runs, then exit
/// code 1 and the message names PORT.
#[test]
fn an_invalid_port_fails_every_command_that_reads_the_configuration() {
    for line in [
        "server start",
        "config validate",
        "config show",
        "explain x",
        "aliases",
        "models list",
        "test providers",
        "test connection",
        "health upstream",
    ] {
        for port in ["abc", "0", "70000"] {
            let output = vdm(line, &[("OPENAI_API_KEY", "k"), ("PORT", port)]);
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{line} {port}: {told}");
            let named: Vec<_> = told.lines().filter(|line| line.contains("PORT")).collect();
            assert_eq!(named.len(), 1, "{line} {port}: {told}");
        }
    }
}

/// Deviates from the original ("`vdm config validate` exits 0 for a Poe-only setup and 1 with details for a
/// partial provider named as default"): it succeeds exactly if the gateway would start, and a partial default provider
/// only causes a warning.
#[test]
fn a_setup_with_poe_alone_is_valid_and_a_default_without_a_url_is_reported() {
    let output = vdm("config validate", &[("POE_API_KEY", "k")]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let partial = [("POE_API_KEY", "k"), ("FOO_API_KEY", "k"), ("VDM_DEFAULT_PROVIDER", "foo")];
    let output = vdm("config validate", &partial);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("\"foo\" misses FOO_BASE_URL; using \"poe\" instead"), "{told}");
}

/// Deviates from the original ("`vdm oauth status x` without tokens → exit 1; with a valid file → table, exit 0;
/// corrupt file → exit 1 with the reason"): OAuth subscriptions are refused; there is no flow, no token and no
/// file.
/// Deviates from the original ("`vdm oauth logout x` without a directory → exit 0 with an information panel"):
/// OAuth subscriptions are refused; there is no flow, no token and no file.
/// Deviates from the original ("The authorisation URL contains the nine parameters of 8.2 with S256 and a 64-hex
/// state; a callback with another state is refused"): OAuth subscriptions are refused; there is no flow, no token
/// and no file.
/// Deviates from the original ("Token file is mode 0600; access tokens with `exp` less than 300 s away are
/// refreshed with a form POST and the file is rewritten"): OAuth subscriptions are refused; there is no flow, no
/// token and no file.
/// Deviates from the original ("A callback with `error=access_denied` ends the command at once with exit 1; a
/// `/favicon.ico` request does not disturb it"): OAuth subscriptions are refused; there is no flow, no token and
/// no file.
/// Deviates from the original ("`vdm version` prints `vdm version X`, exit 0; an unknown command exits 2"): `vdm
/// X`, as `vdm --version`; the rest is the same.
/// Requirement: SIGTERM ends the server gracefully; a busy port ends it with a non-zero code. `--daemon` either
/// works or exits non-zero.
#[test]
fn command_lines_of_the_original_are_answered_with_their_replacements() {
    for (line, words) in [
        ("oauth login chatgpt", "OAuth subscriptions are refused"),
        ("oauth status chatgpt", "OAuth subscriptions are refused"),
        ("config reload-profiles", "vdm server reload"),
    ] {
        let output = vdm(line, &[("OPENAI_API_KEY", "k")]);
        let told = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{line}: {told}");
        assert!(told.starts_with("vdm: ") && told.contains(words) && told.lines().count() == 1, "{told}");
    }
    let version = vdm("version", &[]);
    let told = format!("vdm {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.status.code(), text(&version.stdout)), (Some(0), told));
    assert_eq!(vdm("bogus", &[]).status.code(), Some(2));
}

/// Requirement: Startup output contains no escape sequences when stdout is not a terminal.
#[test]
fn the_start_message_has_no_escape_sequences_in_a_pipe() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("TERM", "xterm-256color").env("FOO_API_KEY", "k").start();
    gateway.run.await_log("FOO_BASE_URL");
    assert!(!gateway.stop().contains('\x1b'));
}

/// Requirement: Given `REQUEST_TIMEOUT=0`, accepted and requests have no timeout.
/// Requirement: Given TOML `timeout = 0`, then a request taking 3 s succeeds.
#[test]
fn a_timeout_of_zero_means_no_timeout() {
    let upstream = late(Upstream::openai(), Duration::from_millis(900));
    let setup = Gateway::before(&upstream).limit("first-byte-timeout", 0.2).limit("whole-timeout", 0.2);
    assert_eq!(setup.start().ask_whole("hi").status(), 504, "so it would be without");
    assert_eq!(setup.clone().env("REQUEST_TIMEOUT", "0").start().ask_whole("hi").text(), "late");
    assert_eq!(setup.toml("[openai]\ntimeout = 0").start().ask_whole("hi").text(), "late");
}

/// Requirement: Given timeout 1 and a 4 s upstream, then 504 on both endpoints and both formats.
#[test]
fn a_providers_timeout_is_a_504_at_both_endpoints_for_both_api_formats() {
    for (upstream, name) in [(Upstream::openai(), "openai"), (Upstream::anthropic(), "anthropic")] {
        let upstream = upstream.always(Answer::silence());
        let gateway = Gateway::before(&upstream).toml(&format!("[{name}]\ntimeout = 0.3")).start();
        for endpoint in ENDPOINTS {
            for body in [prompt(MODEL, "hi"), whole_prompt(MODEL, "hi")] {
                let reply = gateway.call("POST", endpoint).json(&body).reply();
                assert_eq!(reply.status(), 504, "{name} {endpoint}: {reply}");
            }
        }
    }
}

/// Requirement: A profile with `timeout = 1` and a 4 s upstream → 504 for requests through it, 200 for direct
/// ones.
#[test]
fn a_profiles_timeout_applies_to_its_requests() {
    let upstream = late(Upstream::openai(), Duration::from_millis(1200));
    let gateway = Gateway::before(&upstream)
        .toml("['#brisk']\ntimeout = 0.3\n['#brisk'.aliases]\nm = 'openai:m'")
        .start();
    assert_eq!(gateway.messages(&whole_prompt("brisk:m", "hi")).reply().status(), 504);
    assert_eq!(gateway.messages(&whole_prompt("openai:m", "hi")).reply().text(), "late");
}

/// Requirement: `!haiku` → poe, `haiku`; `!openai:gpt-4o` → openai, `gpt-4o`; `!` → 400.
/// Requirement: A three-alias cycle never hangs, is reported at startup, and a request to it is 400.
/// Requirement: Unknown prefix on `/v1/messages` → 404 with `type: error`; the message lists the available
/// providers. on `/v1/chat/completions` → 404.
#[test]
fn names_without_a_target_have_their_status_at_both_endpoints() {
    let upstream = Upstream::openai();
    let gateway =
        Gateway::before(&upstream).env("OPENAI_ALIAS_ONE", "two").env("OPENAI_ALIAS_TWO", "one").start();
    assert!(gateway.run.await_log("in a circle").contains("openai:one → openai:two"));
    for endpoint in ENDPOINTS {
        for (name, status, words) in [
            ("one", 400, "in a circle"),
            ("!", 400, "the name is empty"),
            ("", 400, "empty"),
            ("nope:m", 404, "the providers are openai"),
            ("kimi:m", 404, "set KIMI_API_KEY"),
        ] {
            let reply = gateway.call("POST", endpoint).json(&prompt(name, "hi")).reply();
            assert_eq!(reply.status(), status, "{endpoint} {name:?}: {reply}");
            let told = reply.json();
            assert_eq!(told["type"] == "error", endpoint == ENDPOINTS[0], "{reply}");
            assert!(told["error"]["message"].as_str().is_some_and(|told| told.contains(words)), "{reply}");
        }
    }
    assert_eq!(upstream.count(), 0);
}

/// Requirement: Given kimi and a tool `my.tool/x y`, then upstream sees `my_tool_x_y` and the client's response
/// shows the original.
#[test]
fn kimi_receives_plain_tool_names_and_the_client_its_own() {
    let echo = |seen: &Seen| {
        let tools = seen.json()["tools"].as_array().cloned().unwrap_or_default();
        let call = |tool: &Value| {
            let function = json!({"name": tool["function"]["name"], "arguments": "{}"});
            json!({"id": tool["function"]["name"], "type": "function", "function": function})
        };
        let calls: Vec<Value> = tools.iter().map(call).collect();
        let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
        Some(Answer::json(200, openai::completion(&message, "tool_calls")))
    };
    let upstream = Upstream::openai().ruled_by(echo);
    let gateway = Gateway::bare().env("KIMI_API_KEY", "k").env("KIMI_BASE_URL", upstream.base_url()).start();
    let (long, cut) = ("x".repeat(70), format!("{}_c71bd109", "x".repeat(55)));
    // Renamed as in the original, except that a valid name stays unchanged.
    let cases: [(&[&str], &[&str]); 3] = [
        (&["my.tool/x y", "mcp__server__tool"], &["my_tool_x_y", "mcp__server__tool"]),
        (&["a-b", "9lives", "é_tool"], &["a_b", "t_9lives", "__tool"]),
        (&[&long], &[&cut]),
    ];
    for (asked, (own, plain)) in cases.into_iter().enumerate() {
        let mut body = whole_prompt("kimi:m", "hi");
        body["tools"] =
            own.iter().map(|name| json!({"name": name, "input_schema": {"type": "object"}})).collect();
        let reply = gateway.messages(&body).reply();
        let sent = upstream.request(asked).json()["tools"].clone();
        let sent: Vec<_> =
            sent.as_array().into_iter().flatten().map(|tool| tool["function"]["name"].clone()).collect();
        assert_eq!(sent, plain, "{own:?}");
        let called: Vec<String> = reply.tools().into_iter().map(|(name, _)| name).collect();
        assert_eq!(called, own, "{reply}");
    }
}

/// Requirement: `PROXY_API_KEY=s`: missing or wrong key → 401 on `/v1/messages`, count_tokens, chat,
/// `/v1/aliases`, `/top-models`, `/metrics/*`, also with an invalid body.
/// Requirement: `PROXY_API_KEY=` (empty) → open.
#[test]
fn the_gateway_key_is_checked_before_the_body_is_read() {
    let upstream = Upstream::openai();
    let setup = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-gateway");
    let gateway = setup.start();
    for (method, path) in [
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/v1/aliases"),
        ("GET", "/top-models"),
        ("GET", "/metrics/running-totals"),
    ] {
        for key in ["", "sk-wrong"] {
            let reply = gateway.call(method, path).header("x-api-key", key).body("{").reply();
            assert_eq!(reply.status(), 401, "{method} {path} {key}: {reply}");
        }
    }
    assert_eq!(setup.env("PROXY_API_KEY", "").start().ask("hi").status(), 200, "empty is open");
}

/// Requirement: Passthrough provider, no client key → 401 whose text names the provider and "requires API key
/// passthrough".
/// Requirement: `x-api-key: ck` or `Authorization: Bearer ck` is forwarded; `x-api-key` wins when both are sent.
#[test]
fn of_a_clients_two_keys_x_api_key_is_sent() {
    for upstream in [Upstream::openai(), Upstream::anthropic()] {
        let gateway = Gateway::before(&upstream).keys(["!PASSTHRU"]).start();
        let call = gateway.messages(&prompt(MODEL, "hi"));
        let both = call.header("x-api-key", "first").header("authorization", "Bearer second").reply();
        assert_eq!(both.status(), 200, "{both}");
        assert_eq!(upstream.keys_seen(), ["first"]);
        let none = gateway.ask("hi");
        let name = if upstream.dialect() == Dialect::OpenAi { "openai" } else { "anthropic" };
        assert_eq!(none.status(), 401);
        assert!(none.error_message().contains(name), "{none}");
    }
}

/// Requirement: `vdm health upstream` with `VDM_DEFAULT_PROVIDER=zai` and no `ZAI_BASE_URL` contacts zai's base
/// URL, never api.openai.com.
#[test]
fn health_upstream_calls_the_providers_own_address() {
    // A proxy that refuses every connection records the requested address.
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", proxy.local_addr().expect("bound"));
    let heard = thread::spawn(move || {
        let (mut stream, _) = proxy.accept().expect("a caller");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
            head.push(byte[0]);
        }
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
        text(&head)
    });
    let output = vdm(
        "health upstream",
        &[
            ("OPENAI_API_KEY", "sk-canary-openai"),
            ("ZAI_API_KEY", "sk-canary-zai"),
            ("VDM_DEFAULT_PROVIDER", "zai"),
            ("HTTPS_PROXY", &url),
            ("MAX_RETRIES", "0"),
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let told: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    assert!(told.get(1).is_some_and(|line| line.starts_with("zai ")), "{told:?}");
    let heard = heard.join().expect("no panic");
    assert!(heard.starts_with("CONNECT api.z.ai:443 ") && !heard.contains("canary"), "{heard}");
}

/// Requirement: No log line ever contains a full key; DEBUG shows 8-hex hashes. rotation is logged at WARNING.
#[test]
fn a_skipped_key_is_logged_by_id_and_never_in_clear() {
    for upstream in [Upstream::openai(), Upstream::anthropic()] {
        let upstream = upstream.refusing("sk-canary-bad-0123456789");
        let keys = ["sk-canary-bad-0123456789", "sk-canary-good-0123456789"];
        let gateway = Gateway::before(&upstream).keys(keys).start();
        assert_eq!(gateway.ask("hi").text(), "Hello there!");
        let log = gateway.stop();
        let told = log.lines().find(|line| line.contains("WARN") && line.contains("401"));
        assert!(told.is_some_and(|line| line.contains("call 1") && line.contains("with key ")), "{log}");
        assert!(!log.contains("canary"), "{log}");
    }
}

#[test]
fn openais_organization_and_project_are_sent_to_openai_only() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream)
        .provider("other", &upstream)
        .env("OPENAI_ORG_ID", "org-1")
        .env("OPENAI_PROJECT_ID", " proj-1 ")
        .start();
    assert_eq!(gateway.ask("hi").status(), 200);
    assert_eq!(gateway.messages(&prompt("other:m", "hi")).reply().status(), 200);
    let (openai, other) = (upstream.request(0).head, upstream.request(1).head);
    assert_eq!(openai.header("openai-organization"), Some("org-1"));
    assert_eq!(openai.header("openai-project"), Some("proj-1"));
    for name in ["openai-organization", "openai-project"] {
        assert_eq!(other.header(name), None, "{other:?}");
    }
    let said = Gateway::before(&upstream)
        .env("OPENAI_ORG_ID", "org-1")
        .env("OPENAI_PROJECT_ID", "")
        .env("OPENAI_CUSTOM_HEADER_OPENAI_ORGANIZATION", "said")
        .start();
    assert_eq!(said.ask("hi").status(), 200);
    let seen = upstream.request(2).head;
    assert_eq!((seen.header("openai-organization"), seen.header("openai-project")), (Some("said"), None));
}
