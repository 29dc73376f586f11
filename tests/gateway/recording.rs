//! scripts/record, which makes fixtures, with an upstream that sends everything that must be removed.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::gateway::fresh_directory;
use crate::support::upstream::{Answer, Upstream};

const KEY: &str = "Zm9vYmFyYmF6-very-own-key";

/// Whether the script can run here. In CI it must.
fn is_possible() -> bool {
    let runs = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    let possible = runs("curl") && runs("python3");
    assert!(possible || env::var_os("CI").is_none(), "scripts/record needs curl and python3");
    possible
}

fn record(upstream: &Upstream, name: &str, into: &Path) -> Output {
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/record"))
        .args(["acme", name])
        .env("ACME_API_KEY", KEY)
        .env("ACME_BASE_URL", upstream.base_url())
        .env("RECORD_TO", into)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash");
    // If the name is refused, the request is not read.
    drop(script.stdin.take().expect("piped").write_all(b"{\"model\":\"m\"}"));
    script.wait_with_output().expect("it ends")
}

fn only_file(folder: &Path) -> (PathBuf, String) {
    let mut files =
        fs::read_dir(folder.join("acme")).expect("made").map(|entry| entry.expect("readable").path());
    let path = files.next().expect("a file");
    assert!(files.next().is_none(), "one file");
    let text = fs::read_to_string(&path).expect("text");
    (path, text)
}

#[test]
fn a_recorded_stream_has_no_personal_data() {
    if !is_possible() {
        return;
    }
    let secrets = [
        KEY,
        "chatcmpl-9fKq2LmXw",
        "jane.doe+x@corp.example.com",
        "user_2aBcDeFgHiJk",
        "org-Qw3rTy7uIoP",
        "sk-proj-abcdef123456",
        "10.1.2.3",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "1760000123",
    ];
    let event = format!(
        "data: {{\"id\":\"{}\",\"created\":{},\"user_id\":\"{}\",\"choices\":[{{\"delta\":{{\"content\":\"é {} {} {} {} {} {}\"}}}}],\"usage\":{{\"prompt_tokens\":1760000}}}}\n\n",
        secrets[1],
        secrets[8],
        secrets[3],
        secrets[2],
        secrets[0],
        secrets[4],
        secrets[5],
        secrets[6],
        secrets[7],
    );
    let events =
        vec![event.clone().into_bytes(), event.into_bytes(), b": x\r\n\r\ndata: [DONE]\n\n".to_vec()];
    let upstream = Upstream::openai().always(Answer::events(events));
    let folder = fresh_directory();

    let output = record(&upstream, "stream-all-sorts", &folder);

    assert!(output.status.success(), "{output:?}");
    assert_eq!(upstream.request(0).key(), KEY);
    assert_eq!(upstream.request(0).text(), "{\"model\":\"m\"}");
    let (path, text) = only_file(&folder);
    assert!(path.ends_with("acme/stream-all-sorts.sse"), "{}", path.display());
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert_eq!(text.matches("chatcmpl-0001").count(), 2, "the same id stays the same: {text}");
    assert!(text.contains("é somebody@mail.example sk-scrubbed org-"), "{text}");
    assert!(
        text.contains("\"prompt_tokens\":1760000") && text.ends_with(": x\r\n\r\ndata: [DONE]\n\n"),
        "{text}"
    );
}

#[test]
fn a_recording_overwrites_nothing_and_matches_its_name() {
    if !is_possible() {
        return;
    }
    let upstream = Upstream::openai().always(Answer::json(429, "{\"error\":{\"message\":\"slow\"}}"));
    let folder = fresh_directory();
    for wrong in ["stream-x", "whole-x", "error-400-x", "error-429", "../error-429-x", "nothing"] {
        assert_eq!(record(&upstream, wrong, &folder).status.code(), Some(2), "{wrong}");
    }
    assert!(!folder.join("acme").exists(), "nothing was written");
    assert!(record(&upstream, "error-429-slow", &folder).status.success());
    let asked = upstream.count();
    let again = record(&upstream, "error-429-slow", &folder);
    assert_eq!((again.status.code(), upstream.count()), (Some(2), asked), "and nobody was asked: {again:?}");
    assert_eq!(only_file(&folder).1, "{\"error\":{\"message\":\"slow\"}}");
}
