//! Properties of every form that is scanned.

use bytes::Bytes;
use vandamme_protocol::request::{form_boundary, form_head};

/// Checks the scan of this body with this boundary, and of its first `cut` bytes.
pub(crate) fn check(boundary: &str, body: &[u8], cut: usize) {
    let body = Bytes::copy_from_slice(body);
    let whole = form_head(&body, boundary);
    if let Ok(beginning) = form_head(&body[..cut.min(body.len())], boundary) {
        let whole = whole.as_ref().expect("nothing after the closing boundary counts");
        assert_eq!((&beginning.model, beginning.delivery), (&whole.model, whole.delivery));
    }
    let Ok(found) = whole else { return };
    let edited = found.with_model(&body, "m\"é").joined();
    let again = form_head(&edited, boundary).expect("an edited form is a form");
    assert_eq!((&*again.model, again.delivery), ("m\"é", found.delivery));
    let others = [found.with_model(&body, "other").joined(), again.with_model(&edited, "other").joined()];
    assert_eq!(others[0], others[1], "only the value changed");
}

/// A boundary and a form, each after the other; or the value of a content type.
pub(crate) fn check_any(bytes: &[u8], cut: usize) {
    let Some((&size, rest)) = bytes.split_first() else { return };
    let (boundary, body) = rest.split_at((usize::from(size) % 9).min(rest.len()));
    if let Ok(boundary) = std::str::from_utf8(boundary)
        && !boundary.is_empty()
        && boundary.bytes().all(|byte| byte.is_ascii_graphic())
    {
        check(boundary, body, cut);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(Ok(boundary)) = form_boundary(&format!("multipart/form-data;{text}"))
    {
        assert!(!boundary.is_empty() && boundary.len() <= 200);
    }
}
