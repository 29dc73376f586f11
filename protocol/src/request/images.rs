//! Finds the images of a request's history, and puts texts in their place: every other byte is preserved.
//!
//! Image blocks of all APIs: `image` with a `source` (platform.claude.com/docs/en/build-with-claude/vision), `image_url` and
//! `input_image` (platform.openai.com/docs/guides/images-vision). They are in the content of a message, in that of a tool
//! result, and in that of a document; in Responses, in the content or the output of an item.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use super::cursor::{CursorResult, JsonCursor, decoded};
use super::{Splice, spliced};
use crate::json::Write as _;

/// The most images that are found. Later ones are left as they are, so that a text for each of them has a bound.
const MOST: usize = 1_000;
/// How deeply content can be nested: in a message, a tool result, a document.
const DEEPEST: usize = 3;

/// One image of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestImage<'b> {
    pub source: ImageSource<'b>,
    /// Its path, such as `messages.3.content.0`.
    pub path: String,
    /// The type of the text block that can stand in its place.
    text_type: &'static str,
    /// The block.
    block: Range<usize>,
    /// The members that its text keeps, such as `cache_control`.
    kept: Vec<Range<usize>>,
}

/// Where the data of an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource<'b> {
    Base64 {
        media_type: Cow<'b, str>,
        data: Cow<'b, str>,
    },
    Url(Cow<'b, str>),
    /// An id of another service's store, or nothing that is known.
    Elsewhere,
}

/// Whether a body can contain images. `false` is certain and cheap: most texts that mention images do not have the type as a
/// JSON string of its own.
#[must_use]
pub fn may_have_images(body: &[u8]) -> bool {
    let mut types = memmem::find_iter(body, b"\"image");
    let mut input_types = memmem::find_iter(body, b"\"input_image");
    let mut escapes = memmem::find_iter(body, b"\\u00");
    let follows = |at: usize, length: usize, bytes: &[u8]| {
        body.get(at + length).is_some_and(|byte| bytes.contains(byte))
    };
    // An escaped letter must not hide the type. Clients escape control characters, which are other ones.
    types.any(|at| follows(at, 6, b"\"_"))
        || input_types.any(|at| follows(at, 12, b"\""))
        || escapes.any(|at| follows(at, 4, b"567"))
}

/// Returns the images in `messages` or `input`, in their order. A body that is not valid has none.
#[must_use]
pub fn images(body: &[u8]) -> Vec<RequestImage<'_>> {
    let mut finder = Finder { body, found: Vec::new() };
    match finder.request() {
        Ok(()) => finder.found,
        Err(_) => Vec::new(),
    }
}

/// Returns the body with these texts in the place of its images: one for each image, in the same order.
#[must_use]
pub fn with_image_texts<'t>(
    body: &Bytes,
    images: &[RequestImage<'_>],
    texts: impl IntoIterator<Item = &'t str>,
) -> Bytes {
    let edit = |(image, text): (&RequestImage<'_>, &str)| {
        let mut block = br#"{"type":""#.to_vec();
        block.put(image.text_type.as_bytes());
        block.put(br#"","text":"#);
        block.string(text);
        for kept in &image.kept {
            block.put(b",");
            block.extend_from_slice(&body[kept.clone()]);
        }
        block.put(b"}");
        Splice { span: image.block.clone(), text: String::from_utf8(block).unwrap_or_default() }
    };
    spliced(body, &mut images.iter().zip(texts).map(edit).collect::<Vec<_>>())
}

struct Finder<'b> {
    body: &'b [u8],
    found: Vec<RequestImage<'b>>,
}

/// The members of a block, by which it is known.
#[derive(Default)]
struct Block {
    kind: Option<Range<usize>>,
    source: Option<Range<usize>>,
    image_url: Option<Range<usize>>,
    content: Option<Range<usize>>,
    others: Vec<Range<usize>>,
    /// Members of an image of the Responses API that its text does not have.
    of_input_image: Vec<Range<usize>>,
}

impl<'b> Finder<'b> {
    fn request(&mut self) -> CursorResult<()> {
        let mut cursor = JsonCursor::new(self.body);
        cursor.members(|cursor, key| match key {
            "messages" | "input" if cursor.peek() == Some(b'[') => self.messages(cursor, key),
            _ => cursor.value().map(drop),
        })?;
        cursor.end()
    }

    /// Messages, or the items of the Responses API.
    fn messages(&mut self, cursor: &mut JsonCursor<'b>, list: &str) -> CursorResult<()> {
        let mut turn = 0;
        cursor.elements(|cursor| {
            let path = format!("{list}.{turn}");
            turn += 1;
            if cursor.peek() != Some(b'{') {
                return cursor.value().map(drop);
            }
            cursor.members(|cursor, key| match (key, cursor.peek()) {
                ("content" | "output", Some(b'[')) => self.blocks(cursor, &format!("{path}.{key}"), 1),
                _ => cursor.value().map(drop),
            })
        })
    }

