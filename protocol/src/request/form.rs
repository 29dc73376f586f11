//! Scans a `multipart/form-data` body without copying it (RFC 7578; RFC 2046, section 5.1): finds the fields `model` and `stream`
//! among files of any size.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem::Finder;
use thiserror::Error;

use super::{ModelEncoding, ModelSpans, RequestHead, Streaming};

/// The longest boundary that is accepted. RFC 2046 allows 70 characters; some clients write more.
const LONGEST_BOUNDARY: usize = 200;
const BLANK_LINE: &[u8] = b"\r\n\r\n";
const LINE_END: &[u8] = b"\r\n";

/// Why a body is not a form that names a model, in a wording for the client.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormScanError {
    #[error("content-type: multipart/form-data requires a boundary of at most {LONGEST_BOUNDARY} characters")]
    NoBoundary,
    #[error("the form has no part that begins with its boundary: check the boundary in content-type")]
    NoPart,
    /// The line at `offset` begins with the boundary and does not end after it.
    #[error("the form's boundary line at byte {offset} does not end after the boundary")]
    OddBoundaryLine { offset: usize },
    /// The part at `offset` has no blank line after its headers.
    #[error("the form's part at byte {offset} has no end of its headers")]
    NoEndOfHeaders { offset: usize },
    #[error("the form ends without its closing boundary")]
    Unclosed,
    #[error("model: field required")]
    NoModel,
    #[error("model: must be a text field, not a file")]
    ModelIsAFile,
    #[error("model: must be plain UTF-8 text")]
    ModelNotPlain,
}

/// Returns the boundary in a `content-type` of `multipart/form-data`; `None` for any other content type.
///
/// # Errors
/// The boundary is missing or not usable.
pub fn form_boundary(content_type: &str) -> Option<Result<Cow<'_, str>, FormScanError>> {
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = Parameters(parameters.as_bytes()).find(|(name, _)| name.eq_ignore_ascii_case(b"boundary"));
    let boundary = boundary.and_then(|(_, value)| match value {
        Cow::Borrowed(text) => std::str::from_utf8(text).ok().map(Cow::Borrowed),
        Cow::Owned(text) => String::from_utf8(text).ok().map(Cow::Owned),
    });
    let is_usable = |text: &Cow<'_, str>| {
        (1..=LONGEST_BOUNDARY).contains(&text.len()) && !text.chars().any(char::is_control)
    };
    Some(boundary.filter(is_usable).ok_or(FormScanError::NoBoundary))
}

/// Finds the fields `model` and `stream` of a form. The last of several fields with a name counts.
///
/// # Errors
/// Returns the first [`FormScanError`] that applies; a missing field is reported only for a form that is valid to its closing
/// boundary.
pub fn form_head<'a>(body: &'a [u8], boundary: &str) -> Result<RequestHead<'a>, FormScanError> {
    let mut earlier = Vec::new();
    let mut model: Option<Part<'a>> = None;
    let mut delivery = Streaming::No;
    let mut parts = Parts::new(body, boundary)?;
    while let Some(part) = parts.next_part()? {
        let Some(disposition) = part.disposition() else { continue };
        match &*disposition.name {
            b"model" => earlier.extend(model.replace(part).map(|part| part.content)),
            b"stream" => delivery = streaming(&body[part.content]),
            _ => {}
        }
    }
    let Some(part) = model else { return Err(FormScanError::NoModel) };
    if part.disposition().is_some_and(|disposition| disposition.is_file) {
        return Err(FormScanError::ModelIsAFile);
    }
    let text = std::str::from_utf8(&body[part.content.clone()]).ok().filter(|_| part.is_plain());
    let text = text.ok_or(FormScanError::ModelNotPlain)?;
    if text.is_empty() {
        return Err(FormScanError::NoModel);
    }
    Ok(RequestHead {
        model: Cow::Borrowed(text),
        delivery,
        spans: ModelSpans { earlier, last: part.content },
        encoding: ModelEncoding::FormField,
        ..RequestHead::of_nothing()
    })
}

/// As form parsers read a boolean.
fn streaming(value: &[u8]) -> Streaming {
    match value.eq_ignore_ascii_case(b"true") || value == b"1" {
        true => Streaming::Yes,
        false => Streaming::No,
    }
}

