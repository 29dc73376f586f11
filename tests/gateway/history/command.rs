//! `vdm usage`.

use super::{await_requests, before};
use crate::support::gateway::{Gateway, vdm, whole_prompt};
use crate::support::upstream::Upstream;

fn run(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String, String) {
    let port = gateway.address.port().to_string();
    let mut command = gateway.run.vdm(&["usage"]);
    let output = command.args(arguments).args(["--port", &port]).output().expect("vdm is built");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Requirement: `vdm usage` prints a table, JSON or CSV, with and without a running gateway.
#[test]
fn usage_is_printed_with_and_without_a_gateway() {
    let upstream = Upstream::openai();
    let (setup, _) = before(&upstream);
    let mut gateway = setup.start();
    for model in ["alpha", "alpha", "beta"] {
        assert_eq!(gateway.messages(&whole_prompt(model, "hi")).reply().status(), 200);
    }
    await_requests(&gateway, 3);
    let running = ["", "--json", "--csv"].map(|form| {
        let arguments: Vec<&str> = ["--by", "model", "--since", "2026-01-01", form]
            .into_iter()
            .filter(|it| !it.is_empty())
            .collect();
        run(&gateway, &arguments)
    });
    let (code, table, errors) = &running[0];
    assert_eq!((*code, errors.as_str()), (Some(0), ""), "{table}");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..3], ["MODEL", "REQUESTS", "FAILED"], "{table}");
    assert_eq!(
        (rows[1][..3].to_vec(), rows[2][..3].to_vec()),
        (vec!["alpha", "2", "0"], vec!["beta", "1", "0"])
    );
    assert_eq!(rows[3][..2], ["TOTAL", "3"], "{table}");
    assert!(table.contains("unpriced"), "{table}");
    assert!(running[1].1.starts_with('{') && running[2].1.lines().count() == 3, "{running:?}");

    gateway.run.signal("TERM");
    gateway.run.wait();
    for (form, (code, output, _)) in ["", "--json", "--csv"].into_iter().zip(running) {
        let arguments: Vec<&str> = ["--by", "model", "--since", "2026-01-01", form]
            .into_iter()
            .filter(|it| !it.is_empty())
            .collect();
        assert_eq!(run(&gateway, &arguments), (code, output, String::new()), "the file says the same");
    }
}

/// Requirement: a gateway whose keys the configuration does not have does not keep its own user from the usage.
#[test]
fn usage_is_printed_also_if_only_clients_have_keys() {
    let upstream = Upstream::openai();
    let (setup, _) = before(&upstream);
    let hash = "2edc636c3bdb33cfe99acf96a95642c64f5e52a248e14156002b00e5e36db6c5";
    let gateway = setup.toml(&format!("[client-keys]\nalice = {{ hash = \"sha256:{hash}\" }}")).start();
    let call = gateway.messages(&whole_prompt("alpha", "hi")).header("x-api-key", "wine-alice-0123456789");
    assert_eq!(call.reply().status(), 200);
    crate::support::await_that("the request is written", || {
        let (code, table, _) = run(&gateway, &["--by", "client"]);
        code == Some(0) && table.contains("alice")
    });
    let (_, _, errors) = run(&gateway, &[]);
    assert!(errors.contains("status 401") && errors.contains("reading the database instead"), "{errors}");
}

/// Requirement: where only hashed client keys are configured, the commands that read reports work with the admin key, which may read
/// everything.
#[test]
fn the_admin_key_reads_reports_where_client_keys_are_hashed() {
    let upstream = Upstream::openai();
    let (setup, _) = before(&upstream);
    let hash = "2edc636c3bdb33cfe99acf96a95642c64f5e52a248e14156002b00e5e36db6c5";
    let setup = setup.toml(&format!("[client-keys]\nalice = {{ hash = \"sha256:{hash}\" }}"));
    let gateway = setup.env("VDM_ADMIN_KEY", "wine-admin-0123456789").start();
    let (code, _, errors) = run(&gateway, &[]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let port = gateway.address.port().to_string();
    for command in [&["top", "--json"][..], &["health", "server"], &["dashboard", "--no-open"]] {
        let output = gateway.run.vdm(command).args(["--port", &port]).output().expect("vdm is built");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let named = gateway.run.vdm(&["top", "--json", "--host", "127.0.0.1", "--port", &port]).output();
    let errors = String::from_utf8_lossy(&named.expect("vdm is built").stderr).into_owned();
    assert!(errors.contains("vdm sends PROXY_API_KEY or VDM_ADMIN_KEY, unless --host names"), "{errors}");
}

/// Requirement: errors say what is wrong and what to do.
#[test]
fn errors_of_usage_are_explained() {
    let failed = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = vdm(&[&["usage", "--port", "9"], arguments].concat(), environment, "");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, message) = failed(&[], &[]);
    assert_eq!(code, Some(1));
    assert!(message.contains("no gateway runs, and there is no history at"), "{message}");
    let (code, message) = failed(&[], &[("VDM_HISTORY", "off")]);
    assert_eq!(code, Some(1));
    assert!(message.contains("VDM_HISTORY=off"), "{message}");
    let (code, message) = failed(&["--since", "yesterday"], &[]);
    assert_eq!(code, Some(2));
    assert!(message.contains("--since: expected a duration such as 15m"), "{message}");
    assert_eq!(failed(&["--by", "colour"], &[]).0, Some(2));
}
