//! `vdm server status`, `stop` and `restart`, and the control socket that they use.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use super::{Ended, paused, provider};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, free_port};
use crate::support::upstream::Upstream;

/// A runtime directory with a path that is short enough for a socket.
struct Runtime(PathBuf);

impl Runtime {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vdm-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a writable directory");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("ASCII")
    }

    fn socket(&self, gateway: &Gateway) -> PathBuf {
        self.0.join(format!("vandamme/127.0.0.1-{}.sock", gateway.address.port()))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn status_reports_the_state_of_a_gateway() {
    let (upstream, _) = paused();
    let gateway = Gateway::before(&upstream).start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");

    let told = Ended::of(&mut gateway.server(&["status", "--json"])).json();

    assert_eq!(told["running"], true);
    assert_eq!(told["pid"], gateway.run.pid());
    assert_eq!(told["address"], gateway.address.to_string());
    assert_eq!((&told["in_flight"], &told["state"]), (&1.into(), &"running".into()));
    assert_eq!(told["providers"], Value::from(vec!["anthropic"]));
    assert!(told["uptime_seconds"].is_u64());
    let words = Ended::of(&mut gateway.server(&["status"]));
    assert!(words.results().contains("1 request in flight"), "{}", words.stdout);
    assert!(words.results().contains("providers: anthropic (default)"), "{}", words.stdout);
}

#[test]
fn status_exits_with_1_if_no_gateway_runs_there_and_names_the_running_ones() {
    let gateway = Gateway::bare().start();
    let port = free_port().to_string();
    for command in ["status", "stop", "reload", "restart"] {
        let ended = Ended::of(&mut gateway.run.vdm(&["server", command, "--port", &port]));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{command}");
        assert!(ended.stderr.contains(&format!("no gateway of yours is running at 127.0.0.1, port {port}")));
        assert!(ended.stderr.contains(&gateway.address.to_string()), "{}", ended.stderr);
    }
    let ended = Ended::of(&mut gateway.run.vdm(&["server", "status", "--json", "--port", &port]));
    assert_eq!((ended.code, &ended.json()["running"]), (Some(1), &false.into()));
}

#[test]
fn after_a_change_of_the_port_the_only_gateway_is_found_by_its_socket() {
    let runtime = Runtime::new("moved");
    let setup = Gateway::bare().env("XDG_RUNTIME_DIR", runtime.path()).env("TMPDIR", runtime.path());
    let mut gateway = setup.start();
    gateway.run.write("vandamme-config.toml", &format!("port = {}\n", free_port()));
    let ask = |gateway: &Gateway, command: &str| Ended::of(&mut gateway.run.vdm(&["server", command]));
    for command in ["status", "reload"] {
        let told = ask(&gateway, command);
        assert!(told.code == Some(0), "{command}: {}", told.stderr);
        let named = format!("using the only one that runs: http://{}", gateway.address);
        assert!(told.stderr.contains(&named), "{command}: {}", told.stderr);
    }
    let health = |gateway: &Gateway, more: &[&str]| {
        Ended::of(&mut gateway.run.vdm(&[&["health", "server", "--live"], more].concat()))
    };
    let told = health(&gateway, &[]);
    let named = format!("using the only one that runs: http://{}", gateway.address);
    assert!(told.code == Some(0) && told.stderr.contains(&named), "{}", told.stderr);
    assert!(told.stdout.contains(&format!("http://{} is ", gateway.address)), "{}", told.stdout);
    let told = health(&gateway, &["--port", &free_port().to_string()]);
    assert!(told.code == Some(1) && told.stderr.contains("no gateway answers"), "{}", told.stderr);
    assert!(told.stderr.contains(&gateway.address.to_string()), "{}", told.stderr);
    let second = setup.start();
    let told = ask(&gateway, "stop");
    assert_eq!(told.code, Some(1), "one of two: {}", told.stdout);
    assert_eq!(health(&gateway, &[]).code, Some(1), "one of two");
    for address in [gateway.address, second.address] {
        assert!(told.stderr.contains(&address.to_string()), "{}", told.stderr);
    }
    let elsewhere = Ended::of(&mut second.run.vdm(&["server", "status", "--port", &free_port().to_string()]));
    assert_eq!(elsewhere.code, Some(1), "a port of the command line is meant");
    drop(second);
    let elsewhere = Ended::of(&mut gateway.run.vdm(&["server", "stop", "--host", "127.0.0.2"]));
    assert_eq!(elsewhere.code, Some(1), "{}", elsewhere.stdout);
    assert!(ask(&gateway, "stop").results().contains("has stopped"));
    assert_eq!(gateway.run.wait().code(), Some(0));
}

#[test]
fn a_gateway_is_found_although_its_configuration_has_become_invalid() {
    let gateway = Gateway::bare().start();
    gateway.run.write("vandamme-config.toml", &format!("port = {}\nprot = 1\n", gateway.address.port()));

    let ended = Ended::of(&mut gateway.run.vdm(&["server", "status"]));

    assert!(ended.results().contains(&gateway.address.to_string()));
}

#[test]
fn stop_waits_for_requests_in_flight() {
    let (upstream, events) = paused();
    let mut gateway = Gateway::before(&upstream).start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");
    let mut stop = gateway.server(&["stop"]);
    let stopping = thread::spawn(move || Ended::of(&mut stop));
    gateway.run.await_refusal(gateway.address);

    upstream.permit();

    assert_eq!(exchange.finish().body, events.concat());
    let ended = stopping.join().expect("no panic");
    assert!(ended.results().contains("has stopped"));
    assert!(ended.stderr.contains("1 request in flight"), "{}", ended.stderr);
    assert_eq!(gateway.run.wait().code(), Some(0));
}

#[test]
fn stop_times_out_and_stop_now_aborts_the_rest() {
    let (upstream, _) = paused();
    let mut gateway = Gateway::before(&upstream).limit("drain", 600).start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");

    let late = Ended::of(&mut gateway.server(&["stop", "--timeout", "1"]));
    assert_eq!(late.code, Some(1));
    assert!(late.stderr.contains("is still stopping") && late.stderr.contains("--now"), "{}", late.stderr);
    let status = Ended::of(&mut gateway.server(&["status", "--json"])).json();
    assert_eq!(status["state"], "stopping");
    // Commands that have timed out are removed, however many there are.
    for _ in 0..40 {
        let mut impatient = gateway.server(&["stop", "--timeout", "0"]);
        assert_eq!(Ended::of(&mut impatient).code, Some(1));
    }
    let refused = Ended::of(&mut gateway.server(&["reload"]));
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("the gateway is stopping"), "{}", refused.stderr);

    assert_eq!(Ended::of(&mut gateway.server(&["stop", "--now", "--json"])).json()["stopped"], true);
    assert!(!exchange.finish().error_type().is_empty());
    assert_eq!(gateway.run.wait().code(), Some(0));
}

