//! Writes system texts.

use super::parts::write_part;
use crate::{
    anthropic::request::MessagesContent,
    convert::{
        Dropped,
        upstream::{
            caching::CacheMarks,
            conversation::{ShownPart, System, is_blank, join, system_texts},
            dialect::Dialect,
        },
    },
    fault::RequestError,
    json::Write,
};

/// Appends a system message and a comma, or nothing if the text is blank.
pub(super) fn system(
    content: &MessagesContent<'_>,
    place: System,
    dialect: &Dialect,
    marks: &CacheMarks,
    dropped: &mut Dropped,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let texts = system_texts(content, place, marks, dropped)?;
    if texts.iter().all(|(text, _)| is_blank(text)) {
        return Ok(());
    }
    let plain: Vec<&str> = texts.iter().map(|(text, _)| *text).collect();
    match place {
        System::Message(_) if !dialect.system_anywhere => {
            out.put(b"{\"role\":\"user\",\"content\":\"<system-reminder>\\n");
            join(&plain, "\\n\\n", out);
            out.put(b"\\n</system-reminder>\"},");
        }
        System::Top | System::Message(_) if texts.iter().any(|(_, mark)| mark.is_some()) => {
            out.put(b"{\"role\":\"system\",\"content\":[");
            for (at, (text, mark)) in texts.iter().enumerate() {
                out.raw(if at > 0 { "," } else { "" });
                write_part(&ShownPart::Text((*text).into()), *mark, out);
            }
            out.put(b"]},");
        }
        System::Top | System::Message(_) => {
            out.put(b"{\"role\":\"system\",\"content\":\"");
            join(&plain, "\\n\\n", out);
            out.put(b"\"},");
        }
    }
    Ok(())
}
