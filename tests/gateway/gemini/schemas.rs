//! Schemas in requests to Gemini, and unchanged bodies for other models.

use serde_json::{Value, json};

use super::{MODEL, before};
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

fn schema() -> Value {
    json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
        "properties": {"kind": {"const": "a"}, "at": {"type": ["integer", "null"], "exclusiveMinimum": 0},
                       "node": {"$ref": "#/$defs/node"}},
        "required": ["kind"], "$defs": {"node": {"type": "object", "propertyNames": {"pattern": "^x"},
            "properties": {"next": {"$ref": "#/$defs/node"}}}}})
}

fn cleaned() -> Value {
    json!({"type": "object", "properties": {"kind": {"type": "string", "enum": ["a"]},
        "at": {"type": "integer", "nullable": true},
        "node": {"type": "object", "properties": {"next": {"type": "object"}}}}, "required": ["kind"]})
}

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema()}},
                  {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": schema()}}})
}

fn messages(model: &str) -> Value {
    let format = json!({"type": "json_schema", "schema": schema()});
    json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "f", "input_schema": schema()}, {"name": "g", "input_schema": {"type": "object"}}],
        "output_config": {"format": format}})
}

/// Complaint of gateway users: Gemini refuses schemas for a keyword.
#[test]
fn schemas_are_reduced_at_both_endpoints() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).start();
    assert_eq!(gateway.messages(&messages(MODEL)).reply().status(), 200);
    assert_eq!(gateway.call("POST", "/v1/chat/completions").json(&chat(MODEL)).reply().status(), 200);
    for index in 0..2 {
        let body = upstream.request(index).json();
        assert_eq!(body["tools"][0]["function"]["parameters"], cleaned(), "{index}");
        assert!(body["tools"][1]["function"].get("parameters").is_none(), "{body}");
        assert_eq!(body["response_format"]["json_schema"]["schema"], cleaned(), "{index}");
    }
}

#[test]
fn requests_for_other_models_are_unchanged() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).start();
    let body = chat("test-model").to_string().replace(':', " :  ");
    let call = gateway.call("POST", "/v1/chat/completions").header("content-type", "application/json");
    assert_eq!(call.body(body.clone()).reply().status(), 200);
    assert_eq!(upstream.request(0).text(), body);
    gateway.messages(&messages("test-model")).reply();
    assert_eq!(upstream.request(1).json()["tools"][0]["function"]["parameters"], schema());
}

#[test]
fn a_gemini_model_of_a_messages_provider_is_passed_through_unchanged() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let body = messages("gemini-3-pro").to_string();
    let call = gateway.call("POST", "/v1/messages").header("content-type", "application/json");
    assert_eq!(call.body(body.clone()).reply().status(), 200);
    assert_eq!(upstream.request(0).text(), body);
}