#[test]
fn stop_now_does_not_wait() {
    let (upstream, _) = paused();
    let mut gateway = Gateway::before(&upstream).limit("drain", 600).start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");

    Ended::of(&mut gateway.server(&["stop", "--now"])).results();

    assert!(!exchange.finish().error_type().is_empty());
    assert_eq!(gateway.run.wait().code(), Some(0));
}

#[test]
fn stopping_one_of_two_gateways_does_not_affect_the_other() {
    let runtime = Runtime::new("both");
    let start = || Gateway::bare().env("XDG_RUNTIME_DIR", runtime.path()).start();
    let [mut one, other] = [start(), start()];

    Ended::of(&mut one.server(&["stop"])).results();

    assert_eq!(one.run.wait().code(), Some(0));
    Ended::of(&mut other.server(&["status"])).results();
    assert_eq!(other.get("/health").status(), 200);
}

#[test]
fn the_socket_is_private_and_removed_with_the_gateway() {
    let runtime = Runtime::new("alone");
    let gateway = Gateway::bare().env("XDG_RUNTIME_DIR", runtime.path()).start();
    let socket = runtime.socket(&gateway);
    let mode = |path| fs::metadata(path).expect("there").permissions().mode() & 0o777;

    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(&runtime.0.join("vandamme")), 0o700);
    gateway.stop();
    assert_eq!(fs::read_dir(runtime.0.join("vandamme")).expect("there").count(), 0);
}

#[test]
fn the_socket_of_a_killed_gateway_is_replaced() {
    let runtime = Runtime::new("taken");
    let setup = Gateway::bare().env("XDG_RUNTIME_DIR", runtime.path());
    // Another process may take the port in the meantime.
    let restarted = (0..5).find_map(|_| {
        let gateway = setup.start();
        let (port, socket) = (gateway.address.port(), runtime.socket(&gateway));
        drop(gateway);
        assert!(socket.exists(), "it was killed");
        setup.try_start(port)
    });
    let gateway = restarted.expect("a port stays free long enough");

    Ended::of(&mut gateway.server(&["status"])).results();
}

