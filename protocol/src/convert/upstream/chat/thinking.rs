//! Converts a model's thoughts for the client: separates them from the answer if tags enclose them, and stores data that the
//! upstream needs back in their signature. *Inner text* is the text of a JSON string without its quotes and with its escapes.

use serde_json::value::RawValue;

use super::extras;
use crate::{
    convert::upstream::blocks::Prose,
    json::{self, Literal, decode_text},
    signature,
};

/// Maximum size of the upstream's objects that a signature contains. If they are larger, the thoughts are sent back as text.
const LARGEST_LOAD: usize = 256 << 10;

/// The tag that encloses thoughts at the start of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// Used by most open models that are served without a reasoning parser.
    Think,
    /// Used by Gemini if the request asks for thoughts (ai.google.dev/gemini-api/docs/openai).
    Thought,
}

impl Tag {
    fn opening(self) -> &'static str {
        match self {
            Self::Think => "<think>",
            Self::Thought => "<thought>",
        }
    }

    fn closing(self) -> &'static str {
        match self {
            Self::Think => "</think>",
            Self::Thought => "</thought>",
        }
    }
}

/// Separates thoughts between tags at the start of a reply from its text.
#[derive(Debug)]
pub(super) enum Tags {
    /// The text so far could be the beginning of the opening tag.
    Start(Tag, String),
    /// Inside the tags. The end of the text so far may be the beginning of the closing tag.
    Inside(Tag, String),
    /// After the closing tag, before the first word of the answer.
    Behind,
    Over,
}

impl Tags {
    /// Creates the state for a new reply. Without a tag, the whole reply is text.
    pub(super) fn expecting(tag: Option<Tag>) -> Self {
        tag.map_or(Self::Over, |tag| Self::Start(tag, String::new()))
    }

    /// Splits text of a reply into texts and thoughts, all of it inner text.
    pub(super) fn take(&mut self, inner: &str) -> Vec<(Prose, String)> {
        if let Self::Over = self {
            return vec![(Prose::Text, inner.to_owned())];
        }
        // A tag contains no half of a surrogate pair.
        let Some(text) = decode_text(inner) else {
            if let Self::Inside(_, held) = self {
                let held = json::escape_text(&std::mem::take(held));
                return vec![(Prose::Thinking, held + inner)];
            }
            let mut pieces = self.finish();
            pieces.push((Prose::Text, inner.to_owned()));
            return pieces;
        };
        let mut pieces = vec![];
        self.step(text.into_owned(), &mut pieces);
        pieces.into_iter().map(|(prose, text)| (prose, json::escape_text(&text))).collect()
    }

    /// Returns the held text at the end of the reply.
    pub(super) fn finish(&mut self) -> Vec<(Prose, String)> {
        let left = match std::mem::replace(self, Self::Over) {
            Self::Start(_, text) => (Prose::Text, text),
            Self::Inside(_, text) => (Prose::Thinking, text),
            Self::Behind | Self::Over => return vec![],
        };
        if left.1.is_empty() { vec![] } else { vec![(left.0, json::escape_text(&left.1))] }
    }

    fn step(&mut self, text: String, pieces: &mut Vec<(Prose, String)>) {
        match self {
            Self::Start(tag, seen) => {
                seen.push_str(&text);
                let begun = seen.trim_start();
                if let Some(rest) = begun.strip_prefix(tag.opening()) {
                    let rest = rest.to_owned();
                    *self = Self::Inside(*tag, String::new());
                    self.step(rest, pieces);
                } else if !tag.opening().starts_with(begun) {
                    pieces.push((Prose::Text, std::mem::take(seen)));
                    *self = Self::Over;
                }
            }
            Self::Inside(tag, seen) => {
                let closing = tag.closing();
                seen.push_str(&text);
                if let Some(at) = seen.find(closing) {
                    let rest = seen.split_off(at)[closing.len()..].to_owned();
                    push(pieces, Prose::Thinking, std::mem::take(seen));
                    *self = Self::Behind;
                    self.step(rest, pieces);
                } else {
                    let kept = (0..=closing.len()).rev().find(|&kept| seen.ends_with(&closing[..kept]));
                    let tail = seen.split_off(seen.len() - kept.unwrap_or(0));
                    push(pieces, Prose::Thinking, std::mem::replace(seen, tail));
                }
            }
            Self::Behind => {
                let rest = text.trim_start();
                if !rest.is_empty() {
                    pieces.push((Prose::Text, rest.to_owned()));
                    *self = Self::Over;
                }
            }
            Self::Over => push(pieces, Prose::Text, text),
        }
    }
}

