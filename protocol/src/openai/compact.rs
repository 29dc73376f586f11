//! `/responses/compact` for upstreams that do not have it: the conversation becomes a transcript that a model summarises, and the
//! summary becomes a `compaction` item that takes the place of the conversation.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::compaction;
use crate::fault::{Fault, RequestError};

/// The user's own messages stay as they are, the last ones up to this size: about 16,000 tokens.
const KEPT_MESSAGES: usize = 64 << 10;
const TASK: &str = include_str!("compact/task.md");

/// A request to compact a conversation.
#[derive(Deserialize)]
struct CompactRequest<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    previous_response_id: Option<&'a RawValue>,
}

/// The members that items of a conversation have.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    encrypted_content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    refusal: Option<Cow<'a, str>>,
}

/// A request of the Responses API that asks the same model for a summary of the conversation.
///
/// # Errors
/// The body has no conversation that can be read.
pub fn summary_request(body: &[u8]) -> Result<Vec<u8>, RequestError> {
    #[derive(Serialize)]
    struct SummaryRequest<'a> {
        model: &'a str,
        store: bool,
        instructions: &'static str,
        input: [UserMessage<'a>; 1],
    }
    #[derive(Serialize)]
    struct UserMessage<'a> {
        r#type: &'static str,
        role: &'static str,
        content: &'a str,
    }
    let request = read(body)?;
    let transcript = transcript(&request)?;
    let message = UserMessage { r#type: "message", role: "user", content: &transcript };
    let request =
        SummaryRequest { model: &request.model, store: false, instructions: TASK, input: [message] };
    // The request consists of strings, so serialization cannot fail.
    Ok(serde_json::to_vec(&request).unwrap_or_default())
}

fn read(body: &[u8]) -> Result<CompactRequest<'_>, RequestError> {
    serde_json::from_slice(body).map_err(|error| RequestError::unreadable(&error))
}

fn transcript(request: &CompactRequest<'_>) -> Result<String, RequestError> {
    if request.previous_response_id.is_some_and(|id| id.get() != "null") {
        return Err(RequestError::new(
            "previous_response_id: this gateway keeps no responses; send the whole conversation in input",
        ));
    }
    let required = || RequestError::new("input: field required; send the whole conversation");
    let input = request.input.ok_or_else(required)?.get();
    let mut transcript = String::from("<conversation>\n");
    if let Ok(text) = serde_json::from_str::<Cow<'_, str>>(input) {
        entry(&mut transcript, "user", &text);
    } else {
        let items: Vec<&RawValue> = serde_json::from_str(input)
            .map_err(|_| RequestError::new("input: must be a string or a list of items"))?;
        for (at, item) in items.into_iter().enumerate() {
            add(&mut transcript, item, at)?;
        }
    }
    transcript.push_str("</conversation>");
    Ok(transcript)
}

fn entry(transcript: &mut String, title: &str, text: &str) {
    // Writing to a string cannot fail.
    let _ = write!(transcript, "[{title}]\n{text}\n\n");
}

fn add(transcript: &mut String, raw: &RawValue, at: usize) -> Result<(), RequestError> {
    let item: Item<'_> = serde_json::from_str(raw.get())
        .map_err(|_| RequestError::new(format!("input.{at}: must be an item of a conversation")))?;
    let kind = item.kind.as_deref().unwrap_or("message");
    match kind {
        "message" => {
            let role = item.role.as_deref().unwrap_or("user");
            entry(transcript, role, &item.content.map(text_of).unwrap_or_default());
        }
        // Only its own model can read it.
        "reasoning" | "compaction_trigger" => {}
        "compaction" | "compaction_summary" => {
            let summary = item.encrypted_content.as_deref().and_then(compaction::open);
            let foreign = || {
                RequestError::new(format!(
                    "input.{at}.encrypted_content: this summary was written by another server, and only that server can read it; begin a new conversation"
                ))
            };
            entry(transcript, "summary of what came before", &summary.ok_or_else(foreign)?);
        }
        _ if kind.ends_with("_output") => {
            let output = item.output.map(text_of);
            entry(transcript, "result of a tool", &output.unwrap_or_else(|| raw.get().to_owned()));
        }
        _ if kind.ends_with("_call") => {
            let given = item.arguments.or(item.input).map(text_of);
            let title = format!("call of the tool {}", item.name.as_deref().unwrap_or(kind));
            entry(transcript, &title, &given.unwrap_or_else(|| raw.get().to_owned()));
        }
        _ => entry(transcript, kind, raw.get()),
    }
    Ok(())
}

