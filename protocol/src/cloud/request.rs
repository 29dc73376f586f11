//! Bodies of Messages requests in a cloud's form.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::CloudForm;
use crate::compat::{self, FixedRequest, Fixup};
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
    let mut all: Vec<Cow<'_, str>> = Vec::new();
    if let Some(stated) = members.read::<Vec<Cow<'_, str>>>(BETAS) {
        all.extend(stated);
    }
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

/// The body of a request to count tokens at Bedrock: that of InvokeModel, in base64. It needs a limit of tokens, which a count
/// does not have.
#[must_use]
pub fn to_bedrock_count(body: &Bytes, betas: &[&str]) -> Bytes {
    let invoke = to_cloud(CloudForm::Bedrock, body, betas).joined();
    let has_limit = members(&invoke).is_some_and(|members| members.value("max_tokens").is_some());
    let invoke = match invoke.strip_prefix(b"{") {
        Some(rest) if !has_limit => [b"{\"max_tokens\":1,", rest].concat(),
        Some(_) | None => invoke.to_vec(),
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

/// A request without the betas that clouds are known to refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithoutRefused {
    /// Without the members that depend on them.
    pub body: Bytes,
    /// Under the names that clouds have for them.
    pub betas: Vec<String>,
}

/// Removes the betas that clouds are known to refuse, with the members that depend on them. `betas` is the value of
/// `anthropic-beta`. A beta that is not known here is kept: an upstream that refuses it says so.
#[must_use]
pub fn without_refused_betas(body: &Bytes, betas: &str) -> WithoutRefused {
    // By name without date. They were tried one by one at Bedrock (2026-10), and BerriAI/litellm lists them for all clouds.
    const REFUSED: [&str; 7] = [
        "advisor-tool-",
        "fast-mode-",
        "files-api-",
        "oauth-",
        "prompt-caching-scope-",
        "skills-",
        "web-fetch-",
    ];
    const RENAMED: (&str, &str) = ("advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19");
    let each = || betas.split(',').map(str::trim).filter(|beta| !beta.is_empty());
    let is_refused = |beta: &&str| REFUSED.iter().any(|refused| beta.starts_with(refused));
    let fixups: Vec<Fixup> = each().filter(is_refused).filter_map(Fixup::beta).collect();
    let FixedRequest { body, betas } = compat::apply(&fixups, body, betas);
    let mut kept: Vec<String> = Vec::new();
    for beta in betas.split(',').map(str::trim).filter(|beta| !beta.is_empty()) {
        let beta = if beta == RENAMED.0 { RENAMED.1 } else { beta };
        if !kept.iter().any(|known| known == beta) {
            kept.push(beta.to_owned());
        }
    }
    WithoutRefused { body, betas: kept }
}

/// A body that a client in a cloud's mode has sent, as one of the Messages API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromCloud {
    /// With `model` and `stream`, without `anthropic_version` and `anthropic_beta`.
    pub body: Bytes,
    /// For the header `anthropic-beta`, separated by commas.
    pub betas: String,
}

/// The Messages request of a client's body; whether it streams is in the path of the client's URL. So is its `model`, except
/// where the body names it.
///
/// # Errors
/// The body is no JSON object; the text says what is wrong.
pub fn from_cloud(body: &Bytes, model: Option<&str>, stream: Streaming) -> Result<FromCloud, String> {
    let members: RawMembers<'_> = match serde_json::from_slice(body) {
        Ok(members) => members,
        Err(error) => return Err(format!("the body must be a JSON object: {error}")),
    };
    let betas = match members.value(BETAS) {
        Some(betas) => serde_json::from_str::<Option<Vec<String>>>(betas.get())
            .map_err(|_| format!("{BETAS}: expected a list of strings"))?
            .unwrap_or_default(),
        None => Vec::new(),
    };
    if betas.iter().any(|beta| !beta.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(format!("{BETAS}: expected names of betas"));
    }
    let betas = betas.join(",");
    let named = members.value("model").map(RawValue::get);
    let model = match model {
        Some(model) => literal(model),
        None => named.ok_or("model: field required")?.to_owned(),
    };
    let mut head = format!("{{\"model\":{model}");
    if stream == Streaming::Yes {
        head.push_str(",\"stream\":true");
    }
    let body = rebuilt(body, &members, head, |name| matches!(name, "model" | "stream" | VERSION | BETAS));
    Ok(FromCloud { body: body.joined(), betas })
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

    /// Requirement: a beta that is refused leaves with the members that depend on it, and what a cloud refuses is recognised.
    #[test]
    fn refused_betas_leave_with_their_members() {
        let body = Bytes::from_static(br#"{"speed":"fast","system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral","scope":"global"}}]}"#);
        let betas = "fast-mode-2026-02-01, prompt-caching-scope-2026-01-05,advanced-tool-use-2025-11-20,effort-2025-11-24";
        let WithoutRefused { body, betas } = without_refused_betas(&body, betas);
        assert_eq!(
            &body[..],
            br#"{"system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}"#
        );
        assert_eq!(betas, ["tool-search-tool-2025-10-19", "effort-2025-11-24"]);
        for refusal in [
            r#"{"message":"invalid beta flag"}"#,
            r#"{"message":"Malformed input request: #: extraneous key [context_management] is not permitted, please reformat your input and try again."}"#,
            r#"{"message":"context_management: Extra inputs are not permitted"}"#,
        ] {
            assert!(!compat::recognise(400, refusal.as_bytes()).is_empty(), "{refusal}");
        }
    }

    #[test]
    fn a_clients_body_becomes_a_messages_request() {
        let body = Bytes::from_static(
            br#"{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["a","b"],"max_tokens":5}"#,
        );
        let found = from_cloud(&body, Some("us.anthropic.x:0"), Streaming::Yes).unwrap();
        assert_eq!(&found.body[..], br#"{"model":"us.anthropic.x:0","stream":true,"max_tokens":5}"#);
        assert_eq!(found.betas, "a,b");
        assert!(from_cloud(&Bytes::from_static(b"[1]"), Some("m"), Streaming::No).is_err());
        for odd in [r#"{"anthropic_beta":"a"}"#, r#"{"anthropic_beta":["a b"]}"#] {
            let refused = from_cloud(&Bytes::from_static(odd.as_bytes()), Some("m"), Streaming::No);
            assert!(refused.is_err_and(|message| message.starts_with("anthropic_beta: ")), "{odd}");
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