/// One part of a form.
struct Part<'a> {
    headers: &'a [u8],
    /// The span of its content in the body.
    content: Range<usize>,
}

/// What `content-disposition` says about a part.
struct Disposition<'a> {
    name: Cow<'a, [u8]>,
    is_file: bool,
}

impl<'a> Part<'a> {
    fn header(&self, name: &str) -> Option<&'a [u8]> {
        let mut lines = self.headers.split(|byte| *byte == b'\n');
        lines.find_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            let is_it = line[..colon].trim_ascii().eq_ignore_ascii_case(name.as_bytes());
            is_it.then(|| line[colon + 1..].trim_ascii())
        })
    }

    fn disposition(&self) -> Option<Disposition<'a>> {
        let value = self.header("content-disposition")?;
        let at = memchr::memchr(b';', value)?;
        if !value[..at].trim_ascii().eq_ignore_ascii_case(b"form-data") {
            return None;
        }
        let (mut name, mut is_file) = (None, false);
        for (key, value) in Parameters(&value[at + 1..]) {
            if key.eq_ignore_ascii_case(b"name") {
                name.get_or_insert(value);
            } else {
                is_file |= key.eq_ignore_ascii_case(b"filename") || key.eq_ignore_ascii_case(b"filename*");
            }
        }
        Some(Disposition { name: name?, is_file })
    }

    /// Whether its content stands in the body as it is. RFC 7578 deprecates other encodings.
    fn is_plain(&self) -> bool {
        self.header("content-transfer-encoding").is_none_or(|encoding| {
            [&b"7bit"[..], b"8bit", b"binary"].iter().any(|plain| encoding.eq_ignore_ascii_case(plain))
        })
    }
}

/// The parts of a form, in order.
struct Parts<'a, 'f> {
    body: &'a [u8],
    /// Finds a line end that a boundary follows.
    delimiter: Finder<'f>,
    /// The offset of the current part, or `None` after the closing boundary.
    at: Option<usize>,
}

impl<'a> Parts<'a, '_> {
    /// At the first part. What precedes it has no meaning.
    fn new(body: &'a [u8], boundary: &str) -> Result<Self, FormScanError> {
        let delimiter = format!("\r\n--{boundary}");
        let starts_at_once = body.starts_with(&delimiter.as_bytes()[LINE_END.len()..]);
        let delimiter = Finder::new(delimiter.as_bytes()).into_owned();
        let length = delimiter.needle().len();
        let end = match starts_at_once {
            true => Some(length - LINE_END.len()),
            false => delimiter.find(body).map(|at| at + length),
        };
        let mut parts = Self { body, delimiter, at: None };
        parts.at = parts.behind_boundary(end.ok_or(FormScanError::NoPart)?)?;
        Ok(parts)
    }

    fn next_part(&mut self) -> Result<Option<Part<'a>>, FormScanError> {
        let Some(at) = self.at else { return Ok(None) };
        // The line end of the boundary's line, or of the blank line, may be that of the next boundary.
        let from = at - LINE_END.len();
        let end = from + self.delimiter.find(&self.body[from..]).ok_or(FormScanError::Unclosed)?;
        let (headers, content) = self.split(at, end)?;
        self.at = self.behind_boundary(end + self.delimiter.needle().len())?;
        Ok(Some(Part { headers, content }))
    }

    /// The headers and the content of the part at `at`, which ends at `end`.
    fn split(&self, at: usize, end: usize) -> Result<(&'a [u8], Range<usize>), FormScanError> {
        let with_line_end = &self.body[at.min(end + LINE_END.len())..end + LINE_END.len()];
        let (headers, length) = if with_line_end.is_empty() || with_line_end.starts_with(LINE_END) {
            (&with_line_end[..0], LINE_END.len())
        } else {
            let headers = memchr::memmem::find(with_line_end, BLANK_LINE);
            let headers = headers.ok_or(FormScanError::NoEndOfHeaders { offset: at })?;
            (&with_line_end[..headers], headers + BLANK_LINE.len())
        };
        let content = (at + length).min(end);
        Ok((headers, content..end))
    }

    /// The offset of the part after a boundary that ends at `end`; `None` if it is the closing one.
    fn behind_boundary(&self, end: usize) -> Result<Option<usize>, FormScanError> {
        let rest = &self.body[end..];
        if rest.starts_with(b"--") {
            return Ok(None);
        }
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line_end = &rest[padding..];
        if line_end.starts_with(LINE_END) {
            return Ok(Some(end + padding + LINE_END.len()));
        }
        // The body was cut inside the line.
        let is_cut = matches!(line_end, b"" | b"\r" | b"-");
        Err(if is_cut { FormScanError::Unclosed } else { FormScanError::OddBoundaryLine { offset: end } })
    }
}

