//! The members `code` and `param` of an error, which programs read.

use serde_json::Value;

/// What an error names beside its message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorNames {
    pub code: Option<String>,
    /// The member of the request that is wrong.
    pub param: Option<String>,
}

/// Longer names are no names.
const LONGEST: usize = 128;
/// What clients of the Responses API recognise: they send the whole conversation then.
const NO_PREVIOUS_RESPONSE: &str = "previous_response_not_found";

impl ErrorNames {
    /// For a refusal of the gateway's own, whose message begins with the path of the member, such as `input.0.role: …`.
    #[must_use]
    pub fn of_refusal(message: &str) -> Self {
        let path = message.split_once(": ").map(|(path, _)| path).filter(|path| is_path(path));
        let code =
            path.filter(|path| *path == "previous_response_id").map(|_| NO_PREVIOUS_RESPONSE.to_owned());
        Self { code, param: path.map(with_brackets) }
    }

    /// Those of an upstream's error body.
    #[must_use]
    pub fn of_upstream(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = &body["error"];
        let name = |member: &str| {
            let text = error[member].as_str().filter(|text| !text.is_empty() && text.len() <= LONGEST)?;
            text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| text.to_owned())
        };
        Self { code: name("code"), param: name("param") }
    }
}

/// Whether a text can be the path of a member: words and numbers.
fn is_path(text: &str) -> bool {
    text.len() <= LONGEST
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}

/// The path as OpenAI writes it: `input[0].role`.
fn with_brackets(path: &str) -> String {
    let mut written = String::with_capacity(path.len() + 4);
    for (index, step) in path.split('.').enumerate() {
        if !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            written.extend(["[", step, "]"]);
        } else {
            written.extend([if index == 0 { "" } else { "." }, step]);
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(code: Option<&str>, param: Option<&str>) -> ErrorNames {
        ErrorNames { code: code.map(str::to_owned), param: param.map(str::to_owned) }
    }

    #[test]
    fn a_refusal_names_its_member() {
        for (message, expected) in [
            ("input.0.content.12.file_url: no", names(None, Some("input[0].content[12].file_url"))),
            ("tools.0: expected a tool object", names(None, Some("tools[0]"))),
            ("reasoning.effort: no: never", names(None, Some("reasoning.effort"))),
            ("previous_response_id: no", names(Some(NO_PREVIOUS_RESPONSE), Some("previous_response_id"))),
            ("request body, line 1 column 2: expected a string", names(None, None)),
            ("the request body is not valid JSON", names(None, None)),
            ("Provider: no", names(None, None)),
            ("", names(None, None)),
        ] {
            assert_eq!(ErrorNames::of_refusal(message), expected, "{message}");
        }
    }

    #[test]
    fn an_upstreams_names_are_words() {
        let long = format!(r#"{{"error":{{"code":"{}","param":"p"}}}}"#, "x".repeat(LONGEST + 1));
        for (body, expected) in [
            (
                r#"{"error":{"code":"bad_thing","param":"input[0].content"}}"#,
                names(Some("bad_thing"), Some("input[0].content")),
            ),
            (r#"{"error":{"code":429,"param":null}}"#, names(None, None)),
            (r#"{"error":{"code":"two words","param":""}}"#, names(None, None)),
            (&long, names(None, Some("p"))),
            (r#"{"error":"no"}"#, names(None, None)),
            (r#"[1]"#, names(None, None)),
            ("<html>", names(None, None)),
        ] {
            assert_eq!(ErrorNames::of_upstream(body.as_bytes()), expected, "{body}");
        }
    }
}
