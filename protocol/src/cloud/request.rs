//! Bodies of Messages requests in a cloud's form.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::CloudForm;
use crate::json::RawMembers;
use crate::request::{Pieces, Streaming};

/// The members that a cloud's form has in place of headers.
const VERSION: &str = "anthropic_version";
const BETAS: &str = "anthropic_beta";

/// The body of a Messages request for an upstream of this form: without `model` and `stream`, with `anthropic_version`, and for
/// Bedrock with `anthropic_beta`, the list of `betas`. Nothing else changes. A body that is no JSON object is returned as it is.
#[must_use]
pub fn to_cloud(form: CloudForm, body: &Bytes, betas: &[&str]) -> Pieces {
    let Some(members) = members(body) else { return body.clone().into() };
    let mut all = stated_betas(&members).unwrap_or_default();
    for beta in betas {
        if !all.iter().any(|known| known == beta) {
            all.push(Cow::Borrowed(beta));
        }
    }
    let version =
        members.value(VERSION).map_or_else(|| format!("\"{}\"", form.version()), |it| it.get().to_owned());
    let mut head = format!("{{\"{VERSION}\":{version}");
    if form == CloudForm::Bedrock && !all.is_empty() {
        let list = serde_json::to_string(&all).unwrap_or_default();
        head.push_str(&format!(",\"{BETAS}\":{list}"));
    }
    let is_moved = |name: &str| {
        matches!(name, "model" | "stream" | VERSION) || (name == BETAS && form == CloudForm::Bedrock)
    };
    rebuilt(body, &members, head, is_moved)
}

/// The body of a request to count tokens at Vertex: with `model`, and with `anthropic_version`.
#[must_use]
pub fn to_vertex_count(body: &Bytes, model: &str) -> Pieces {
    let Some(members) = members(body) else { return body.clone().into() };
    let version = CloudForm::Vertex.version();
    let version = members.value(VERSION).map_or_else(|| format!("\"{version}\""), |it| it.get().to_owned());
    let head = format!("{{\"{VERSION}\":{version},\"model\":{}", literal(model));
    rebuilt(body, &members, head, |name| matches!(name, "model" | "stream" | VERSION))
}

/// The body of a request to count tokens at Bedrock: that of InvokeModel, in base64. It needs a limit of tokens above the budget of
/// thinking, which a count does not have.
#[must_use]
pub fn to_bedrock_count(body: &Bytes, betas: &[&str]) -> Bytes {
    #[derive(Default, Deserialize)]
    struct Thinking {
        budget_tokens: Option<u64>,
    }
    let invoke = to_cloud(CloudForm::Bedrock, body, betas).joined();
    let least = members(&invoke).filter(|members| members.value("max_tokens").is_none()).map(|members| {
        let thinking = members.read::<Thinking>("thinking").unwrap_or_default();
        thinking.budget_tokens.unwrap_or_default().saturating_add(1)
    });
    let invoke = match (invoke.strip_prefix(b"{"), least) {
        (Some(rest), Some(least)) => [format!("{{\"max_tokens\":{least},").as_bytes(), rest].concat(),
        _ => invoke.to_vec(),
    };
    format!(r#"{{"input":{{"invokeModel":{{"body":"{}"}}}}}}"#, STANDARD.encode(invoke)).into()
}

/// The body of InvokeModel in a client's request to count its tokens.
///
/// # Errors
/// There is none; the text says what is expected.
pub fn invoke_body_of_count(body: &[u8]) -> Result<Bytes, String> {
    #[derive(Deserialize)]
    struct Request<'a> {
        #[serde(borrow)]
        input: Input<'a>,
    }
    #[derive(Deserialize)]
    struct Input<'a> {
        #[serde(borrow, rename = "invokeModel")]
        invoke_model: InvokeModel<'a>,
    }
    #[derive(Deserialize)]
    struct InvokeModel<'a> {
        #[serde(borrow)]
        body: Cow<'a, str>,
    }
    let expected = || "input.invokeModel.body: expected the body of InvokeModel in base64".to_owned();
    let read: Request<'_> = serde_json::from_slice(body).map_err(|_| expected())?;
    STANDARD.decode(read.input.invoke_model.body.as_bytes()).map(Bytes::from).map_err(|_| expected())
}

/// A count of the Messages API in Bedrock's form.
#[must_use]
pub fn bedrock_count_of(count: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Count {
        input_tokens: u64,
    }
    let Count { input_tokens } = serde_json::from_slice(count).ok()?;
    Some(format!("{{\"inputTokens\":{input_tokens}}}"))
}

/// The count in Bedrock's reply.
#[must_use]
pub fn read_bedrock_count(reply: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Count {
        #[serde(rename = "inputTokens")]
        tokens: u64,
    }
    serde_json::from_slice::<Count>(reply).ok().map(|count| count.tokens)
}