#[test]
fn in_an_unsafe_directory_there_is_no_socket_and_the_gateway_still_serves() {
    let runtime = Runtime::new("open");
    let directory = runtime.0.join("vandamme");
    fs::create_dir(&directory).expect("a writable directory");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("ours");

    let gateway = Gateway::bare().env("XDG_RUNTIME_DIR", runtime.path()).start();

    gateway.run.await_log("is not a directory of this user alone; remove it, or set XDG_RUNTIME_DIR");
    assert_eq!(gateway.get("/health").status(), 200);
    assert_eq!(fs::read_dir(&directory).expect("there").count(), 0);
    assert_eq!(Ended::of(&mut gateway.server(&["status"])).code, Some(1));
}

#[test]
fn the_runtime_directory_of_another_user_is_not_changed() {
    let runtime = Runtime::new("others");
    // Only root can change an owner. For other users, the system's directory belongs to another user.
    let others = std::os::unix::fs::chown(&runtime.0, Some(65534), None);
    let others = others.map_or_else(|_| PathBuf::from("/usr"), |()| runtime.0.clone());
    let gateway = Gateway::bare().env("XDG_RUNTIME_DIR", others.to_str().expect("ASCII")).start();

    Ended::of(&mut gateway.server(&["status"])).results();

    assert!(!others.join("vandamme").exists());
}

#[test]
fn a_hanging_gateway_is_distinguished_from_none() {
    let runtime = Runtime::new("hangs");
    let directory = runtime.0.join("vandamme");
    fs::DirBuilder::new().mode(0o700).create(&directory).expect("a writable directory");
    // The system accepts the connection, and no process answers it.
    let _hanging = UnixListener::bind(directory.join("127.0.0.1-9.sock")).expect("a short path");
    let mut status = Command::new(env!("CARGO_BIN_EXE_vdm"));
    status.args(["server", "status", "--port", "9"]).env("XDG_RUNTIME_DIR", runtime.path());

    let ended = Ended::of(&mut status);

    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("127.0.0.1, port 9 does not answer on"), "{}", ended.stderr);
}

#[test]
fn an_invalid_command_is_refused_and_affects_no_other() {
    let runtime = Runtime::new("hostile");
    let gateway = Gateway::bare().env("XDG_RUNTIME_DIR", runtime.path()).start();
    let connect = || UnixStream::connect(runtime.socket(&gateway)).expect("the gateway listens");
    let silent: Vec<UnixStream> = (0..8).map(|_| connect()).collect();

    let long = vec![b'x'; 64 << 10];
    for question in [
        b"{}\n".as_slice(),
        b"\n",
        br#"{"version":2,"ask":"stop"}"#,
        b"{\"version\":1,\"ask\":\"x\"}\n",
        &long,
    ] {
        let mut stream = connect();
        // The gateway may close the connection before everything is written.
        let _sent = stream.write_all(question).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        let mut answer = String::new();
        let _read = stream.read_to_string(&mut answer);
        assert!(answer.contains("\"refused\"") || question.len() > 4096, "{answer}");
    }

    Ended::of(&mut gateway.server(&["status"])).results();
    drop(silent);
}

#[test]
fn restart_uses_the_same_command_line_and_the_changed_files() {
    let upstream = Upstream::openai();
    let mut gateway = Gateway::bare().toml(&provider("one", &upstream, "sk-one")).start();
    let pid = gateway.run.pid();
    gateway.run.write("test.toml", &provider("two", &upstream, "sk-two"));

    let told = Ended::of(&mut gateway.server(&["restart", "--json"])).json();

    assert_eq!((&told["pid"], &told["providers"]), (&pid.into(), &Value::from(vec!["two"])));
    assert_eq!(gateway.ask("hi").status(), 200);
    assert_eq!(upstream.keys_seen(), ["sk-two"]);
    gateway.run.signal("TERM");
    assert_eq!(gateway.run.wait().code(), Some(0));
}

#[test]
fn restart_does_not_stop_a_gateway_that_could_not_start_again() {
    let gateway = Gateway::bare().start();
    gateway.run.write("test.toml", "prot = 1\n");

    let ended = Ended::of(&mut gateway.server(&["restart"]));

    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("test.toml:1:1: prot: there is no such key"), "{}", ended.stderr);
    assert_eq!(gateway.get("/health").status(), 200);
}

#[test]
fn stop_and_restart_report_progress_on_stderr_only() {
    let gateway = Gateway::bare().start();
    let mut stop = gateway.server(&["stop", "--json"]);
    let output = stop.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("vdm is built");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!(told["pid"], gateway.run.pid());
}
