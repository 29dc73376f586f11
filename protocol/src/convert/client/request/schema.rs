//! Schemas of tools in the form that Anthropic accepts.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{fault::RequestError, json::Write, schema_fit};

/// Appends `input_schema` and `strict` of a function. `path` names the function in errors.
pub(crate) fn write_function(
    parameters: Option<&RawValue>,
    strict: Option<bool>,
    path: &dyn std::fmt::Display,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    out.put(b",\"input_schema\":");
    if strict == Some(true) {
        let mut typed = Vec::new();
        schema(parameters, path, &mut typed)?;
        out.raw(&strict_schema(&String::from_utf8_lossy(&typed)));
    } else {
        schema(parameters, path, out)?;
    }
    if let Some(strict) = strict {
        out.raw(if strict { ",\"strict\":true" } else { ",\"strict\":false" });
    }
    Ok(())
}

/// With `strict` Anthropic takes what its structured outputs support, and refuses the rest with the whole request. The top
/// must say that it is an object all the same, which alternatives and references there do not.
fn strict_schema(schema: &str) -> String {
    let reduced = schema_fit::reduced(schema);
    if has_type(&reduced) {
        return reduced;
    }
    schema_fit::fitted(schema).map_or(reduced, |fitted| schema_fit::reduced(&fitted))
}

/// Anthropic requires `"type":"object"` in the schema; OpenAI implies it.
fn schema(
    parameters: Option<&RawValue>,
    path: &dyn std::fmt::Display,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let Some(schema) = parameters.map(RawValue::get) else {
        out.put(b"{\"type\":\"object\",\"properties\":{}}");
        return Ok(());
    };
    let Some(inside) = schema.strip_prefix('{') else {
        return Err(RequestError::new(format!("{path}.parameters: must be an object")));
    };
    if has_type(schema) {
        out.raw(schema);
        return Ok(());
    }
    let is_empty = inside.trim_start().starts_with('}');
    out.raw(if is_empty { "{\"type\":\"object\",\"properties\":{}" } else { "{\"type\":\"object\"," });
    out.raw(inside.trim_start());
    Ok(())
}

fn has_type(schema: &str) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        r#type: Option<IgnoredAny>,
    }
    serde_json::from_str::<Typed>(schema).is_ok_and(|schema| schema.r#type.is_some())
}