fn push(pieces: &mut Vec<(Prose, String)>, prose: Prose, text: String) {
    if !text.is_empty() {
        pieces.push((prose, text));
    }
}

/// The upstream's own objects for its thoughts (`reasoning_details` of OpenRouter), with the pieces of each object joined. The
/// upstream requires them back unchanged (openrouter.ai/docs/use-cases/reasoning-tokens).
#[derive(Debug, Default)]
pub(super) struct ReasoningDetails {
    whole: Vec<String>,
    last: Option<ReasoningDetail>,
    size: usize,
    /// Whether an object belongs to the next block, so that it must be sent before that block.
    is_due: bool,
}

/// An object whose text can continue in the next chunk: its inner text and its other members as JSON.
#[derive(Debug)]
struct ReasoningDetail {
    field: &'static str,
    text: String,
    members: Vec<(String, String)>,
}

impl ReasoningDetails {
    /// Takes the objects of one chunk.
    pub(super) fn take(&mut self, details: &RawValue) {
        if self.size > LARGEST_LOAD {
            return;
        }
        self.size += details.get().len();
        let Ok(objects) = serde_json::from_str::<Vec<&RawValue>>(details.get()) else { return };
        for object in objects.into_iter().filter(|object| object.get().starts_with('{')) {
            let piece = ReasoningDetail::from_object(object);
            // An object without visible text needs a thinking block of its own to carry it.
            self.is_due |= piece.as_ref().is_none_or(ReasoningDetail::says_something);
            match (piece, &mut self.last) {
                (Some(piece), Some(last)) if last.goes_on_with(&piece) => last.join(piece),
                (piece, _) => {
                    self.close();
                    match piece {
                        Some(piece) => self.last = Some(piece),
                        None => self.whole.push(object.get().to_owned()),
                    }
                }
            }
        }
    }

    /// Takes the data for the next text, or for the call of this id (inner text).
    pub(super) fn take_extra(&mut self, id: Option<&str>, extra: &str) {
        self.size += extra.len();
        if self.size <= LARGEST_LOAD {
            self.close();
            self.whole.push(extras::entry(id, extra));
            self.is_due = true;
        }
    }

    /// Whether a signature must be sent before the next block.
    pub(super) fn is_due(&self) -> bool {
        self.is_due && self.size <= LARGEST_LOAD
    }

    fn close(&mut self) {
        self.whole.extend(self.last.take().map(ReasoningDetail::into_json));
    }

    /// Returns `signature` with the objects since the previous call.
    pub(super) fn signed(&mut self, signature: &str) -> String {
        self.close();
        self.is_due = false;
        let mut signed = signature.to_owned();
        let load = std::mem::take(&mut self.whole).join(",");
        if !load.is_empty() && self.size <= LARGEST_LOAD {
            signature::carry(&mut signed, load.as_bytes());
        }
        signed
    }
}

impl ReasoningDetail {
    /// `None` for objects that are never split.
    fn from_object(object: &RawValue) -> Option<Self> {
        let members: std::collections::BTreeMap<String, &RawValue> =
            serde_json::from_str(object.get()).ok()?;
        let kind: String = serde_json::from_str(members.get("type")?.get()).ok()?;
        let field = match kind.as_str() {
            "reasoning.text" => "text",
            "reasoning.summary" => "summary",
            _ => return None,
        };
        let text = members.get(field).and_then(|text| Literal::of(text)).map(|text| text.inner().to_owned());
        let members = members.into_iter().filter(|(name, value)| name != field && value.get() != "null");
        let members = members.map(|(name, value)| (name, value.get().to_owned())).collect();
        Some(Self { field, text: text.unwrap_or_default(), members })
    }

    fn says_something(&self) -> bool {
        !self.text.is_empty() || self.members.iter().any(|(name, _)| name == "signature")
    }

    fn goes_on_with(&self, next: &Self) -> bool {
        let index = |piece: &Self| piece.members.iter().find(|(name, _)| name == "index").cloned();
        self.field == next.field && index(self) == index(next)
    }

