//! A log that cannot be written.

use serde_json::Value;

use crate::support::await_that;
use crate::support::gateway::{Gateway, Run};
use crate::support::upstream::Upstream;

/// The gateway of this process. It has no log that says where it listens, so `status` is asked.
fn listening(run: Run) -> Gateway {
    let mut address = None;
    await_that("it listens", || {
        let output = run.vdm(&["server", "status", "--json"]).output().expect("vdm is built");
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        address = status["address"].as_str().and_then(|address| address.parse().ok());
        address.is_some()
    });
    Gateway { run, address: address.expect("just found") }
}

/// Requirement (issue 15, 5): a gateway whose log is on a full disk, whose stderr is closed, or whose log's reader has
/// exited serves requests and stops in order. (A reader that does not read: `side_by_side`.)
#[test]
fn a_log_that_cannot_be_written_disturbs_no_request() {
    let upstream = Upstream::anthropic();
    for stderr in
        ["exec 2>/dev/full >/dev/full", "exec 2>&- >&-", "mkfifo log; sleep 0 <log & exec 2>log >&2"]
    {
        let run = Gateway::before(&upstream).env("LOG_LEVEL", "DEBUG").after_shell(stderr).run(0);
        let mut gateway = listening(run);
        for _ in 0..20 {
            assert_eq!(gateway.ask("hi").text(), "Hello there!", "{stderr}");
        }
        gateway.run.signal("TERM");
        assert_eq!(gateway.run.wait().code(), Some(0), "{stderr}");
    }
    assert_eq!(upstream.count(), 60);
}