    fn blocks(&mut self, cursor: &mut JsonCursor<'b>, path: &str, depth: usize) -> CursorResult<()> {
        let mut at = 0;
        cursor.elements(|cursor| {
            let path = format!("{path}.{at}");
            at += 1;
            if cursor.peek() != Some(b'{') {
                return cursor.value().map(drop);
            }
            let start = cursor.at();
            let block = Block::read(cursor)?;
            self.take(&block, start..cursor.at(), path, depth)
        })
    }

    /// Takes an image, or the images in the content of another block.
    fn take(&mut self, block: &Block, span: Range<usize>, path: String, depth: usize) -> CursorResult<()> {
        let kind = block.kind.clone().and_then(|kind| decoded(&self.body[kind]));
        let (source, text_type) = match kind.as_deref() {
            Some("image") => (self.source(block.source.clone())?, "text"),
            Some("image_url") => (self.image_url(block.image_url.clone())?, "text"),
            Some("input_image") => (self.image_url(block.image_url.clone())?, "input_text"),
            _ => return self.nested(block, &path, depth),
        };
        if self.found.len() < MOST {
            let mut kept = block.others.clone();
            if text_type == "text" {
                kept.extend_from_slice(&block.of_input_image);
                kept.sort_unstable_by_key(|member| member.start);
            }
            self.found.push(RequestImage { source, path, text_type, block: span, kept });
        }
        Ok(())
    }

