//! Secrets in errors, warnings and debug output.

use super::*;

#[test]
fn secrets_are_in_no_output() {
    let good = Machine::with(&[
        ("POE_API_KEY", "canary1 canary1 canary2"),
        ("POE_CUSTOM_HEADER_X_SECRET", "canary"),
        ("PROXY_API_KEY", "canary"),
        ("FOO_API_KEY", "canary"),
    ])
    .toml("[zai]\napi-key = 'canary'");
    assert!(!format!("{:?}", good.load()).contains("canary"));

    let bad = Machine::with(&[
        ("POE_API_KEY", "canary\u{e9}"),
        ("POE_CUSTOM_HEADER_X_SECRET", "canary\n"),
        ("ZAI_API_KEY", "k"),
        ("ZAI_BASE_URL", "https://user:canary@host"),
        ("PROXY_API_KEY", "canary canary"),
    ])
    .toml("proxy-api-key = 'canary canary'\n[poe]\napi-key = ['canary']\nbase-url = 'https://canary@x'\n[poe.custom-headers]\nx-api-key = 'canary'\nx-b = \"canary\\n\"")
    .file("work/.env", "OPENAI_API_KEY canary\nA='canary");
    let mistakes = bad.mistakes();
    assert!(mistakes.len() >= 9, "{mistakes:#?}");
    assert!(!mistakes.concat().contains("canary"), "{mistakes:#?}");
}