/// The text of a string, or of a list of parts; other parts are named.
fn text_of(raw: &RawValue) -> String {
    if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
        return text;
    }
    let Ok(parts) = serde_json::from_str::<Vec<Part<'_>>>(raw.get()) else { return raw.get().to_owned() };
    let texts = parts
        .into_iter()
        .map(|part| part.text.or(part.refusal).unwrap_or(Cow::Borrowed("(an image or a file)")));
    texts.collect::<Vec<_>>().join("\n")
}

/// What the reply of the summarising model gives.
#[derive(Deserialize)]
struct SummaryReply<'a> {
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    output: Vec<Item<'a>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

/// Facts that a compaction has beside its summary.
#[derive(Clone, Copy, Debug)]
pub struct CompactionIdentity {
    /// Makes its ids.
    pub seed: u128,
    /// Seconds since 1970.
    pub created: u64,
}

/// The reply to a client that asked to compact the conversation in `request`, from the model's reply of the Responses API.
///
/// # Errors
/// The model wrote no complete summary.
pub fn compaction_of(request: &[u8], reply: &[u8], identity: CompactionIdentity) -> Result<Vec<u8>, Fault> {
    #[derive(Serialize)]
    struct Compaction<'a> {
        id: String,
        object: &'static str,
        created_at: u64,
        output: Vec<&'a RawValue>,
        usage: Option<&'a RawValue>,
    }
    #[derive(Serialize)]
    struct CompactionItem {
        r#type: &'static str,
        id: String,
        encrypted_content: String,
    }
    let reply: SummaryReply<'_> = serde_json::from_slice(reply)
        .map_err(|_| Fault::bad_gateway("the model's summary of the conversation cannot be read"))?;
    if reply.status.as_deref().is_some_and(|status| status != "completed") {
        return Err(Fault::bad_gateway("the model did not complete its summary of the conversation"));
    }
    let messages = reply.output.iter().filter(|item| item.kind.as_deref() == Some("message"));
    let summary: Vec<String> = messages.filter_map(|item| item.content.map(text_of)).collect();
    let summary = summary.join("\n");
    if summary.trim().is_empty() {
        return Err(Fault::bad_gateway("the model wrote no summary of the conversation"));
    }
    let CompactionIdentity { seed, created } = identity;
    let item = CompactionItem {
        r#type: "compaction",
        id: format!("cmp_{seed:032x}"),
        encrypted_content: compaction::seal(summary.trim()),
    };
    // The item consists of strings, so serialization cannot fail.
    let Ok(item) = serde_json::value::to_raw_value(&item) else {
        return Err(Fault::bad_gateway("the summary of the conversation cannot be written"));
    };
    let mut output = kept_messages(request);
    output.push(&item);
    let id = format!("resp_{seed:032x}");
    let compaction =
        Compaction { id, object: "response.compaction", created_at: created, output, usage: reply.usage };
    Ok(serde_json::to_vec(&compaction).unwrap_or_default())
}

