//! A Chat Completions request to Gemini, parsed only as deep as edits require.

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{schema, signatures};
use crate::json::{List, Literal, Object};
use crate::middleware::Memory;
use crate::request::Splice;

/// Google's placeholder for a call without a known signature, for example from another model. Without any signature,
/// Gemini 3 refuses the whole conversation (ai.google.dev/gemini-api/docs/thought-signatures).
const UNKNOWN: &str = r#"{"google":{"thought_signature":"skip_thought_signature_validator"}}"#;
/// The first generation that refuses calls without a signature.
const STRICT: u32 = 3;

pub(super) struct GeminiRequest<'a> {
    text: &'a str,
    request: GeminiRequestBody<'a>,
}

#[derive(Deserialize)]
struct GeminiRequestBody<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    messages: List<&'a RawValue>,
    #[serde(borrow, default)]
    tools: List<Object<GeminiTool<'a>>>,
    #[serde(borrow, default = "Default::default")]
    response_format: Object<GeminiResponseFormat<'a>>,
}

#[derive(Deserialize)]
struct GeminiTool<'a> {
    #[serde(borrow)]
    function: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct GeminiFunction<'a> {
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct GeminiResponseFormat<'a> {
    #[serde(borrow, default = "Default::default")]
    json_schema: Object<JsonSchemaFormat<'a>>,
}

#[derive(Deserialize)]
struct JsonSchemaFormat<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct GeminiMessage<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: List<&'a RawValue>,
    #[serde(borrow)]
    extra_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct GeminiPart<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct GeminiCall<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    extra_content: Option<&'a RawValue>,
}

/// A text or a call of the model that the client sent back without a signature.
struct Unsigned<'a> {
    /// The JSON object of the message or call.
    object: &'a RawValue,
    extra_content: Option<&'a RawValue>,
    key: String,
}

impl<'a> GeminiRequest<'a> {
    /// Returns `None` for a body that no Chat Completions upstream accepts either.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        Some(Self { text, request: serde_json::from_str(text).ok()? })
    }

    /// Returns the number of messages.
    pub(super) fn turns(&self) -> usize {
        self.request.messages.0.len()
    }

    /// Returns the keys of all missing signatures.
    pub(super) fn missing_signatures(&self) -> Vec<String> {
        let mut missing = vec![];
        for (turn, (raw, message)) in self.replies() {
            missing.extend(unsigned_text(turn, raw, &message).map(|text| text.key));
            missing.extend(
                calls(&message).filter_map(|(raw, call)| unsigned_call(raw, &call)).map(|call| call.key),
            );
        }
        missing
    }

    /// Restores known signatures.
    pub(super) fn signature_edits(&self, known: &Memory) -> Vec<Splice> {
        let is_strict = self.is_strict();
        let mut edits = vec![];
        for (turn, (raw, message)) in self.replies() {
            let text = unsigned_text(turn, raw, &message);
            edits.extend(text.and_then(|text| self.sign(&text, known.get(&text.key)?)));
            let calls: Vec<_> = calls(&message).map(|(raw, call)| unsigned_call(raw, &call)).collect();
            let found =
                |call: &Option<Unsigned<'_>>| call.as_ref().is_none_or(|call| known.contains_key(&call.key));
            let is_signed = calls.iter().any(found);
            for (at, call) in calls.into_iter().enumerate() {
                let Some(call) = call else { continue };
                // Of parallel calls, usually only the first has a signature.
                let stand_in = (is_strict && !is_signed && at == 0).then_some(UNKNOWN);
                let signature = known.get(&call.key).map(String::as_str).or(stand_in);
                edits.extend(signature.and_then(|signature| self.sign(&call, signature)));
            }
        }
        edits
    }

    /// Replaces schemas by the forms that Gemini accepts.
    pub(super) fn schema_edits(&self) -> Vec<Splice> {
        let mut edits = vec![];
        for tool in self.request.tools.0.iter().filter_map(|tool| tool.0.as_ref()) {
            edits.extend(tool.function.and_then(|function| self.clean(function)));
        }
        let format = self.request.response_format.0.as_ref().and_then(|format| format.json_schema.0.as_ref());
        if let Some(old) = format.and_then(|format| format.schema) {
            edits.extend(self.replace(old, schema::answer(old)));
        }
        edits
    }

    fn clean(&self, function: &'a RawValue) -> Option<Splice> {
        let old = serde_json::from_str::<GeminiFunction<'_>>(function.get()).ok()?.parameters?;
        match schema::parameters(old) {
            Some(new) => self.replace(old, new),
            None => self.replace(function, without_parameters(function)?),
        }
    }

    /// Returns the assistant turns that can be parsed.
    fn replies(&self) -> impl Iterator<Item = (usize, (&'a RawValue, GeminiMessage<'a>))> {
        let messages = self.request.messages.0.iter().enumerate();
        messages.filter_map(|(turn, raw)| {
            let message: GeminiMessage<'a> = serde_json::from_str(raw.get()).ok()?;
            let role = message.role.and_then(Literal::of)?;
            role.is("assistant").then_some((turn, (*raw, message)))
        })
    }

    /// Whether the model refuses calls without a signature.
    fn is_strict(&self) -> bool {
        let model = self.request.model.and_then(Literal::of).and_then(Literal::decode).unwrap_or_default();
        let model = model.to_ascii_lowercase();
        let generations = model.split("gemini-").skip(1).filter_map(|rest| {
            let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            rest[..digits].parse::<u32>().ok()
        });
        generations.max().is_some_and(|generation| generation >= STRICT)
    }

    fn sign(&self, unsigned: &Unsigned<'a>, signature: &str) -> Option<Splice> {
        if let Some(old) = unsigned.extra_content {
            return self.replace(old, merged(old, signature)?);
        }
        let object = unsigned.object.get();
        let end = self.offset(unsigned.object)? + object.len() - 1;
        Some(Splice { span: end..end, text: format!(",\"extra_content\":{signature}") })
    }

    fn replace(&self, old: &RawValue, new: String) -> Option<Splice> {
        let start = self.offset(old)?;
        (old.get() != new).then(|| Splice { span: start..start + old.get().len(), text: new })
    }

    /// Returns the offset of a value that is borrowed from the text.
    fn offset(&self, raw: &RawValue) -> Option<usize> {
        let offset = (raw.get().as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        (offset + raw.get().len() <= self.text.len()).then_some(offset)
    }
}

