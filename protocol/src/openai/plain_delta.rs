//! Reads the chunks that nearly all of a Chat Completions stream consists of: one choice with a piece of text or
//! reasoning, and nothing else that has a meaning. Mostly such a chunk differs from the one before in its text only: then
//! [`PlainDeltas::read`] takes 500 instructions, where [`Chunk::read`](super::stream::Chunk::read) takes 9,200 (without
//! link-time optimisation).
//!
//! The reader knows exactly what it reads. It leaves every other chunk, and everything that may be invalid, to `Chunk`:
//! escaped names, members that occur twice, values of another type than usual, deep nesting, numbers with an exponent.

use crate::json::plain::{PlainReader, Seen, escape, ordinary};

/// A chunk that only adds to the text or to the reasoning of the first choice. Texts are inner texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlainDelta<'a> {
    pub(crate) content: Option<&'a str>,
    /// Never empty.
    pub(crate) reasoning: Option<&'a str>,
}

/// Reads the plain chunks of one reply.
#[derive(Debug, Default)]
pub(crate) struct PlainDeltas {
    /// The last chunk up to its text, with the opening quote.
    front: Vec<u8>,
    /// The last chunk after its text, from the closing quote.
    back: Vec<u8>,
    text: TextMember,
}

/// The member that has the text of a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TextMember {
    #[default]
    Content,
    Reasoning,
}

impl PlainDeltas {
    /// Reads this chunk, or returns `None` if it must be read as a `Chunk`. Expects no white space around it.
    pub(crate) fn read<'a>(&mut self, data: &'a [u8]) -> Option<PlainDelta<'a>> {
        if let Some(delta) = self.with_another_text(data) {
            return Some(delta);
        }
        let text = simdutf8::basic::from_utf8(data).ok()?;
        let delta = PlainReader::new(text).chunk()?;
        self.remember(text, delta);
        Some(delta)
    }

    /// Reads a chunk that differs from the one before in its text only. The same bytes mean the same, and the text between
    /// them cannot change that: it is a valid inner text.
    fn with_another_text<'a>(&self, data: &'a [u8]) -> Option<PlainDelta<'a>> {
        let inner = data.strip_prefix(&self.front[..])?.strip_suffix(&self.back[..])?;
        if self.front.is_empty() || !is_inner_text(inner) {
            return None;
        }
        let inner = simdutf8::basic::from_utf8(inner).ok()?;
        match self.text {
            TextMember::Content => Some(PlainDelta { content: Some(inner), reasoning: None }),
            TextMember::Reasoning if inner.is_empty() => None,
            TextMember::Reasoning => Some(PlainDelta { content: None, reasoning: Some(inner) }),
        }
    }

    fn remember(&mut self, chunk: &str, delta: PlainDelta<'_>) {
        let (inner, text) = match delta {
            PlainDelta { content: Some(inner), reasoning: None } => (inner, TextMember::Content),
            PlainDelta { content: None, reasoning: Some(inner) } => (inner, TextMember::Reasoning),
            PlainDelta { .. } => return,
        };
        // `inner` is a part of `chunk`.
        let start = inner.as_ptr().addr() - chunk.as_ptr().addr();
        let (front, back) = (&chunk[..start], &chunk[start + inner.len()..]);
        self.text = text;
        self.front.clear();
        self.front.extend_from_slice(front.as_bytes());
        self.back.clear();
        self.back.extend_from_slice(back.as_bytes());
    }
}

/// Whether these bytes, if they are UTF-8, can stand between the quotes of a string.
fn is_inner_text(bytes: &[u8]) -> bool {
    let mut at = 0;
    loop {
        at += ordinary(&bytes[at..]);
        match bytes.get(at) {
            None => return true,
            Some(b'\\') => match escape(&bytes[at..]) {
                Some(length) => at += length,
                None => return false,
            },
            Some(_) => return false,
        }
    }
}

/// The nesting that is skipped in members without a meaning. Azure's filter results have two levels.
const DEEPEST: u8 = 4;