/// The last messages of the user, unchanged, up to [`KEPT_MESSAGES`].
fn kept_messages(request: &[u8]) -> Vec<&RawValue> {
    let items = read(request).ok().and_then(|request| request.input);
    let items: Vec<&RawValue> =
        items.and_then(|items| serde_json::from_str(items.get()).ok()).unwrap_or_default();
    let is_users = |raw: &&RawValue| {
        let item = serde_json::from_str::<Item<'_>>(raw.get());
        item.is_ok_and(|item| {
            item.role.as_deref() == Some("user") && item.kind.as_deref().is_none_or(|kind| kind == "message")
        })
    };
    let mut room = KEPT_MESSAGES;
    let fits = |raw: &&RawValue| {
        let fits = raw.get().len() <= room;
        room = room.saturating_sub(raw.get().len());
        fits
    };
    let mut kept: Vec<_> = items.into_iter().rev().filter(is_users).take_while(fits).collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const IDENTITY: CompactionIdentity = CompactionIdentity { seed: 7, created: 9 };

    fn transcript_of(input: &Value) -> Result<String, String> {
        let body = json!({"model": "m", "input": input, "instructions": "be brief", "prompt_cache_key": "k"});
        let request = summary_request(body.to_string().as_bytes()).map_err(|error| error.message)?;
        let request: Value = serde_json::from_slice(&request).unwrap();
        assert_eq!((&request["model"], &request["store"]), (&json!("m"), &json!(false)));
        assert!(request.get("stream").is_none());
        Ok(request["input"][0]["content"].as_str().unwrap().to_owned())
    }

    #[test]
    fn a_conversation_becomes_a_transcript() {
        let transcript = transcript_of(&json!([
            {"type": "compaction", "id": "cmp_1", "encrypted_content": compaction::seal("They began.")},
            {"role": "user", "content": "Fix \"it\""},
            {"type": "reasoning", "encrypted_content": "opaque", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}, {"type": "refusal", "refusal": "No."}]},
            {"type": "function_call", "call_id": "c", "name": "exec", "arguments": "{\"cmd\":\"ls\"}"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a.rs"}, {"type": "input_image", "image_url": "data:"}]},
            {"type": "custom_tool_call", "call_id": "d", "name": "apply_patch", "input": "*** Begin"},
            {"type": "local_shell_call", "action": {"command": ["ls"]}},
            {"type": "odd", "value": 1},
        ]));
        assert_eq!(
            transcript.unwrap(),
            "<conversation>\n[summary of what came before]\nThey began.\n\n[user]\nFix \"it\"\n\n[assistant]\nI look.\nNo.\n\n[call of the tool exec]\n{\"cmd\":\"ls\"}\n\n[result of a tool]\na.rs\n(an image or a file)\n\n[call of the tool apply_patch]\n*** Begin\n\n[call of the tool local_shell_call]\n{\"action\":{\"command\":[\"ls\"]},\"type\":\"local_shell_call\"}\n\n[odd]\n{\"type\":\"odd\",\"value\":1}\n\n</conversation>"
        );
        assert!(transcript_of(&json!("hello")).unwrap().contains("[user]\nhello"));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (input, words) in [
            (json!(7), "input: must be a string or a list"),
            (json!([7]), "input.0: must be an item"),
            (json!([{"type": "compaction", "encrypted_content": "gAAA"}]), "input.0.encrypted_content"),
        ] {
            let error = transcript_of(&input).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
        for (body, words) in [
            ("{\"model\":\"m\"}", "input: field required"),
            ("{\"model\":\"m\",\"input\":[],\"previous_response_id\":\"resp_1\"}", "previous_response_id"),
            ("{\"model\":", "the request body is not valid JSON"),
        ] {
            let error = summary_request(body.as_bytes()).unwrap_err();
            assert!(error.message.starts_with(words), "{}", error.message);
        }
    }

    #[test]
    fn a_summary_becomes_a_compaction_behind_the_users_messages() {
        let long = "x".repeat(KEPT_MESSAGES);
        let request = json!({"model": "m", "input": [
            {"role": "user", "content": long}, {"role": "user", "content": "one"},
            {"type": "message", "role": "assistant", "content": "no"}, {"type": "message", "role": "user", "content": "two"},
        ]});
        let reply = json!({"status": "completed", "usage": {"input_tokens": 5}, "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": " The ünd. "}]},
        ]});
        let made =
            compaction_of(request.to_string().as_bytes(), reply.to_string().as_bytes(), IDENTITY).unwrap();
        let made: Value = serde_json::from_slice(&made).unwrap();
        assert_eq!(
            (&made["object"], &made["created_at"], &made["usage"]["input_tokens"]),
            (&json!("response.compaction"), &json!(9), &json!(5))
        );
        let output = made["output"].as_array().unwrap();
        assert_eq!(output.len(), 3, "{made}");
        assert_eq!((&output[0]["content"], &output[1]["content"]), (&json!("one"), &json!("two")));
        assert_eq!(output[2]["type"], "compaction");
        assert_eq!(compaction::open(output[2]["encrypted_content"].as_str().unwrap()).unwrap(), "The ünd.");
    }

    #[test]
    fn no_summary_is_a_fault() {
        for reply in [
            json!({"status": "completed", "output": []}),
            json!({"status": "incomplete", "output": [{"type": "message", "content": "half"}]}),
            json!([]),
        ] {
            let fault = compaction_of(b"{}", reply.to_string().as_bytes(), IDENTITY).unwrap_err();
            assert_eq!(fault.status, 502, "{reply}");
        }
    }
}
