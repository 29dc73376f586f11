//! Every endpoint of the table in SECURITY.md, called with each kind of key.

use super::{ADMIN, ALICE, PROXY, with_all_keys};
use crate::support::client::Call;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::Upstream;

struct Row {
    class: String,
    method: String,
    path: String,
}

/// The rows of the table, one for each method.
fn rows() -> Vec<Row> {
    let table = include_str!("../../../SECURITY.md").lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let [class, methods, path] = cells[..] else { return None };
        let path =
            path.strip_prefix('`')?.strip_suffix('`')?.replace("{id}", MODEL).replace("{page}", "traffic");
        let path = path.replace("models/{model}", "models/m:rawPredict").replace("{model}", MODEL);
        let path = path.replace("{project}", "p").replace("{location}", "l");
        // tests/gateway/dashboard covers the files and the two forms, which have no place for a key.
        if path.contains("{file}") || methods == "POST" && path.starts_with("/dashboard/") {
            return None;
        }
        let methods = methods.trim_end_matches(", POST");
        Some(methods.split(", ").map(move |method| Row {
            class: class.to_owned(),
            method: method.to_owned(),
            path: path.clone(),
        }))
    });
    table.flatten().collect()
}

fn call(gateway: &Gateway, row: &Row, suffix: &str) -> Call {
    let call = gateway.call(&row.method, &format!("{}{suffix}", row.path));
    if row.method == "POST" && row.class == "serve" { call.json(&whole_prompt(MODEL, "hi")) } else { call }
}

/// The status that each kind of key gets, `200` for anything but a refusal.
fn status(call: &Call, key: Option<&str>) -> u16 {
    let call = key.map_or_else(|| call.clone(), |key| call.clone().header("x-api-key", key));
    // A stream does not end.
    let mut exchange = call.send();
    match exchange.status() {
        status @ (401 | 403) => status,
        // A page leads to the login.
        303 => 401,
        // The endpoint itself knows no request of this name.
        404 if call.is_to("/api/ui/requests/") || call.is_to("/admin/requests/") => 200,
        404 | 405 => panic!("{call:?} matches no endpoint"),
        _ => 200,
    }
}

/// Checklist 10, and requirement: admin endpoints need the admin key, and no client key opens them; client keys open the others. The admin key
/// opens what only reads (whoever may change the gateway may see it, and with hashed client keys only, it is the one key that commands
/// can know), but sends no request to a model; the class depends on the matched route, with and without a trailing slash and a query.
#[test]
fn each_class_of_endpoints_opens_for_its_keys_only() {
    let upstream = Upstream::openai();
    let gateway = with_all_keys(&upstream).start();
    let rows = rows();
    assert!(rows.len() > 25, "the table is read");
    for row in &rows {
        let suffixes = if row.path == "/" { &["", "?x=/admin/reload"][..] } else { &["", "/", "?x=/health"] };
        for suffix in suffixes.iter().filter(|suffix| !(row.path.ends_with(MODEL) && **suffix == "/")) {
            let call = call(&gateway, row, suffix);
            let keys = [None, Some("wrong"), Some(PROXY), Some(ALICE), Some(ADMIN)];
            let statuses = keys.map(|key| status(&call, key));
            let expected = match row.class.as_str() {
                "open" => [200; 5],
                "serve" => [401, 401, 200, 200, 401],
                "read" | "dashboard" => [401, 401, 200, 200, 200],
                "admin" => [401, 401, 401, 401, 200],
                other => panic!("unknown class {other}"),
            };
            assert_eq!(statuses, expected, "{} {}{suffix}", row.method, row.path);
        }
    }
}

/// Requirement: without `VDM_ADMIN_KEY` there are no admin actions over HTTP, whatever key is presented.
#[test]
fn without_an_admin_key_admin_endpoints_are_closed() {
    let upstream = Upstream::openai();
    for setup in [Gateway::before(&upstream), Gateway::before(&upstream).env("PROXY_API_KEY", PROXY)] {
        let gateway = setup.start();
        for row in rows().iter().filter(|row| row.class == "admin") {
            for key in [None, Some(""), Some(PROXY), Some(ADMIN)] {
                assert_eq!(status(&call(&gateway, row, ""), key), 403, "{}", row.path);
            }
        }
    }
}

/// Requirement: a gateway without client keys serves no page of another site and nothing that a proxy forwarded, on any endpoint
/// that is not open: DNS rebinding, `Origin: null`, forwarding headers, absolute targets, several Host headers, user names.
#[test]
fn the_checks_of_a_gateway_without_a_key_hold_for_every_endpoint() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let port = gateway.address.port();
    for row in rows().iter().filter(|row| matches!(row.class.as_str(), "serve" | "read" | "dashboard")) {
        let plain = || call(&gateway, row, "");
        let absolute = gateway.call(&row.method, &format!("http://evil.example{}", row.path));
        let disagreeing = gateway.call(&row.method, &format!("http://localhost:1{}", row.path));
        for (what, call) in [
            ("rebound name", plain().replacing_host(&format!("evil.example:{port}"))),
            ("user name before a foreign host", plain().replacing_host("localhost@evil.example")),
            ("user name before a local host", plain().replacing_host("evil.example@localhost")),
            ("text after an address", plain().replacing_host("[::1]evil.example")),
            ("opaque origin", plain().header("origin", "null")),
            ("foreign origin", plain().header("origin", "https://evil.example")),
            ("forwarded for", plain().header("x-forwarded-for", "127.0.0.1")),
            ("forwarded host", plain().header("x-forwarded-host", "localhost")),
            ("forwarded proto", plain().header("x-forwarded-proto", "https")),
            ("forwarded", plain().header("forwarded", "for=127.0.0.1;host=localhost")),
            ("cluster client", plain().header("x-cluster-client-ip", "10.0.0.1")),
            ("original forwarded for", plain().header("x-original-forwarded-for", "10.0.0.1")),
            ("two Host headers", plain().header("host", "localhost")),
            ("absolute target of a foreign host", absolute),
            ("absolute target of another authority", disagreeing),
        ] {
            let status = call.send().status();
            assert!(matches!(status, 400 | 403), "{what}: {} {} got {status}", row.method, row.path);
        }
    }
    assert_eq!(upstream.count(), 0);
}
