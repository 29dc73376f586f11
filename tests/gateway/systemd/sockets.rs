//! `LISTEN_FDS`: sockets that systemd has opened.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use crate::support::client::Call;
use crate::support::gateway::{Gateway, PORT_TAKEN, Run, Setup, free_port};

/// Makes standard input the first passed socket.
const PASS_STDIN: &str = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$";

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// A gateway that serves at this address.
fn serving(run: Run, address: SocketAddr) -> Gateway {
    run.await_log(&format!("listens on http://{address}"));
    Gateway { run, address }
}

/// Requirement: a passed TCP socket is served; it takes precedence over --port and HOST, and a line says so; clients that
/// connected before the gateway ran are served; a restart keeps the socket, with a master and without.
#[test]
fn a_passed_socket_is_served_instead_of_host_and_port() {
    for arguments in [&[][..], &["--no-master"]] {
        serves_a_passed_socket(arguments);
    }
}

fn serves_a_passed_socket(arguments: &[&str]) {
    let (listener, address) = listener();
    let waiting = Call::new(address, "GET", "/health").send();
    let setup = Gateway::bare().env("HOST", "192.0.2.1").stdin(listener).after_shell(PASS_STDIN);
    let setup = arguments.iter().fold(setup, |setup, argument| setup.argument(argument));
    let port = free_port();
    let gateway = serving(setup.run(port), address);
    drop(setup);

    assert_eq!(waiting.finish().status(), 200);
    assert_eq!(gateway.ask("hi").status(), 200);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "--port is served");
    let log = gateway.log();
    let line = format!(
        "serving on {address}, passed by the service manager (LISTEN_FDS); the configured host and port have no effect"
    );
    assert!(log.contains(&line), "{log}");

    let restarted = gateway.server(&["restart", "--host", "127.0.0.1"]).output().expect("vdm is built");
    assert!(restarted.status.success(), "{restarted:?}");
    assert_eq!(gateway.ask("hi").status(), 200);
    assert_eq!(gateway.log().matches(&line).count(), 2);
}

/// Requirement: sockets that are meant for another process are not used.
#[test]
fn sockets_of_another_process_are_not_used() {
    let (listener, passed) = listener();
    let setup = Gateway::bare().stdin(listener.try_clone().expect("a descriptor"));
    let gateway = setup.after_shell("exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=1").start();
    assert_ne!(gateway.address, passed);
}

/// Requirement: a passed socket that cannot serve HTTP is an error that names the setting of the unit.
#[test]
fn other_sockets_are_refused() {
    let connection = || {
        let (listener, address) = listener();
        let _other_end = TcpStream::connect(address).expect("it listens");
        listener.accept().expect("a connection").0
    };
    let refused = |setup: Setup, advice: &str| {
        let finished = setup.after_shell(PASS_STDIN).run_to_end();
        assert_eq!(finished.status.code(), Some(PORT_TAKEN), "{}", finished.output);
        assert!(finished.output.contains(advice), "{}", finished.output);
    };
    refused(
        Gateway::bare().stdin(UdpSocket::bind("127.0.0.1:0").expect("a socket")),
        "use ListenStream=ADDRESS:PORT",
    );
    refused(Gateway::bare().stdin(connection()), "set Accept=no");
    let many = Gateway::bare().after_shell("export LISTEN_FDS=17 LISTEN_PID=$$").run_to_end();
    assert!(many.output.contains("passes 17 sockets"), "{}", many.output);
}

/// Requirement: all passed sockets are served.
#[test]
fn several_sockets_are_served() {
    let (listeners, addresses): (Vec<_>, Vec<_>) = [listener(), listener()].into_iter().unzip();
    let mut listeners = listeners.into_iter().map(OwnedFd::from);
    let home = std::env::temp_dir().join(format!("vdm-two-sockets-{}", std::process::id()));
    std::fs::create_dir_all(&home).expect("a writable directory");
    let mut command = Command::new("sh");
    let pass =
        "exec 3<&0 4>&1 </dev/null >/dev/null; export LISTEN_FDS=2 LISTEN_PID=$$; exec \"$0\" server start";
    command.args(["-c", pass, env!("CARGO_BIN_EXE_vdm")]).current_dir(&home).env_clear();
    command.env("HOME", &home).env("XDG_RUNTIME_DIR", &home).stderr(Stdio::null());
    command.stdin(listeners.next().expect("the first")).stdout(listeners.next().expect("the second"));
    let mut child = command.spawn().expect("vdm is built");
    drop(command);

    let status = |address: &SocketAddr| Call::new(*address, "GET", "/health/live").reply().status();
    let statuses: Vec<u16> = addresses.iter().map(status).collect();

    let _killed = child.kill();
    let _reaped = child.wait();
    let _removed = std::fs::remove_dir_all(&home);
    assert_eq!(statuses, [200, 200]);
}
