//! Content parts of Chat Completions as blocks.

use std::fmt;

use serde_json::value::RawValue;

use crate::{
    convert::client::request::blocks::{BlockDraft, is_word},
    fault::RequestError,
    json::{Literal, wrong_type},
    openai::request::{ContentPart, FilePart, ImageUrl},
};

/// Parses a part; `None` if it is empty. `path` names it in errors.
pub(super) fn block<'a>(
    part: &ContentPart<'a>,
    path: &dyn fmt::Display,
) -> Result<Option<BlockDraft<'a>>, RequestError> {
    Ok(match part.kind() {
        "text" => BlockDraft::text(part.text),
        "refusal" => BlockDraft::text(part.refusal),
        "image_url" => Some(image(part.image_url, path)?),
        "file" => Some(file(part.file, path)?),
        "" => return Err(RequestError::new(format!("{path}.type: field required"))),
        _ => return Err(unsupported(part, path)),
    })
}

fn image<'a>(raw: Option<&'a RawValue>, path: &dyn fmt::Display) -> Result<BlockDraft<'a>, RequestError> {
    let problem = |text: &str| RequestError::new(format!("{path}.image_url{text}"));
    let raw = raw.ok_or_else(|| problem(": field required"))?;
    // Some clients write the URL in the object's place.
    let url = match Literal::of(raw) {
        Some(url) => url,
        None => {
            let object: ImageUrl<'a> = serde_json::from_str(raw.get())
                .map_err(|error| problem(&format!(": {}", wrong_type(&error))))?;
            object.url.ok_or_else(|| problem(".url: field required"))?
        }
    };
    BlockDraft::image(url, &format_args!("{path}.image_url.url"))
}

fn file<'a>(raw: Option<&'a RawValue>, path: &dyn fmt::Display) -> Result<BlockDraft<'a>, RequestError> {
    let problem = |text: &str| RequestError::new(format!("{path}.file{text}"));
    let raw = raw.ok_or_else(|| problem(": field required"))?;
    let file: FilePart<'a> =
        serde_json::from_str(raw.get()).map_err(|error| problem(&format!(": {}", wrong_type(&error))))?;
    let data = file.file_data;
    let data = data.ok_or_else(|| problem(".file_data: field required; a file_id means nothing here"))?;
    BlockDraft::file(data, file.filename, &format_args!("{path}.file.file_data"))
}

/// The refusal of a part whose loss would change the meaning.
fn unsupported(part: &ContentPart<'_>, path: &dyn fmt::Display) -> RequestError {
    match part.kind() {
        kind if is_word(kind) => {
            let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
            RequestError::new(format!(
                "{path}: {article} {kind} part is not supported by an Anthropic-format provider"
            ))
        }
        _ => RequestError::new(format!("{path}.type: no content part has this type")),
    }
}
