//! Custom tools, whose input is plain text, as functions with one string property.

use serde_json::value::RawValue;

use crate::{
    convert::client::custom::PROPERTY,
    fault::RequestError,
    json::{JsonWord, Literal, Write, trim},
};

/// The form that the input must have: the members of a format, each API's at its own place.
pub(crate) struct InputFormat<'r, 'a> {
    pub(crate) kind: Option<&'r JsonWord<'a>>,
    pub(crate) syntax: Option<&'r JsonWord<'a>>,
    pub(crate) definition: Option<Literal<'a>>,
    /// Whether the grammar's members are there at all, and the path of the object that has them.
    pub(crate) grammar_path: Option<&'static str>,
}

/// Appends the schema of the function, whose property says what form the text must have. `path` names the tool in errors.
pub(crate) fn write_schema(
    format: Option<&InputFormat<'_, '_>>,
    path: &dyn std::fmt::Display,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    out.put(b"{\"type\":\"object\",\"properties\":{");
    out.string(PROPERTY);
    out.put(b":{\"type\":\"string\",\"description\":\"The tool's input as plain text.");
    if let Some(format) = format {
        format.write(path, out)?;
    }
    out.put(b"\"}},\"required\":[");
    out.string(PROPERTY);
    out.put(b"],\"additionalProperties\":false}");
    Ok(())
}

impl InputFormat<'_, '_> {
    /// Appends what the format demands, as inner text.
    fn write(&self, path: &dyn std::fmt::Display, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let wrong = |what: &str| RequestError::new(format!("{path}.format{what}"));
        match self.kind.map(JsonWord::as_str) {
            Some("text") => return Ok(()),
            Some("grammar") => {}
            Some(_) | None => return Err(wrong(".type: must be text or grammar")),
        }
        let inside = self.grammar_path.ok_or_else(|| wrong(".grammar: field required"))?;
        let definition = self.definition.filter(|definition| !trim(definition.inner()).is_empty());
        let definition = definition.ok_or_else(|| wrong(&format!("{inside}.definition: field required")))?;
        out.raw(match self.syntax.map(JsonWord::as_str) {
            Some("lark") => " It must match this Lark grammar:\\n\\n",
            Some("regex") => " It must match this regular expression:\\n\\n",
            Some(_) | None => return Err(wrong(&format!("{inside}.syntax: must be lark or regex"))),
        });
        out.raw(definition.inner());
        Ok(())
    }
}

/// Appends the input of a call, as arguments of the function.
pub(crate) fn write_input(text: Option<&RawValue>, out: &mut Vec<u8>) {
    out.put(b"{");
    out.string(PROPERTY);
    out.put(b":");
    match text.map(|raw| (raw, Literal::of(raw))) {
        None => out.put(b"\"\""),
        Some((_, Some(literal))) => out.quoted(literal.inner()),
        Some((raw, None)) => out.string(raw.get()),
    }
    out.put(b"}");
}