/// A body that a client in a cloud's mode has sent, as one of the Messages API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromCloud {
    /// With `model` and `stream`, without `anthropic_version` and `anthropic_beta`.
    pub body: Bytes,
    /// For the header `anthropic-beta`, separated by commas.
    pub betas: String,
    /// For the header `anthropic-version`: a version of Anthropic's API, which the SDKs state in the place of the cloud's.
    pub version: Option<String>,
}

/// What a client's body is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudBodyUse {
    Reply(Streaming),
    Count,
}

/// The members of a request that a count does not have. Anthropic's API refuses them there, and Bedrock requires the first one.
const NOT_COUNTED: [&str; 7] =
    ["max_tokens", "metadata", "service_tier", "stop_sequences", "temperature", "top_k", "top_p"];

/// The Messages request of a client's body; whether it streams is in the path of the client's URL. So is its `model`, except
/// where the body names it.
///
/// # Errors
/// The body is no JSON object, or its betas are no list; the text says what is wrong.
pub fn from_cloud(body: &Bytes, model: Option<&str>, purpose: CloudBodyUse) -> Result<FromCloud, String> {
    let members: RawMembers<'_> = match serde_json::from_slice(body) {
        Ok(members) => members,
        Err(error) => return Err(format!("the body must be a JSON object: {error}")),
    };
    let betas = stated_betas(&members)?.join(",");
    let version = members.read::<String>(VERSION).filter(|version| is_date(version));
    let named = members.value("model").map(RawValue::get);
    let model = match model {
        Some(model) => literal(model),
        None => named.ok_or("model: field required")?.to_owned(),
    };
    let mut head = format!("{{\"model\":{model}");
    if purpose == CloudBodyUse::Reply(Streaming::Yes) {
        head.push_str(",\"stream\":true");
    }
    let is_moved = |name: &str| {
        matches!(name, "model" | "stream" | VERSION | BETAS)
            || (purpose == CloudBodyUse::Count && NOT_COUNTED.contains(&name))
    };
    let body = rebuilt(body, &members, head, is_moved);
    Ok(FromCloud { body: body.joined(), betas, version })
}

/// The betas in a body: a list, or the text of the header.
fn stated_betas<'a>(members: &RawMembers<'a>) -> Result<Vec<Cow<'a, str>>, String> {
    let Some(value) = members.value(BETAS).filter(|value| value.get() != "null") else { return Ok(vec![]) };
    let list: Vec<Cow<'_, str>> = match serde_json::from_str::<&str>(value.get()) {
        Ok(text) => text.split(',').map(|beta| Cow::Borrowed(beta.trim())).collect(),
        Err(_) => {
            serde_json::from_str(value.get()).map_err(|_| format!("{BETAS}: expected a list of strings"))?
        }
    };
    let is_word = |beta: &str| beta.bytes().all(|byte| byte.is_ascii_graphic());
    match list.iter().position(|beta| !is_word(beta)) {
        Some(at) => Err(format!("{BETAS}.{at}: expected the name of a beta")),
        None => Ok(list.into_iter().filter(|beta| !beta.is_empty()).collect()),
    }
}

/// `2026-10-21`
fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

impl CloudForm {
    /// The value of `anthropic_version` in requests of this form, by Anthropic's documentation.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Bedrock => "bedrock-2023-05-31",
            Self::Vertex => "vertex-2023-10-16",
        }
    }
}

fn members(body: &[u8]) -> Option<RawMembers<'_>> {
    serde_json::from_slice(body).ok()
}

/// The object that begins with `head` and has all members but the moved ones. Runs of kept members are not copied.
fn rebuilt(body: &Bytes, members: &RawMembers<'_>, head: String, is_moved: impl Fn(&str) -> bool) -> Pieces {
    let at = |value: &RawValue| value.get().as_ptr() as usize - body.as_ptr() as usize;
    let mut pieces = vec![Bytes::from(head)];
    let mut kept: Option<Range<usize>> = None;
    // A member begins behind the value before it, with a comma, or behind the brace.
    let mut from = body.iter().position(|byte| *byte == b'{').map_or(0, |brace| brace + 1);
    for (name, value) in members.iter() {
        let end = at(value) + value.get().len();
        let start = body[from..].iter().position(|byte| *byte == b'"').map_or(from, |quote| from + quote);
        if is_moved(name) {
            pieces.extend(kept.take().map(|span| body.slice(span)));
        } else {
            match &mut kept {
                Some(span) => span.end = end,
                None => {
                    pieces.push(Bytes::from_static(b","));
                    kept = Some(start..end);
                }
            }
        }
        from = end;
    }
    pieces.extend(kept.map(|span| body.slice(span)));
    pieces.push(Bytes::from_static(b"}"));
    Pieces::of(pieces)
}

