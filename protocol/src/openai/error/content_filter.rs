//! Names the Azure content filter that stopped a prompt: its errors report it beside the message.

use serde_json::Value;

/// Returns a suffix for the message of `error`: ` (filtered: hate (high), jailbreak)`. Empty for any other error.
pub(super) fn reasons(error: &Value) -> String {
    let results = error.get("innererror").and_then(|inner| inner.get("content_filter_result"));
    let Some(Value::Object(results)) = results else { return String::new() };
    let stopped = results.iter().filter(|(_, result)| result.get("filtered") == Some(&Value::Bool(true)));
    let reasons: Vec<_> = stopped
        .map(|(category, result)| match result.get("severity").and_then(Value::as_str) {
            Some(severity) => format!("{category} ({severity})"),
            None => category.clone(),
        })
        .collect();
    if reasons.is_empty() { String::new() } else { format!(" (filtered: {})", reasons.join(", ")) }
}

#[cfg(test)]
mod tests {
    use crate::openai::error::read;
    use crate::vocabulary::ErrorKind;

    #[test]
    fn a_filtered_prompt_is_reported_with_its_filters() {
        let body = br#"{"error":{"message":"The response was filtered.","type":null,"param":"prompt","code":"content_filter",
            "status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{
            "hate":{"filtered":true,"severity":"high"},"jailbreak":{"filtered":true,"detected":true},
            "violence":{"filtered":false,"severity":"safe"}}}}}"#;

        let fault = read(400, body);

        assert_eq!((fault.status, fault.kind), (400, ErrorKind::InvalidRequest));
        assert_eq!(fault.message, "The response was filtered. (filtered: hate (high), jailbreak)");
    }

    #[test]
    fn an_error_without_filters_keeps_its_message() {
        for inner in
            [r#"null"#, r#"{"code":"x"}"#, r#"{"content_filter_result":{"hate":{"filtered":false}}}"#]
        {
            let body = format!(r#"{{"error":{{"message":"m","innererror":{inner}}}}}"#);
            assert_eq!(read(400, body.as_bytes()).message, "m");
        }
    }
}
