//! A log that cannot be written.

use crate::support::await_that;
use crate::support::gateway::{Gateway, free_port};
use crate::support::upstream::Upstream;

/// Requirement (issue 15, 5): a gateway whose log is on a full disk, whose stderr is closed, or whose log's reader has
/// exited serves requests and stops in order. (A reader that does not read: `side_by_side`.)
#[test]
fn a_log_that_cannot_be_written_disturbs_no_request() {
    let upstream = Upstream::anthropic();
    for stderr in
        ["exec 2>/dev/full >/dev/full", "exec 2>&- >&-", "mkfifo log; sleep 0 <log & exec 2>log >&2"]
    {
        let port = free_port();
        let run = Gateway::before(&upstream).env("LOG_LEVEL", "DEBUG").after_shell(stderr).run(port);
        let mut gateway = Gateway { run, address: ([127, 0, 0, 1], port).into() };
        await_that("it listens", || std::net::TcpStream::connect(gateway.address).is_ok());
        for _ in 0..20 {
            assert_eq!(gateway.ask("hi").text(), "Hello there!", "{stderr}");
        }
        gateway.run.signal("TERM");
        assert_eq!(gateway.run.wait().code(), Some(0), "{stderr}");
    }
    assert_eq!(upstream.count(), 60);
}