fn calls<'a>(message: &GeminiMessage<'a>) -> impl Iterator<Item = (&'a RawValue, GeminiCall<'a>)> {
    message.tool_calls.0.iter().filter_map(|raw| Some((*raw, serde_json::from_str(raw.get()).ok()?)))
}

fn unsigned_call<'a>(raw: &'a RawValue, call: &GeminiCall<'a>) -> Option<Unsigned<'a>> {
    let id = Literal::of(call.id?)?.decode()?;
    unsigned(raw, call.extra_content, || signatures::call_key(&id))
}

/// An empty text has no signature.
fn unsigned_text<'a>(turn: usize, raw: &'a RawValue, message: &GeminiMessage<'a>) -> Option<Unsigned<'a>> {
    let text = text_of(message.content?)?;
    if text.trim().is_empty() {
        return None;
    }
    unsigned(raw, message.extra_content, || signatures::text_key(turn, &text))
}

fn unsigned<'a>(
    object: &'a RawValue,
    extra_content: Option<&'a RawValue>,
    key: impl FnOnce() -> String,
) -> Option<Unsigned<'a>> {
    let is_signed = extra_content.and_then(super::signature).is_some();
    (!is_signed).then(|| Unsigned { object, extra_content, key: key() })
}

fn text_of(content: &RawValue) -> Option<String> {
    if let Some(text) = Literal::of(content) {
        return text.decode().map(Into::into);
    }
    let parts: List<Object<GeminiPart<'_>>> = serde_json::from_str(content.get()).ok()?;
    let texts = parts.0.iter().filter_map(|part| Literal::of(part.0.as_ref()?.text?)?.decode());
    Some(texts.collect())
}

/// Removes the parameters of a function that has none: Gemini refuses an object without properties.
fn without_parameters(function: &RawValue) -> Option<String> {
    let mut members: Map<String, Value> = serde_json::from_str(function.get()).ok()?;
    members.remove("parameters");
    Some(Value::Object(members).to_string())
}

/// Merges the signature into the client's `extra_content`.
fn merged(old: &RawValue, signature: &str) -> Option<String> {
    let mut old: Map<String, Value> = serde_json::from_str(old.get()).unwrap_or_default();
    let new: Map<String, Value> = serde_json::from_str(signature).ok()?;
    for (name, value) in new {
        match (old.get_mut(&name), value) {
            (Some(Value::Object(known)), Value::Object(value)) => known.extend(value),
            (_, value) => {
                old.insert(name, value);
            }
        }
    }
    Some(Value::Object(old).to_string())
}