    fn join(&mut self, next: Self) {
        self.text.push_str(&next.text);
        for (name, value) in next.members {
            match self.members.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => self.members.push((name, value)),
            }
        }
    }

    fn into_json(self) -> String {
        let mut json = format!("{{\"{}\":\"{}\"", self.field, self.text);
        for (name, value) in self.members {
            json.push_str(&format!(",\"{}\":{value}", json::escape_text(&name)));
        }
        json.push('}');
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&str]) -> (String, String) {
        let mut tags = Tags::expecting(Some(Tag::Think));
        let (mut thinking, mut text) = (String::new(), String::new());
        let mut all: Vec<_> = pieces.iter().flat_map(|piece| tags.take(piece)).collect();
        all.extend(tags.finish());
        for (prose, piece) in all {
            if prose == Prose::Thinking { &mut thinking } else { &mut text }.push_str(&piece);
        }
        (thinking, text)
    }

    #[test]
    fn thoughts_between_tags_are_told_apart_however_they_are_cut() {
        let reply = r"\n <think>\nHm, <b>\u00e9</b>?</think>\n\nYes. <think>no tag here</think>";
        let expected = (r"\nHm, <b>é</b>?".to_owned(), "Yes. <think>no tag here</think>".to_owned());
        assert_eq!(told(&[reply]), expected);
        // Never within an escape: upstream chunks are whole literals.
        let ends: Vec<usize> =
            (1..reply.len()).filter(|&at| !reply[..at].ends_with(['\\', 'u', '0', 'e'])).collect();
        for at in ends.into_iter().filter(|&at| !reply[..at].ends_with(r"\u00")) {
            let (one, two) = reply.split_at(at);
            if decode_text(one).is_some() && decode_text(two).is_some() {
                assert_eq!(told(&[one, two]), expected, "{one} | {two}");
            }
        }
        assert_eq!(told(&[r"\u003cthink\u003ea", r"\u003c/think\u003eb"]), ("a".into(), "b".into()));
    }

    #[test]
    fn a_reply_without_tags_is_all_text_and_one_that_never_closes_is_all_thought() {
        assert_eq!(told(&["Hel", "lo <think>x</think>"]), (String::new(), "Hello <think>x</think>".into()));
        assert_eq!(told(&["<thi"]), (String::new(), "<thi".into()));
        assert_eq!(told(&["<think>a", "b</thi"]), ("ab</thi".into(), String::new()));
        assert_eq!(told(&[r"\ud83d", "x"]), (String::new(), r"\ud83dx".into()));
        let halves = told(&["<think>a", r"\ud83d", r"\ude00", "b</think>c"]);
        assert_eq!(halves, (r"a\ud83d\ude00b".into(), "c".into()));
    }

    #[test]
    fn geminis_thoughts_have_a_tag_of_their_own() {
        let mut tags = Tags::expecting(Some(Tag::Thought));
        let pieces =
            ["<tho", "ught>**Plan**\\n<think>", "x</th", "ought>Yes."].map(|piece| tags.take(piece)).concat();
        let all = |kind: Prose| {
            pieces
                .iter()
                .filter(|(prose, _)| *prose == kind)
                .map(|(_, text)| text.as_str())
                .collect::<String>()
        };
        assert_eq!(
            (all(Prose::Thinking), all(Prose::Text)),
            ("**Plan**\\n<think>x".to_owned(), "Yes.".to_owned())
        );
    }

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn pieces_of_one_detail_become_one_and_others_stay() {
        let mut details = ReasoningDetails::default();
        details.take(&raw(
            r#"[{"type":"reasoning.text","text":"a\n","index":0,"signature":null,"format":"f"}]"#,
        ));
        details.take(&raw(r#"[{"type":"reasoning.text","text":"b","index":0,"signature":"s"}]"#));
        details.take(&raw(r#"[{"type":"reasoning.encrypted","data":"x","index":1},7]"#));
        let signed = details.signed("vdm1.p~m");
        let carried = signature::read(&signed).and_then(|origin| origin.carried).unwrap();
        let carried: serde_json::Value =
            serde_json::from_str(&format!("[{}]", String::from_utf8(carried).unwrap())).unwrap();
        assert_eq!(
            carried,
            serde_json::json!([
                {"type": "reasoning.text", "text": "a\nb", "index": 0, "signature": "s", "format": "f"},
                {"type": "reasoning.encrypted", "data": "x", "index": 1},
            ])
        );
        assert_eq!(details.signed("vdm1.p~m"), "vdm1.p~m");
    }

    #[test]
    fn more_than_can_travel_is_not_carried() {
        let mut details = ReasoningDetails::default();
        let text = "x".repeat(100 << 10);
        for _ in 0..4 {
            details.take(&raw(&format!(r#"[{{"type":"reasoning.text","text":"{text}"}}]"#)));
        }
        assert_eq!(details.signed("vdm1.p~m"), "vdm1.p~m");
    }
}