fn literal(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(form: CloudForm, body: &'static str, betas: &[&str]) -> String {
        let body = to_cloud(form, &Bytes::from_static(body.as_bytes()), betas).joined();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn model_and_stream_leave_and_the_version_comes() {
        assert_eq!(
            cloud(
                CloudForm::Bedrock,
                r#"{"model":"m","max_tokens":1, "stream" : true,"messages":[{"model":1}] , "x":2}"#,
                &["a", "b"]
            ),
            r#"{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["a","b"],"max_tokens":1,"messages":[{"model":1}] , "x":2}"#
        );
        assert_eq!(
            cloud(CloudForm::Vertex, r#" {"mod\u0065l":"m","model":"n"} "#, &["a"]),
            r#"{"anthropic_version":"vertex-2023-10-16"}"#
        );
        assert_eq!(
            cloud(
                CloudForm::Bedrock,
                r#"{"anthropic_beta":["z","a"],"anthropic_version":"v","k":1}"#,
                &["a"]
            ),
            r#"{"anthropic_version":"v","anthropic_beta":["z","a"],"k":1}"#
        );
        assert_eq!(cloud(CloudForm::Bedrock, "{}", &[]), r#"{"anthropic_version":"bedrock-2023-05-31"}"#);
        assert_eq!(cloud(CloudForm::Bedrock, "[]", &[]), "[]");
    }

    #[test]
    fn a_clients_body_becomes_a_messages_request() {
        let body = Bytes::from_static(
            br#"{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["a","b"],"max_tokens":5}"#,
        );
        let reply = CloudBodyUse::Reply(Streaming::Yes);
        let found = from_cloud(&body, Some("us.anthropic.x:0"), reply).unwrap();
        assert_eq!(&found.body[..], br#"{"model":"us.anthropic.x:0","stream":true,"max_tokens":5}"#);
        assert_eq!((found.betas.as_str(), found.version), ("a,b", None));
        assert!(from_cloud(&Bytes::from_static(b"[1]"), Some("m"), reply).is_err());
    }

    /// The SDKs of October 2026 state Anthropic's version, and some clients the header's text.
    #[test]
    fn versions_and_betas_of_a_body_are_those_of_headers() {
        let read = |body: &'static str| {
            let body = Bytes::from_static(body.as_bytes());
            from_cloud(&body, Some("m"), CloudBodyUse::Reply(Streaming::No))
        };
        let found = read(r#"{"anthropic_version":"2026-10-21","anthropic_beta":"a, b,"}"#).unwrap();
        assert_eq!((found.version.as_deref(), found.betas.as_str()), (Some("2026-10-21"), "a,b"));
        assert_eq!(&found.body[..], br#"{"model":"m"}"#);
        assert_eq!(read(r#"{"anthropic_beta":null}"#).unwrap().betas, "");
        for (betas, error) in [
            ("{}", "anthropic_beta: expected a list of strings"),
            ("[1]", "anthropic_beta: expected a list of strings"),
            (r#"["a","b\r\nx: y"]"#, "anthropic_beta.1: expected the name of a beta"),
        ] {
            let body = Bytes::from(format!(r#"{{"anthropic_beta":{betas}}}"#));
            let refused = from_cloud(&body, Some("m"), CloudBodyUse::Reply(Streaming::No));
            assert_eq!(refused, Err(error.to_owned()));
        }
    }

    /// Claude Code counts at Bedrock with `max_tokens`, which Anthropic's endpoint for counts refuses; Bedrock requires it.
    #[test]
    fn a_count_has_a_limit_of_tokens_at_bedrock_only() {
        let body = br#"{"anthropic_version":"bedrock-2023-05-31","messages":[{"max_tokens":1}],"max_tokens":1,"top_p":1,"tools":[]}"#;
        let counted = from_cloud(&Bytes::from_static(body), Some("m"), CloudBodyUse::Count).unwrap();
        assert_eq!(&counted.body[..], br#"{"model":"m","messages":[{"max_tokens":1}],"tools":[]}"#);
        for (body, expected) in [
            (r#"{"model":"m","x":1}"#, 1),
            (r#"{"thinking":{"type":"enabled","budget_tokens":2048}}"#, 2049),
            (r#"{"thinking":{"type":"adaptive"}}"#, 1),
            (r#"{"max_tokens":7}"#, 7),
        ] {
            let counted = to_bedrock_count(&Bytes::from_static(body.as_bytes()), &[]);
            let invoke = invoke_body_of_count(&counted).unwrap();
            let invoke: serde_json::Value = serde_json::from_slice(&invoke).unwrap();
            assert_eq!(invoke["max_tokens"], expected, "{body}");
        }
    }

    #[test]
    fn a_count_at_vertex_names_its_model() {
        let body =
            to_vertex_count(&Bytes::from_static(br#"{"model":"x","messages":[]}"#), "claude-y").joined();
        assert_eq!(
            &body[..],
            br#"{"anthropic_version":"vertex-2023-10-16","model":"claude-y","messages":[]}"#
        );
    }
}