    fn nested(&mut self, block: &Block, path: &str, depth: usize) -> CursorResult<()> {
        if depth >= DEEPEST {
            return Ok(());
        }
        if let Some(content) = &block.content
            && self.body[content.clone()].starts_with(b"[")
        {
            let mut cursor = JsonCursor::inside(self.body, content);
            self.blocks(&mut cursor, &format!("{path}.content"), depth + 1)?;
        }
        match &block.source {
            // Only a document's: the source of a search result is a text.
            Some(source) if self.body[source.clone()].starts_with(b"{") => {
                let path = format!("{path}.source.content");
                JsonCursor::inside(self.body, source).members(|cursor, key| match (key, cursor.peek()) {
                    ("content", Some(b'[')) => self.blocks(cursor, &path, depth + 1),
                    _ => cursor.value().map(drop),
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The `source` of a Messages image.
    fn source(&self, span: Option<Range<usize>>) -> CursorResult<ImageSource<'b>> {
        let Some(span) = span.filter(|span| self.body[span.clone()].starts_with(b"{")) else {
            return Ok(ImageSource::Elsewhere);
        };
        let (mut kind, mut media_type, mut data, mut url) = (None, None, None, None);
        JsonCursor::inside(self.body, &span).members(|cursor, key| {
            let value = cursor.value()?;
            let text = match key {
                "type" => &mut kind,
                "media_type" => &mut media_type,
                "data" => &mut data,
                "url" => &mut url,
                _ => return Ok(()),
            };
            *text = decoded(cursor.slice(value));
            Ok(())
        })?;
        Ok(match (kind.as_deref(), media_type, data, url) {
            (Some("base64"), Some(media_type), Some(data), _) => ImageSource::Base64 { media_type, data },
            // Clients do send data URLs here.
            (Some("url"), _, _, Some(url)) => ImageSource::from_url(url),
            _ => ImageSource::Elsewhere,
        })
    }

    /// The `image_url` of a Chat Completions part: an object, or, from some clients, the URL itself, as in Responses.
    fn image_url(&self, span: Option<Range<usize>>) -> CursorResult<ImageSource<'b>> {
        let Some(span) = span else { return Ok(ImageSource::Elsewhere) };
        let mut url = decoded(&self.body[span.clone()]);
        if self.body[span.clone()].starts_with(b"{") {
            JsonCursor::inside(self.body, &span).members(|cursor, key| {
                let value = cursor.value()?;
                if key == "url" {
                    url = decoded(cursor.slice(value));
                }
                Ok(())
            })?;
        }
        Ok(url.map_or(ImageSource::Elsewhere, ImageSource::from_url))
    }
}

impl Block {
    fn read(cursor: &mut JsonCursor<'_>) -> CursorResult<Self> {
        let mut block = Self::default();
        cursor.entries(|cursor, start, key| {
            let value = cursor.value()?;
            match key {
                "type" => block.kind = Some(value),
                "source" => block.source = Some(value),
                "image_url" => block.image_url = Some(value),
                "content" => block.content = Some(value),
                // A text in an image block would be a second one in its replacement.
                "text" => {}
                "detail" | "file_id" => block.of_input_image.push(start..value.end),
                _ => block.others.push(start..value.end),
            }
            Ok(())
        })?;
        Ok(block)
    }
}

impl<'b> ImageSource<'b> {
    /// A URL, or the data in it (RFC 2397).
    fn from_url(url: Cow<'b, str>) -> Self {
        match url {
            Cow::Borrowed(url) => match data_url(url) {
                Some((media_type, data)) => {
                    Self::Base64 { media_type: Cow::Borrowed(media_type), data: Cow::Borrowed(data) }
                }
                None => Self::Url(Cow::Borrowed(url)),
            },
            Cow::Owned(url) => match data_url(&url) {
                Some((media_type, data)) => Self::Base64 {
                    media_type: Cow::Owned(media_type.to_owned()),
                    data: Cow::Owned(data.to_owned()),
                },
                None => Self::Url(Cow::Owned(url)),
            },
        }
    }
}

/// The media type and the base64 data of a data URL.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_at_checked("data:".len())?;
    let (head, data) = rest.split_once(',').filter(|_| scheme.eq_ignore_ascii_case("data:"))?;
    let (media_type, coding) = head.rsplit_once(';')?;
    let media_type = media_type.split(';').next().unwrap_or_default();
    coding.trim().eq_ignore_ascii_case("base64").then_some((media_type, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64<'t>(media_type: &'t str, data: &'t str) -> ImageSource<'t> {
        ImageSource::Base64 { media_type: media_type.into(), data: data.into() }
    }

    fn found(content: &str) -> Vec<(String, ImageSource<'static>)> {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#);
        let owned = |source: ImageSource<'_>| match source {
            ImageSource::Base64 { media_type, data } => ImageSource::Base64 {
                media_type: media_type.into_owned().into(),
                data: data.into_owned().into(),
            },
            ImageSource::Url(url) => ImageSource::Url(url.into_owned().into()),
            ImageSource::Elsewhere => ImageSource::Elsewhere,
        };
        images(body.as_bytes()).into_iter().map(|image| (image.path, owned(image.source))).collect()
    }

    /// Requirement: the image blocks of both APIs are found, in every notation that JSON allows.
    #[test]
    fn images_of_both_apis_are_found() {
        let png = base64("image/png", "aGk/");
        for (block, source) in [
            (
                r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk/"}}"#,
                png.clone(),
            ),
            (
                r#"{"source":{"data":"aGk\/","media_type":"image\/png","typ\u0065":"base64"},"type":"im\u0061ge"}"#,
                png.clone(),
            ),
            (r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk/"}}"#, png.clone()),
            (r#"{"type":"image_url","image_url":{"url":"DATA:image/png;x=y;base64,aGk\/"}}"#, png.clone()),
            (r#"{"type":"image_url","image_url":"data:image/png;base64,aGk/"}"#, png),
            (
                r#"{"type":"image","source":{"type":"url","url":"https://a/b"}}"#,
                ImageSource::Url("https://a/b".into()),
            ),
            (
                r#"{"type":"image_url","image_url":{"url":"https://a/b"}}"#,
                ImageSource::Url("https://a/b".into()),
            ),
            (r#"{"type":"image","source":{"type":"file","file_id":"file_1"}}"#, ImageSource::Elsewhere),
            (r#"{"type":"image"}"#, ImageSource::Elsewhere),
            (r#"{"type":"image_url","image_url":null}"#, ImageSource::Elsewhere),
        ] {
            let expected = vec![("messages.0.content.1".to_owned(), source)];
            assert_eq!(found(&format!(r#"[{{"type":"text","text":"a"}}, {block} ]"#)), expected, "{block}");
        }
    }

    /// Requirement: images in messages and outputs of the Responses API are found, and become texts of that API.
    #[test]
    fn images_of_responses_become_texts_of_that_api() {
        let body = Bytes::from_static(
            br#"{"input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","detail":"low","image_url":"data:image/png;base64,aGk/","prompt_cache_breakpoint":{}}]},
                {"type":"function_call_output","output":[{"type":"input_image","file_id":"file-1"}]}],"model":"m"}"#,
        );
        let found = images(&body);
        let sources: Vec<_> = found.iter().map(|image| (&*image.path, image.source.clone())).collect();
        assert_eq!(
            sources,
            [
                ("input.0.content.1", base64("image/png", "aGk/")),
                ("input.1.output.0", ImageSource::Elsewhere)
            ]
        );
        let expected = r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"one","prompt_cache_breakpoint":{}}]},
                {"type":"function_call_output","output":[{"type":"input_text","text":"two"}]}],"model":"m"}"#;
        assert_eq!(with_image_texts(&body, &found, ["one", "two"]), expected);
    }

    /// Requirement: images in tool results and documents are found; an object that only looks like one is none.
    #[test]
    fn images_are_found_where_a_model_sees_them_only() {
        let image = r#"{"type":"image","source":{"type":"url","url":"u"}}"#;
        let paths =
            |content: &str| -> Vec<String> { found(content).into_iter().map(|(path, _)| path).collect() };
        let result =
            format!(r#"[{{"type":"tool_result","content":[{{"type":"text","text":"x"}},{image}]}}]"#);
        assert_eq!(paths(&result), ["messages.0.content.0.content.1"]);
        let document = format!(r#"{{"type":"document","source":{{"type":"content","content":[{image}]}}}}"#);
        assert_eq!(paths(&format!("[{document}]")), ["messages.0.content.0.source.content.0"]);
        let nested = format!(r#"[{{"content":[{document}],"type":"tool_result"}},{image}]"#);
        assert_eq!(
            paths(&nested),
            ["messages.0.content.0.content.0.source.content.0", "messages.0.content.1"]
        );
        for none in [
            format!(r#"[{{"type":"tool_use","input":{image}}}]"#),
            format!(r#"[{{"type":"tool_use","input":{{"content":[{image}]}}}}]"#),
            format!(r#"[{{"type":"text","text":{}}}]"#, serde_json::to_string(image).unwrap()),
            format!(r#"[[{image}]]"#),
            image.to_owned(),
        ] {
            assert_eq!(paths(&none), [""; 0], "{none}");
        }
        let elsewhere = format!(r#"{{"model":"m","system":[{image}],"tools":[{image}],"messages":{image}}}"#);
        assert!(images(elsewhere.as_bytes()).is_empty());
    }

    /// Requirement: a text takes the place of each image and keeps the block's other members; every other byte is preserved.
    #[test]
    fn texts_replace_images_and_nothing_else() {
        let body = r#" {"messages" : [{"content":[ {"cache_control" : {"type":"ephemeral"}, "type":"image","source":{"type":"file"},"text":"old" } ,1]},
            {"content":[{"type":"image_url","image_url":{"url":"u","detail":"low"}}],"x":1.0}],"model":"m" } "#;
        let expected = r#" {"messages" : [{"content":[ {"type":"text","text":"a \"cat\"\n","cache_control" : {"type":"ephemeral"}} ,1]},
            {"content":[{"type":"text","text":"ü"}],"x":1.0}],"model":"m" } "#;
        let body = Bytes::from_static(body.as_bytes());
        let images = images(&body);
        assert_eq!(with_image_texts(&body, &images, ["a \"cat\"\n", "ü"]), expected);
    }

    /// Requirement: a body that is cut anywhere has no images, and nothing in it panics.
    #[test]
    fn a_cut_body_has_no_images() {
        let body = r#"{"messages":[{"content":[{"type":"tool_result","content":[{"type":"im\u0061ge","source":{"type":"url","url":"\"u"}}]}]}]}"#;
        assert_eq!(images(body.as_bytes()).len(), 1);
        for end in 0..body.len() {
            assert_eq!(images(&body.as_bytes()[..end]), [], "cut at {end}");
        }
    }

    /// Requirement: the number of images has a bound, and deep nesting is not followed.
    #[test]
    fn images_have_bounds() {
        let image = r#"{"type":"image"},"#.repeat(MOST + 5);
        assert_eq!(found(&format!("[{}]", image.trim_end_matches(','))).len(), MOST);
        let (open, close) = (r#"{"content":["#.repeat(20_000), "]}".repeat(20_000));
        assert_eq!(found(&format!(r#"[{open}{{"type":"image"}}{close}]"#)).len(), 0);
    }

    /// Requirement: the quick check never misses an image.
    #[test]
    fn the_quick_check_is_certain() {
        assert!(may_have_images(br#"{"type":"image_url"}"#));
        assert!(may_have_images(br#"{"type":"input_image"}"#));
        assert!(may_have_images(br#"{"type":"\u0069\u006d\u0061\u0067\u0065"}"#));
        assert!(may_have_images(br#"{"type":"image\u005furl"}"#));
        for none in [
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
            r#"{"description":"Reads images. \"image\": a file, \u001b[1m and \u00e9","images":1}"#,
            r#"{"a":"\u00"#,
            r#"{"a":"image"#,
        ] {
            assert!(!may_have_images(none.as_bytes()), "{none}");
        }
    }
}
