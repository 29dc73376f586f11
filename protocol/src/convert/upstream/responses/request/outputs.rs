//! Writes the results of tool calls: a string, or a list of parts if there are images, documents or a cache mark.

use super::parts::write_part;
use crate::{
    convert::upstream::{
        caching::{CacheMarks, Mark},
        conversation::{BlockPath, MediaSupport, PairedToolUse, ShownPart, ToolOutput, UNANSWERED, is_blank},
    },
    fault::RequestError,
    json::Write,
};

/// Appends the result of a call and a comma. The API refuses a call without a result, so a missing one is replaced.
pub(super) fn write_output(
    call: &PairedToolUse<'_, '_>,
    marks: &CacheMarks,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    out.put(b"{\"type\":\"function_call_output\",\"call_id\":");
    out.quoted(&call.id);
    out.put(b",\"output\":");
    match &call.answer {
        None => out.quoted(UNANSWERED),
        Some(answer) => {
            let path = BlockPath { turn: answer.turn, at: answer.at };
            let output = ToolOutput::read(answer.block, &path, MediaSupport::DocumentUrls)?;
            write_content(&output, marks.mark(answer.block.cache_control), out);
        }
    }
    out.put(b"},");
    Ok(())
}

fn write_content(output: &ToolOutput<'_>, mark: Option<Mark<'_>>, out: &mut Vec<u8>) {
    let is_text = output.parts().iter().all(ShownPart::is_text);
    match mark {
        None if is_text => {
            out.put(b"\"");
            output.write_text(out);
            out.put(b"\"");
        }
        Some(mark) if is_text => {
            out.put(b"[{\"type\":\"input_text\",\"text\":\"");
            output.write_text(out);
            out.put(b"\"");
            mark.write(out);
            out.put(b"}]");
        }
        Some(_) | None => write_list(output, mark, out),
    }
}

/// Appends the parts in their order; the mark is on the last one.
fn write_list(output: &ToolOutput<'_>, mark: Option<Mark<'_>>, out: &mut Vec<u8>) {
    let prefix = output.prefix().trim_end();
    let prefix = (!prefix.is_empty()).then(|| ShownPart::Text(prefix.into()));
    let is_shown = |part: &&ShownPart<'_>| match part {
        ShownPart::Text(text) => !is_blank(text),
        ShownPart::Image(_) | ShownPart::Pdf { .. } | ShownPart::DocumentUrl(_) => true,
    };
    let mut parts = prefix.iter().chain(output.parts()).filter(is_shown).peekable();
    out.put(b"[");
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        write_part(part, mark.filter(|_| is_last), out);
        out.raw(if is_last { "" } else { "," });
    }
    out.put(b"]");
}
