//! Attributes in OTLP's JSON form, and the names of providers.

use serde_json::{Value, json};

/// Attributes under construction.
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<Value>);

impl Attributes {
    pub(super) fn text(&mut self, key: &str, text: &str) -> &mut Self {
        self.add(key, json!({ "stringValue": text }))
    }

    pub(super) fn texts(&mut self, key: &str, texts: &[&str]) -> &mut Self {
        let values: Vec<_> = texts.iter().map(|text| json!({ "stringValue": text })).collect();
        self.add(key, json!({ "arrayValue": { "values": values } }))
    }

    /// 64-bit integers are texts in JSON.
    pub(super) fn whole(&mut self, key: &str, number: u64) -> &mut Self {
        self.add(key, json!({ "intValue": i64::try_from(number).unwrap_or(i64::MAX).to_string() }))
    }

    pub(super) fn fraction(&mut self, key: &str, number: f64) -> &mut Self {
        self.add(key, json!({ "doubleValue": number }))
    }

    /// `value` is in OTLP's form, which names its type.
    pub(super) fn add(&mut self, key: &str, value: Value) -> &mut Self {
        self.0.push(json!({ "key": key, "value": value }));
        self
    }

    pub(super) fn list(self) -> Vec<Value> {
        self.0
    }
}

/// The resource of all exports.
pub(super) fn resource(attributes: &[(String, String)]) -> Value {
    let mut list = Attributes::default();
    for (name, text) in attributes {
        list.text(name, text);
    }
    json!({ "attributes": list.list() })
}

/// Who exports.
pub(super) fn scope() -> Value {
    json!({ "name": "vandamme-proxy", "version": env!("CARGO_PKG_VERSION") })
}

/// `gen_ai.provider.name`: the conventions' word for a provider that they know, otherwise the configured name.
pub(super) fn provider_name(provider: &str) -> &str {
    match provider {
        "azure" => "azure.ai.openai",
        "gemini" => "gcp.gemini",
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        other => other,
    }
}

/// Nanoseconds since the Unix epoch, which are a text in JSON.
pub(super) fn nanos(time: std::time::Duration) -> String {
    time.as_nanos().to_string()
}