/// The parameters of a header value, each a name and its unquoted value.
struct Parameters<'a>(&'a [u8]);

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], Cow<'a, [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let end = memchr::memchr2(b'=', b';', self.0);
            let Some(end) = end else {
                self.0 = b"";
                return None;
            };
            let (name, rest) = (self.0[..end].trim_ascii(), &self.0[end + 1..]);
            if self.0[end] == b';' {
                self.0 = rest;
                continue;
            }
            let rest = rest.trim_ascii_start();
            let (value, rest) = match rest.strip_prefix(b"\"") {
                Some(quoted) => unquoted(quoted),
                None => {
                    let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
                    (Cow::Borrowed(rest[..end].trim_ascii()), &rest[end..])
                }
            };
            self.0 = match memchr::memchr(b';', rest) {
                Some(at) => &rest[at + 1..],
                None => b"",
            };
            return Some((name, value));
        }
    }
}

/// A quoted string without its quotes and escapes, and what follows it.
fn unquoted(text: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    let mut plain: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match (byte, text.get(at + 1)) {
            (b'"', _) => {
                let value = plain.map_or(Cow::Borrowed(&text[..at]), Cow::Owned);
                return (value, &text[at + 1..]);
            }
            // Browsers of old send paths, in which a backslash escapes nothing else.
            (b'\\', Some(&escaped @ (b'"' | b'\\'))) => {
                plain.get_or_insert_with(|| text[..at].to_vec()).push(escaped);
                at += 1;
            }
            _ => {
                if let Some(plain) = &mut plain {
                    plain.push(byte);
                }
            }
        }
        at += 1;
    }
    (plain.map_or(Cow::Borrowed(text), Cow::Owned), b"")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\nID3\r\n\r\n--x\r\nname=\"model\"\r\n--b\r\nCONTENT-DISPOSITION:form-data;name=model\r\n\r\nwhisper-1\r\n--b  \r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\nTrue\r\n--b--\r\nepilogue\r\n--b\r\n";

    fn scanned(form: &str) -> Result<(String, Streaming), FormScanError> {
        form_head(form.as_bytes(), "b").map(|head| (head.model.into_owned(), head.delivery))
    }

    #[test]
    fn a_field_is_found_among_files() {
        assert_eq!(scanned(FORM), Ok(("whisper-1".to_owned(), Streaming::Yes)));
        let with_preamble = format!("preamble --b\r\n{FORM}");
        assert_eq!(scanned(&with_preamble).unwrap().0, "whisper-1");
    }

    #[test]
    fn only_the_field_is_replaced() {
        let body = Bytes::from_static(FORM.as_bytes());
        let head = form_head(&body, "b").unwrap();
        let edited = head.with_model(&body, "large \"v3\"").joined();
        assert_eq!(edited, FORM.replace("whisper-1", "large \"v3\"").as_bytes());
        assert_eq!(head.with_model(&body, "whisper-1").joined().as_ptr(), body.as_ptr());
    }

    #[test]
    fn of_several_fields_the_last_counts_and_all_are_replaced() {
        let form = Bytes::from_static(
            b"--b\r\ncontent-disposition: form-data; name=model\r\n\r\nold\r\n--b\r\ncontent-disposition: form-data; name=model\r\n\r\nnew\r\n--b--",
        );
        let head = form_head(&form, "b").unwrap();
        assert_eq!(head.model, "new");
        let edited = head.with_model(&form, "x").joined();
        assert_eq!(std::str::from_utf8(&edited).unwrap().matches("\r\n\r\nx\r\n").count(), 2);
    }

    #[test]
    fn parts_may_be_empty_and_lack_headers() {
        for part in ["\r\n", "\r\n\r\n", "x: y\r\n\r\n\r\n", "x: y\r\n\r\n", "\r\nmodel"] {
            let form = format!(
                "--b\r\n{part}\r\n--b\r\ncontent-disposition: form-data; name=model\r\n\r\nm\r\n--b--"
            );
            assert_eq!(scanned(&form).map(|(model, _)| model), Ok("m".to_owned()), "{part:?}");
        }
        // The line end before the second boundary is that of the first one's line.
        let form = "--b\r\n--b\r\ncontent-disposition: form-data; name=model\r\n\r\nm\r\n--b--";
        assert_eq!(scanned(form).map(|(model, _)| model), Ok("m".to_owned()));
    }

    #[test]
    fn every_defect_has_its_message() {
        let field = |header: &str, value: &str| format!("--b\r\n{header}\r\n\r\n{value}\r\n--b--\r\n");
        let model = "content-disposition: form-data; name=\"model\"";
        for (form, error) in [
            (String::new(), FormScanError::NoPart),
            ("--c\r\n\r\n--c--".to_owned(), FormScanError::NoPart),
            ("--b--".to_owned(), FormScanError::NoModel),
            ("--bc\r\n\r\n--b--".to_owned(), FormScanError::OddBoundaryLine { offset: 3 }),
            ("--b\nx".to_owned(), FormScanError::OddBoundaryLine { offset: 3 }),
            ("--b\r\nx: y\r\n--b--".to_owned(), FormScanError::NoEndOfHeaders { offset: 5 }),
            (field("content-disposition: form-data; name=\"models\"", "m"), FormScanError::NoModel),
            (field("content-disposition: attachment; name=\"model\"", "m"), FormScanError::NoModel),
            (field("content-disposition: form-data", "m"), FormScanError::NoModel),
            (field(model, ""), FormScanError::NoModel),
            (field(&format!("{model}; filename=\"m\""), "m"), FormScanError::ModelIsAFile),
            (
                field(&format!("{model}\r\ncontent-transfer-encoding: base64"), "bQ=="),
                FormScanError::ModelNotPlain,
            ),
        ] {
            assert_eq!(scanned(&form), Err(error), "{form:?}");
        }
        let not_utf8 = [b"--b\r\n", model.as_bytes(), b"\r\n\r\n\xFF\r\n--b--"].concat();
        assert_eq!(form_head(&not_utf8, "b").err(), Some(FormScanError::ModelNotPlain));
    }

    #[test]
    fn a_form_that_is_cut_at_any_byte_is_no_form() {
        let end = FORM.find("--b--").unwrap() + 5;
        for at in 0..end {
            assert!(scanned(&FORM[..at]).is_err(), "{:?}", &FORM[..at]);
        }
        for at in end..FORM.len() {
            assert!(scanned(&FORM[..at]).is_ok(), "{:?}", &FORM[..at]);
        }
    }

    #[test]
    fn a_boundary_is_a_parameter_of_any_form() {
        for (value, expected) in [
            ("multipart/form-data; boundary=abc", "abc"),
            ("Multipart/Form-Data ;charset=utf-8; BOUNDARY=\"a b;\\\"c\" ; x=y", "a b;\"c"),
            ("multipart/form-data;boundary=----WebKitFormBoundary7MA4;", "----WebKitFormBoundary7MA4"),
        ] {
            assert_eq!(form_boundary(value).unwrap().unwrap(), expected, "{value}");
        }
        for value in
            ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data;boundary=\"\""]
        {
            assert_eq!(form_boundary(value), Some(Err(FormScanError::NoBoundary)), "{value}");
        }
        let long = format!("multipart/form-data; boundary={}", "x".repeat(201));
        assert_eq!(form_boundary(&long), Some(Err(FormScanError::NoBoundary)));
        for value in ["application/json", "multipart/mixed; boundary=a", ""] {
            assert!(form_boundary(value).is_none(), "{value}");
        }
    }

    #[test]
    fn names_are_unquoted_and_backslashes_of_paths_stay() {
        let all = |text: &'static str| -> Vec<(String, String)> {
            let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Parameters(text.as_bytes()).map(|(name, value)| (text_of(name), text_of(&value))).collect()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            all(" name = \"a\\\"b\"; filename=\"C:\\dir\\f.mp3\"; flag; x=y z "),
            [pair("name", "a\"b"), pair("filename", "C:\\dir\\f.mp3"), pair("x", "y z")]
        );
        assert_eq!(all("name=\"open"), [pair("name", "open")]);
        assert_eq!(all(";;="), [pair("", "")]);
    }
}
