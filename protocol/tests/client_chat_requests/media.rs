//! Images and files.

use super::*;

/// Requirement: Temperature, stop, tool_choice, images, assistant text+tool_calls survive to Anthropic;
/// consecutive tool messages merge.
#[test]
fn images_become_blocks() {
    let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url, "detail": "high"}});
    let base64 = |media_type: &str| json!({"type": "image", "source": {"type": "base64", "media_type": media_type, "data": "AA=="}});
    assert_eq!(
        blocks(json!([
            text("look"),
            image(PNG),
            image("data:image/jpg;charset=x;base64,AA=="),
            image("https://x/y.png"),
            {"type": "image_url", "image_url": "HTTP://x/z"},
            image("data:application/pdf;base64,AA=="),
        ])),
        json!([
            text("look"),
            base64("image/png"),
            base64("image/jpeg"),
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
            {"type": "image", "source": {"type": "url", "url": "HTTP://x/z"}},
            {"type": "document",
             "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}},
        ])
    );
    let escaped = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image\/png;base64,a\/b="}}]}]}"#;
    let target = MessagesUpstream { provider: "p", model: MODEL, requested_model: "p:m" };
    let sent: Value = serde_json::from_slice(&request(escaped.as_bytes(), &target).unwrap().body).unwrap();
    let source = &sent["messages"][0]["content"][0]["source"];
    assert_eq!((&source["media_type"], &source["data"]), (&json!("image/png"), &json!("a/b=")));
}

#[test]
fn files_become_documents() {
    let file = |data: &str| json!({"type": "file", "file": {"filename": "a \"b\".pdf", "file_data": data}});
    let document = |data: &str| {
        json!({"type": "document", "title": "a \"b\".pdf",
               "source": {"type": "base64", "media_type": "application/pdf", "data": data}})
    };
    assert_eq!(
        blocks(json!([file("data:application/pdf;base64,JVBERi0x"), file("JVBERi0y"), file(PNG)])),
        json!([
            document("JVBERi0x"),
            document("JVBERi0y"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        ])
    );
}

#[test]
fn what_only_a_user_may_show_moves_out_of_the_assistants_message() {
    let image = json!({"type": "image_url", "image_url": {"url": PNG}});
    let file = json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0x"}});
    let source = |kind: &str, data: &str| json!({"type": "base64", "media_type": kind, "data": data});
    let (shown, document) = (
        json!({"type": "image", "source": source("image/png", "AA==")}),
        json!({"type": "document", "source": source("application/pdf", "JVBERi0x")}),
    );
    let sent = messages(json!([
        {"role": "user", "content": "draw"},
        {"role": "assistant", "content": [text("Here:"), image, file], "tool_calls": [call("a", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": "r"},
        {"role": "assistant", "content": [file]},
    ]));
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": [text("draw"), shown, document]},
            {"role": "assistant", "content": [text("Here:"), tool_use("a", json!({}))]},
            {"role": "user", "content": [result("a", json!("r")), document]},
        ])
    );
}
