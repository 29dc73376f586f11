//! One gateway for all sessions with the same configuration: the first one starts it, and it stops after the last one.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::gateway::free_port;

use super::{User, WAITING, await_some, ended, is_served};

/// Longer than an unused gateway runs.
const A_WHILE: Duration = Duration::from_secs(5);

fn is_listening(url: &str) -> bool {
    TcpStream::connect(url.strip_prefix("http://").expect("a URL")).is_ok()
}

#[test]
fn two_sessions_share_a_gateway_and_it_stops_after_the_last_one() {
    let user = User::with_claude("two", WAITING);
    let [one, other] = ["one", "other"].map(|name| user.session(name));
    assert_eq!(one.url, other.url);

    assert_eq!(one.leave().code(), Some(7));
    thread::sleep(A_WHILE);
    assert!(other.is_served());
    let url = other.url.clone();
    other.leave();

    user.await_no_gateway();
    assert!(!is_listening(&url));
}

#[test]
fn sessions_that_name_its_port_keep_a_gateway_running_too() {
    let user = User::with_claude("named", WAITING);
    let port = free_port().to_string();
    let session = |name: &str| user.session_by(user.claude_vdm(&[name, "--port", &port]), name);
    let [one, other] = ["one", "other"].map(session);
    assert_eq!(one.url, other.url);
    // With another configuration, which has its own name.
    let mut third = user.claude_vdm(&["third", "--port", &port]);
    third.env("MAX_RETRIES", "5");
    let third = user.session_by(third, "third");

    one.leave();
    thread::sleep(A_WHILE);
    assert!(other.is_served());
    other.leave();
    thread::sleep(A_WHILE);
    assert!(third.is_served());
    third.leave();

    user.await_no_gateway();
}

#[test]
fn simultaneous_sessions_share_a_gateway_too() {
    let user = User::with_claude("race", WAITING);
    let names: Vec<String> = (0..6).map(|number| format!("s{number}")).collect();
    let sessions: Vec<_> = thread::scope(|scope| {
        let user = &user;
        let starting: Vec<_> = names.iter().map(|name| scope.spawn(move || user.session(name))).collect();
        starting.into_iter().map(|session| session.join().expect("no panic")).collect()
    });

    let urls: BTreeSet<_> = sessions.iter().map(|session| session.url.clone()).collect();

    assert_eq!((urls.len(), user.sockets().len()), (1, 1), "{urls:?}");
    for session in sessions {
        session.leave();
    }
    user.await_no_gateway();
}

#[test]
fn a_killed_session_leaves_no_gateway_running() {
    let user = User::with_claude("killed", WAITING);
    let mut session = user.session("a");
    assert!(session.is_served());

    // Its exit status is never read, so it becomes a zombie, which counts as exited.
    session.child.kill().expect("our child");

    user.await_no_gateway();
}

#[test]
fn a_session_that_starts_during_the_shutdown_gets_a_new_gateway() {
    let user = User::with_claude("again", WAITING);
    for turn in 0..3 {
        let session = user.session(&format!("s{turn}"));
        assert!(session.is_served());
        session.leave();
        await_some("the gateway's decision to go", || {
            let log = std::fs::read_dir(user.home.join("vandamme")).expect("there").find_map(|entry| {
                let path = entry.expect("readable").path();
                (path.extension()? == "log").then(|| std::fs::read_to_string(path).unwrap_or_default())
            });
            log?.contains("shutting down").then_some(())
        });
    }
    user.await_no_gateway();
}

#[test]
fn a_killed_gateway_is_replaced_for_the_next_session() {
    let user = User::with_claude("gateway", WAITING);
    let first = user.session("first");
    let port = first.url.rsplit(':').next().expect("a port").to_owned();
    let mut status = user.command(env!("CARGO_BIN_EXE_vdm"));
    let (_, told, _) = ended(status.args(["server", "status", "--json", "--port", &port]));
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["wrapped"], true);
    let killed = Command::new("kill").args(["-s", "KILL", &told["pid"].to_string()]).status();
    assert!(killed.expect("kill is there").success());
    await_some("its end", || (!is_listening(&first.url)).then_some(()));

    let second = user.session("second");

    assert!(second.is_served());
    first.leave();
    second.leave();
    user.await_no_gateway();
}

