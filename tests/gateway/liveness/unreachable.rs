//! Upstreams that are unreachable or invalid.

use super::{both_after_the_first_word, impatient};
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Deaf, Ending, Upstream};

/// Requirement: Timeout → 504, refused → 502, HTML 502 body not forwarded.
#[test]
fn an_unreachable_upstream_is_a_502_that_names_the_provider() {
    let deaf = Deaf::new();
    for (name, format) in [("ALPHA", "openai"), ("BETA", "anthropic")] {
        let gateway = Gateway::bare()
            .env(&format!("{name}_API_KEY"), "sk-test")
            .env(&format!("{name}_BASE_URL"), format!("http://{}", deaf.address))
            .env(&format!("{name}_API_FORMAT"), format)
            .env("MAX_RETRIES", "0")
            .start();
        for reply in [gateway.ask("hi"), gateway.ask_whole("hi")] {
            assert_eq!((reply.status(), reply.error_type().as_str()), (502, "api_error"), "{reply}");
            assert!(reply.error_message().contains(&name.to_lowercase()), "{reply}");
        }
    }
}

#[test]
fn an_upstream_that_never_accepts_is_a_504() {
    let full = Deaf::full();
    for format in ["openai", "anthropic"] {
        let gateway = Gateway::bare()
            .env("MINE_API_KEY", "sk-test")
            .env("MINE_BASE_URL", format!("http://{}", full.address))
            .env("MINE_API_FORMAT", format)
            .env("MAX_RETRIES", "0")
            .limit("connect-timeout", 0.3)
            .start();
        let reply = gateway.ask("hi");
        assert_eq!((reply.status(), reply.error_type().as_str()), (504, "timeout_error"), "{reply}");
    }
}

#[test]
fn an_upstream_that_closes_or_sends_invalid_bytes_is_a_502() {
    let answers = [
        Answer::hang_up(),
        Answer::hang_up().ending(Ending::Reset),
        Answer::json(200, "{").claiming_length(900).ending(Ending::Cut),
        Answer::bare("SSH-2.0-OpenSSH_9.9\r\n"),
        Answer::bare("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\ncontent-le"),
    ];
    for answer in answers {
        for upstream in [Upstream::anthropic(), Upstream::openai()] {
            let upstream = upstream.always(answer.clone());
            let reply = impatient(&upstream).start().ask("hi");
            assert_eq!(
                (reply.status(), reply.error_type().as_str()),
                (502, "api_error"),
                "{answer:?}: {reply}"
            );
        }
    }
}

/// Requirement: After the first byte to the client no retry ever happens.
#[test]
fn after_the_first_event_there_is_no_retry() {
    for upstream in both_after_the_first_word(|answer, bytes| answer.broken_after(bytes, Ending::Cut)) {
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "3").keys(["k1", "k2"]).start();
        assert_eq!(gateway.ask("hi").error_type(), "api_error");
        assert_eq!(upstream.count(), 1);
    }
}