impl<'a> PlainReader<'a> {
    fn chunk(mut self) -> Option<PlainDelta<'a>> {
        let (mut seen, mut delta) = (Seen::default(), None);
        self.members(|reader, name| {
            match name {
                b"choices" => {
                    seen.note(0)?;
                    delta = Some(reader.choices()?);
                    return Some(());
                }
                b"usage" => seen.note(1)?,
                b"error" => seen.note(2)?,
                b"x_groq" => seen.note(3)?,
                // With a choice beside them they have no meaning.
                b"msg" => {
                    seen.note(4)?;
                    return reader.skip(DEEPEST);
                }
                b"object" => {
                    seen.note(5)?;
                    return reader.skip(DEEPEST);
                }
                b"search_results" => seen.note(6)?,
                b"citations" => seen.note(7)?,
                b"web_search" => seen.note(8)?,
                _ => return reader.skip(DEEPEST),
            }
            reader.null()
        })?;
        self.end()?;
        delta
    }

    /// A list with one choice.
    fn choices(&mut self) -> Option<PlainDelta<'a>> {
        self.expect(b'[')?;
        let (mut seen, mut delta) = (Seen::default(), None);
        self.members(|reader, name| {
            match name {
                b"delta" => {
                    seen.note(0)?;
                    delta = Some(reader.delta()?);
                    return Some(());
                }
                b"index" => {
                    seen.note(1)?;
                    return reader.zero();
                }
                b"finish_reason" => seen.note(2)?,
                b"stop_reason" => seen.note(3)?,
                b"usage" => seen.note(4)?,
                b"error" => seen.note(5)?,
                b"message" => seen.note(6)?,
                _ => return reader.skip(DEEPEST),
            }
            reader.null()
        })?;
        self.expect(b']')?;
        delta
    }

    fn delta(&mut self) -> Option<PlainDelta<'a>> {
        let mut seen = Seen::default();
        let (mut content, mut reasoning_content, mut reasoning) = (None, None, None);
        self.members(|reader, name| {
            match name {
                b"content" => {
                    seen.note(0)?;
                    content = reader.string_or_null()?;
                    return Some(());
                }
                b"reasoning_content" => {
                    seen.note(1)?;
                    reasoning_content = reader.string_or_null()?;
                    return Some(());
                }
                b"reasoning" => {
                    seen.note(2)?;
                    reasoning = reader.string_or_null()?;
                    return Some(());
                }
                b"refusal" => seen.note(3)?,
                b"thinking" => seen.note(4)?,
                b"reasoning_details" => seen.note(5)?,
                b"tool_calls" => seen.note(6)?,
                b"function_call" => seen.note(7)?,
                b"extra_content" => seen.note(8)?,
                b"annotations" => seen.note(9)?,
                _ => return reader.skip(DEEPEST),
            }
            reader.null()
        })?;
        let reasoning = [reasoning_content, reasoning].into_iter().flatten().find(|inner| !inner.is_empty());
        Some(PlainDelta { content, reasoning })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::openai::stream::Chunk;

    /// Reads a chunk both ways. Returns whether it is plain; then both ways must agree.
    fn is_plain(deltas: &mut PlainDeltas, data: &[u8]) -> bool {
        let Some(plain) = deltas.read(data) else { return false };
        let shown = String::from_utf8_lossy(data);
        let chunk = Chunk::read(data).expect("valid JSON").expect("an object");
        assert!(chunk.fault(data).is_none(), "{shown}");
        let counts = (chunk.usage(), chunk.reported_cost(), chunk.thinking(), chunk.searches());
        assert_eq!(counts, (None, None, None, None), "{shown}");
        let choices: Vec<_> = chunk.choices().collect();
        let [choice] = &choices[..] else { panic!("{shown}") };
        assert_eq!(choice.index(), 0, "{shown}");
        assert!(choice.finish_reason().is_none() && choice.stop_string().is_none(), "{shown}");
        assert!(choice.message.0.is_none(), "{shown}");
        let delta = choice.delta.0.as_ref().expect("a delta");
        assert_eq!(delta.texts().collect::<Vec<_>>(), Vec::from_iter(plain.content), "{shown}");
        assert_eq!(delta.reasoning().collect::<Vec<_>>(), Vec::from_iter(plain.reasoning), "{shown}");
        assert!(!delta.calls() && delta.refusal().is_none() && delta.annotations.is_none(), "{shown}");
        assert!(delta.reasoning_details.is_none() && delta.extra_content.is_none(), "{shown}");
        true
    }

    fn read_alone(data: &str) -> bool {
        is_plain(&mut PlainDeltas::default(), data.as_bytes())
    }

    /// Requirement: the chunks of the common vendors are read by hand.
    #[test]
    fn chunks_of_vendors_are_plain() {
        for data in [
            r#"{"id":"c","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o","service_tier":"default","system_fingerprint":"fp","choices":[{"index":0,"delta":{"content":" a"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"Ay3"}"#,
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}]}"#,
            r#"{"choices":[{"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}},"delta":{"content":"\n\u00e9\ud83d"},"index":0}],"prompt_filter_results":[]}"#,
            r#"{"choices": [{"index": 0, "delta": {"content": null, "reasoning_content": "hm"}}], "created": 1.5, "x": -7}"#,
            r#"{"provider":"p","choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"hm"},"native_finish_reason":null}]}"#,
            "{\"choices\"\t:\r\n[ { \"delta\" : { } } ] }",
        ] {
            assert!(read_alone(data), "{data}");
        }
    }

    /// Requirement: whatever is not known exactly is left to `Chunk`.
    #[test]
    fn everything_else_is_not_plain() {
        let chunk = |members: &str| format!(r#"{{"choices":[{{"delta":{{"content":"a"}}}}]{members}}}"#);
        assert!(read_alone(&chunk("")));
        let beside = [
            r#","usage":{}"#,
            r#","usage":0"#,
            r#","error":{}"#,
            r#","x_groq":{"usage":{}}"#,
            r#","choices":null"#,
            r#","object":"a","object":"b""#,
            r#","usa\u0067e":null"#,
            r#","x":1e3"#,
            r#","x":01"#,
            r#","x":[[[[[]]]]]"#,
            r#","x":"\x""#,
            r#","x":"\u12""#,
            ",\"x\":\"\u{1}\"",
            ",",
            "}",
            r#","x":nul"#,
        ];
        for members in beside {
            assert!(!read_alone(&chunk(members)), "{members}");
        }
        let choices = [
            r#"{"index":1,"delta":{"content":"a"}}"#,
            r#"{"index":0.0,"delta":{"content":"a"}}"#,
            r#"{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}"#,
            r#"{"index":0,"delta":{"content":"a"},"message":{}}"#,
            r#"{"index":0,"delta":{"content":"a","tool_calls":[]}}"#,
            r#"{"index":0,"delta":{"content":["a"]}}"#,
            r#"{"index":0,"delta":{"content":"a","content":"b"}}"#,
            r#"{"index":0,"delta":{"content":"a"}},{"index":0,"delta":{}}"#,
            r#"{"index":0}"#,
            "",
        ];
        for choice in choices {
            assert!(!read_alone(&format!(r#"{{"choices":[{choice}]}}"#)), "{choice}");
        }
    }

    const FRONT: &str = r#"{"id":"c","choices":[{"delta":{"content":""#;
    const BACK: &str = r#""},"index":0}]}"#;

    /// Requirement: a chunk that differs from the last one in its text is known by that, with any valid text.
    #[test]
    fn another_text_between_the_same_bytes_is_plain() {
        let mut deltas = PlainDeltas::default();
        assert!(is_plain(&mut deltas, [FRONT, "a", BACK].concat().as_bytes()));
        for inner in ["", "b", r"\n", r"\ud83d", r#"\"x\""#, "é", "a text of more than sixteen bytes, \\\\"]
        {
            let data = [FRONT, inner, BACK].concat();
            let delta = deltas.with_another_text(data.as_bytes()).expect("known");
            assert_eq!(delta, PlainDelta { content: Some(inner), reasoning: None });
        }
        for inner in ["\"", r"\", r"\u12", r"\x", "\t", r#"","role":"x"#, r#"a\\"b"#] {
            assert!(deltas.with_another_text([FRONT, inner, BACK].concat().as_bytes()).is_none(), "{inner}");
        }
        let no_utf8 = [FRONT.as_bytes(), b"\xff", BACK.as_bytes()].concat();
        assert!(!is_plain(&mut deltas, &no_utf8));
    }

    /// Values that other readers get wrong, too.
    const VALUES: [&str; 29] = [
        "null",
        "null",
        "0",
        "1",
        "-0",
        "-",
        "1.5",
        "1.",
        "1e3",
        "01",
        "true",
        "\"\"",
        "\"a\"",
        "\"error\"",
        r#""\n""#,
        r#""\ud83d\u00e9""#,
        r#""\x""#,
        r#""\u12""#,
        "\"\u{1}\"",
        "\"é😀\"",
        r#""a text of more than sixteen bytes""#,
        "{}",
        "[]",
        r#"{"a":[1,{"b":null}]}"#,
        "[[[[[]]]]]",
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        "nul",
        "",
    ];
    const NAMES: [&str; 26] = [
        "content",
        "content",
        "reasoning_content",
        "reasoning",
        "thinking",
        "refusal",
        "reasoning_details",
        "tool_calls",
        "function_call",
        "extra_content",
        "annotations",
        "role",
        "index",
        "finish_reason",
        "stop_reason",
        "usage",
        "error",
        "message",
        "delta",
        "choices",
        "msg",
        "object",
        "x_groq",
        "id",
        r"con\u0074ent",
        "é",
    ];

    /// A member, with any value or with one that is common.
    fn member() -> impl Strategy<Value = String> {
        let common = prop_oneof![
            3 => select(&NAMES[..4]).prop_flat_map(|name| {
                r#"[ a-zé]{0,20}(\\n|\\u00e9)?"#.prop_map(move |text| format!("\"{name}\":\"{text}\""))
            }),
            1 => select(&NAMES[4..]).prop_map(|name| format!("\"{name}\":null")),
            1 => Just("\"index\":0".to_owned()),
            1 => "[a-f]{3}".prop_map(|name| format!("\"{name}\":7")),
        ];
        let any = (select(&NAMES[..]), select(&["", " ", "\n\t"][..]), select(&VALUES[..]));
        prop_oneof![
            12 => common,
            1 => any.prop_map(|(name, space, value)| format!("\"{name}\"{space}:{space}{value}")),
        ]
    }

    /// An object with these members and, in the middle, with `inside`.
    fn object(inside: Option<String>) -> impl Strategy<Value = String> {
        (vec(member(), 0..4), any::<prop::sample::Index>(), select(&[",", ",", ",", " , "][..])).prop_map(
            move |(mut members, at, comma)| {
                if let Some(inside) = &inside {
                    members.insert(at.index(members.len() + 1), inside.clone());
                }
                format!("{{{}}}", members.join(comma))
            },
        )
    }

    fn chunk() -> impl Strategy<Value = String> {
        let choice = object(None).prop_flat_map(|delta| object(Some(format!("\"delta\":{delta}"))));
        choice.prop_flat_map(|choice| object(Some(format!("\"choices\":[{choice}]"))))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

        /// Requirement: a chunk that is read by hand means what serde reads in it, also behind another chunk.
        #[test]
        fn both_readers_agree(chunks in vec(chunk(), 1..4), changed in any::<Option<(prop::sample::Index, u8)>>()) {
            let mut deltas = PlainDeltas::default();
            for chunk in &chunks {
                is_plain(&mut deltas, chunk.as_bytes());
                let mut bytes = chunk.clone().into_bytes();
                if let Some((at, byte)) = changed {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                is_plain(&mut deltas, &bytes);
                is_plain(&mut deltas, chunk.as_bytes());
            }
        }

        /// Requirement: no bytes in the place of a text make an invalid chunk valid.
        #[test]
        fn any_text_is_read_as_serde_reads_it(
            inner in vec(select(&b"\"\\\\\\nu0d8,:{}[] a\x01\x1f\xc3\xa9\xff"[..]), 0..40),
            cut in 0..4usize,
        ) {
            let mut deltas = PlainDeltas::default();
            is_plain(&mut deltas, [FRONT, "a", BACK].concat().as_bytes());
            let data = [FRONT.as_bytes(), &inner, &BACK.as_bytes()[..BACK.len() - cut]].concat();
            is_plain(&mut deltas, &data);
        }
    }
}