#[test]
fn the_gateway_can_be_reloaded_but_only_wrap_can_start_it() {
    let user = User::with_claude("reload", WAITING);
    let session = user.session("a");
    let port = session.url.rsplit(':').next().expect("a port").to_owned();
    let server = |order: &str| {
        let mut command = user.command(env!("CARGO_BIN_EXE_vdm"));
        ended(command.args(["server", order, "--port", &port]))
    };
    std::fs::write(user.home.join(".env"), "ZAI_API_KEY=sk-canary\n").expect("a writable directory");

    let (code, out, talk) = server("reload");
    assert_eq!(code, Some(0), "{talk}");
    assert!(out.contains("provider 'zai' is new"), "{out}");
    let (code, _, talk) = server("restart");
    assert_eq!(code, Some(1));
    assert!(talk.contains("goes with its sessions"), "{talk}");

    assert!(session.is_served());
    session.leave();
    user.await_no_gateway();
}

#[test]
fn another_configuration_has_its_own_gateway() {
    let user = User::with_claude("other", WAITING);
    let one = user.session("one");
    let mut command = user.claude_vdm(&["other"]);
    command.env("ZAI_API_KEY", "sk-canary");
    let other = user.session_by(command, "other");

    assert_ne!(one.url, other.url);

    one.leave();
    other.leave();
    user.await_no_gateway();
}

/// Requirement: `vdm wrap claude` returns the tool's exit code (0 and 7 tested); a proxy already running is
/// reused and left running.
#[test]
fn a_running_gateway_is_used_and_not_stopped() {
    let user = User::with_claude("running", "echo $ANTHROPIC_BASE_URL");
    let mut start = user.command(env!("CARGO_BIN_EXE_vdm"));
    let mut gateway = start.args(["server", "start"]).spawn().expect("vdm is built");
    let url = format!("http://127.0.0.1:{}", user.port);
    await_some("the gateway", || (is_listening(&url) && is_served(&url)).then_some(()));

    assert_eq!(ended(&mut user.claude_vdm(&[])), (Some(0), format!("{url}\n"), String::new()));
    // Also by a client without access to its socket, such as one in a container.
    let mut elsewhere = user.claude_vdm(&[]);
    elsewhere.env("XDG_RUNTIME_DIR", "/nowhere").env("TMPDIR", user.home.join("bin"));
    assert_eq!(ended(&mut elsewhere), (Some(0), format!("{url}\n"), String::new()));
    // Clients cannot call an address that is only for listening.
    let mut everywhere = user.claude_vdm(&[]);
    everywhere.env("HOST", "0.0.0.0").env("PROXY_API_KEY", "key");
    assert_eq!(ended(&mut everywhere), (Some(0), format!("{url}\n"), String::new()));

    thread::sleep(A_WHILE);
    assert!(is_served(&url));
    gateway.kill().expect("our child");
    gateway.wait().expect("our child");
}

#[test]
fn another_program_on_the_configured_port_is_not_affected() {
    let user = User::with_claude("stranger", WAITING);
    let _stranger = TcpListener::bind(("127.0.0.1", user.port)).expect("still free");

    let session = user.session("a");

    assert!(session.is_served());
    assert!(!session.url.ends_with(&format!(":{}", user.port)));
}

#[test]
fn a_tool_that_outlives_its_parent_tool_keeps_the_gateway_running() {
    let script = "if [ $1 = inner ]; then exec $VDM wrap --openai waiting -- inner; fi";
    let user = User::with_claude("outlives", &format!("{script}\n$VDM wrap claude -- inner </dev/null &"));
    user.tool("waiting", WAITING);

    let session = user.session_by(user.claude_vdm(&["outer"]), "inner");
    thread::sleep(A_WHILE);

    assert!(session.is_served());
    session.leave();
    user.await_no_gateway();
}

#[test]
fn a_tool_started_by_a_tool_uses_the_same_gateway() {
    let user = User::with_claude("within", "echo $ANTHROPIC_BASE_URL; $VDM wrap --openai inner");
    user.tool("inner", "echo $OPENAI_BASE_URL");

    let (code, out, talk) = ended(&mut user.claude_vdm(&[]));

    assert_eq!(code, Some(0), "{talk}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[1], format!("{}/v1", lines[0]));
    assert_eq!(user.sockets().len(), 1);
}
