//! Writes content parts in the form of the Responses API.

use crate::{
    convert::upstream::{caching::Mark, conversation::ShownPart},
    json::Write,
};

/// Appends a part of a message or of a tool's output, with this cache mark.
pub(super) fn write_part(part: &ShownPart<'_>, mark: Option<Mark<'_>>, out: &mut Vec<u8>) {
    match part {
        ShownPart::Text(text) => {
            out.put(b"{\"type\":\"input_text\",\"text\":\"");
            out.raw(text);
            out.put(b"\"");
        }
        // Some servers require `detail`. This is the API's own default.
        ShownPart::Image(image) => {
            out.put(b"{\"type\":\"input_image\",\"detail\":\"auto\",\"image_url\":\"");
            image.write_url(out);
            out.put(b"\"");
        }
        ShownPart::Pdf { name, data } => {
            out.put(b"{\"type\":\"input_file\",\"filename\":\"");
            out.raw(name);
            out.put(b"\",\"file_data\":\"data:application/pdf;base64,");
            out.raw(data);
            out.put(b"\"");
        }
        ShownPart::DocumentUrl(url) => {
            out.put(b"{\"type\":\"input_file\",\"file_url\":\"");
            out.raw(url);
            out.put(b"\"");
        }
    }
    if let Some(mark) = mark {
        mark.write(out);
    }
    out.put(b"}");
}
