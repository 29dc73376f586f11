//! Images and documents.

use super::*;

/// Requirement: Base64 image → data URI part.
/// Requirement: URL image → `image_url` with the URL.
#[test]
fn images_become_parts() {
    let sent = messages(json!([{"role": "user", "content": [
        {"type": "text", "text": "look"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
    ]}]));
    assert_eq!(
        sent,
        json!([{"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        ]}])
    );
}

/// Requirement: PDF document → file part; text document → text.
#[test]
fn documents_become_files_or_text() {
    let sent = messages(json!([{"role": "user", "content": [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}, "title": "a.pdf"},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain\ntext"}, "title": "T", "context": "C"},
        {"type": "document", "source": {"type": "content", "content": [
            {"type": "text", "text": "one"},
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]}},
        {"type": "search_result", "source": "https://x", "title": "R", "content": [{"type": "text", "text": "found"}]},
    ]}]));
    assert_eq!(
        sent[0]["content"],
        json!([
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            {"type": "text", "text": "<title>T</title>\n<context>C</context>\nplain\ntext"},
            {"type": "text", "text": "one"},
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            {"type": "text", "text": "<title>R</title>\n<source>https://x</source>\nfound"},
        ])
    );
}

/// Complaint of gateway users: images in results are dropped.
#[test]
fn documents_in_a_tool_result_follow_its_message() {
    let sent = messages(json!([
        {"role": "user", "content": "read"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "Read", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
            {"type": "search_result", "source": "s", "title": "R", "content": [{"type": "text", "text": "found"}]}]},
            {"type": "text", "text": "and?"}]},
    ]));
    let told = "[document attached below]\n<title>R</title>\n<source>s</source>\nfound";
    assert_eq!(sent[2], json!({"role": "tool", "tool_call_id": "c", "content": told}));
    assert_eq!(sent[3]["content"][0]["text"], "Document returned by tool Read (c)");
    assert_eq!(sent[3]["content"][1]["type"], "file");
    assert_eq!(sent[4], json!({"role": "user", "content": "and?"}));
}

#[test]
fn the_error_for_an_unsupported_document_has_its_path() {
    for (source, part) in [
        (json!({"type": "url", "url": "https://x/a.pdf"}), "messages.0.content.0.source.type"),
        (json!({"type": "file", "file_id": "f"}), "messages.0.content.0.source.type"),
        (json!({"type": "base64", "media_type": "text/csv", "data": "x"}), "source.media_type"),
        (json!({"type": "base64"}), "source.data"),
        (json!({"type": "content", "content": [{"type": "video"}]}), "source.content.0.type"),
        (json!({"type": "odd"}), "source.type"),
        (json!(null), "source"),
    ] {
        let message = refusal(
            json!({"messages": [{"role": "user", "content": [{"type": "document", "source": source}]}]}),
        );
        assert!(message.contains(part), "{message}");
    }
}
