//! Writes content parts in the form of Chat Completions.

use crate::{
    convert::upstream::{caching::Mark, conversation::ShownPart},
    json::Write,
};

/// Appends a content part with this cache mark.
pub(super) fn write_part(part: &ShownPart<'_>, mark: Option<Mark<'_>>, out: &mut Vec<u8>) {
    match part {
        ShownPart::Text(text) => {
            out.put(b"{\"type\":\"text\",\"text\":\"");
            out.raw(text);
            out.put(b"\"");
        }
        ShownPart::Image(image) => {
            out.put(b"{\"type\":\"image_url\",\"image_url\":{\"url\":\"");
            image.write_url(out);
            out.put(b"\"}");
        }
        ShownPart::Pdf { name, data } => {
            out.put(b"{\"type\":\"file\",\"file\":{\"filename\":\"");
            out.raw(name);
            out.put(b"\",\"file_data\":\"data:application/pdf;base64,");
            out.raw(data);
            out.put(b"\"}");
        }
        // Chat Completions has no part for it, so the reader refuses it (`MediaSupport::NoDocumentUrls`).
        ShownPart::DocumentUrl(url) => {
            out.put(b"{\"type\":\"text\",\"text\":\"");
            out.raw(url);
            out.put(b"\"");
        }
    }
    if let Some(mark) = mark {
        mark.write(out);
    }
    out.put(b"}");
}
