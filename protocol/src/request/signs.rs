//! Reads from a request's body what it is for, in one pass and without building values.
//!
//! The wordings are those of Claude Code 2.1.332, seen with a scripted upstream. They matter only for requests without
//! its hint headers, except for its permission classifier, which no header names.

use super::cursor::{CursorResult, JsonCursor, decoded};

/// What a body shows about the purpose of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A search tool of the provider: a tool of a type such as `web_search_20250305`, or `web_search_options`.
    WebSearch,
    /// Claude Code's permission classifier of auto mode.
    Classifier,
    /// Claude Code's request for a summary of the conversation.
    Compaction,
    /// Claude Code's mark of a subagent in the system prompt.
    Subagent,
    /// An image anywhere in the messages.
    Image,
    /// Thinking with a budget, or an effort above the usual one.
    Think,
}

/// The signs of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs(u8);

impl Signs {
    /// Reads a body. A body that is not a request has no signs, or those before the first error in its syntax.
    #[must_use]
    pub fn of_body(body: &[u8]) -> Self {
        let mut reader = SignReader::default();
        let mut cursor = JsonCursor::new(body);
        if cursor.peek() == Some(b'{') {
            // A syntax error is reported by the scan of the head.
            let _ = cursor.members(|cursor, key| reader.member(cursor, key));
        }
        reader.signs()
    }

    #[must_use]
    pub fn has(self, sign: Sign) -> bool {
        self.0 & (1 << sign as u8) != 0
    }

    /// The same with this sign.
    #[must_use]
    pub fn with(self, sign: Sign) -> Self {
        Self(self.0 | 1 << sign as u8)
    }
}

/// The start of the system prompt of Claude Code's permission classifier.
const CLASSIFIER: &[u8] = b"You are a security monitor for autonomous AI coding agents";
/// Part of the last message of Claude Code's request for a summary.
const COMPACTION: &[u8] = b"Your task is to create a detailed summary of the conversation so far";
/// In the first block of Claude Code's system prompt.
const ATTRIBUTION: &[u8] = b"x-anthropic-billing-header:";
const SUBAGENT: &[u8] = b"cc_is_subagent=true";

/// Reads the members of a request.
#[derive(Default)]
struct SignReader {
    found: Signs,
    tools: u32,
    /// Whether the system prompt is the classifier's.
    classifies: bool,
    thinking: Thinking,
    effort: Effort,
    /// The last effort of a message (per-turn control), which has precedence over the request's.
    turn_effort: Option<Effort>,
    /// Whether the last message asks for a summary.
    summarises: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Thinking {
    /// `thinking` of type `enabled`, which has a budget.
    Budget,
    #[default]
    Other,
}

/// How an effort relates to those that clients send for every request.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Effort {
    Raised,
    #[default]
    Usual,
}

impl Effort {
    /// Claude Code sends `medium` for known models and `high` for others, whatever the user has chosen.
    fn of_messages(word: &[u8]) -> Self {
        if matches!(word, b"\"xhigh\"" | b"\"max\"") { Self::Raised } else { Self::Usual }
    }

    /// The default of OpenAI's APIs is `medium`.
    fn of_chat(word: &[u8]) -> Self {
        if matches!(word, b"\"high\"" | b"\"xhigh\"" | b"\"max\"") { Self::Raised } else { Self::Usual }
    }
}

impl SignReader {
    fn signs(self) -> Signs {
        let effort = self.turn_effort.unwrap_or(self.effort);
        let mut signs = self.found;
        if self.classifies && self.tools == 0 {
            signs = signs.with(Sign::Classifier);
        }
        if self.summarises {
            signs = signs.with(Sign::Compaction);
        }
        if self.thinking == Thinking::Budget || effort == Effort::Raised {
            signs = signs.with(Sign::Think);
        }
        signs
    }

    fn add(&mut self, sign: Sign) {
        self.found = self.found.with(sign);
    }

    fn member(&mut self, cursor: &mut JsonCursor<'_>, key: &str) -> CursorResult<()> {
        match key {
            "tools" => self.tools(cursor),
            "web_search_options" => {
                let value = cursor.value()?;
                if cursor.slice(value) != b"null" {
                    self.add(Sign::WebSearch);
                }
                Ok(())
            }
            "thinking" => each_member(cursor, |cursor, key| {
                let value = cursor.value()?;
                if key == "type" && cursor.slice(value) == b"\"enabled\"" {
                    self.thinking = Thinking::Budget;
                }
                Ok(())
            }),
            "output_config" => {
                self.output_config(cursor).map(|effort| self.effort = effort.unwrap_or(self.effort))
            }
            "reasoning_effort" => {
                let value = cursor.value()?;
                self.effort = Effort::of_chat(cursor.slice(value));
                Ok(())
            }
            "reasoning" => each_member(cursor, |cursor, key| {
                let value = cursor.value()?;
                if key == "effort" {
                    self.effort = Effort::of_chat(cursor.slice(value));
                }
                Ok(())
            }),
            "system" | "instructions" => self.system(cursor),
            "messages" | "input" => self.messages(cursor),
            _ => cursor.value().map(drop),
        }
    }

    fn tools(&mut self, cursor: &mut JsonCursor<'_>) -> CursorResult<()> {
        if cursor.peek() != Some(b'[') {
            return cursor.value().map(drop);
        }
        cursor.elements(|cursor| {
            let (mut searches, mut is_offline) = (false, false);
            each_member(cursor, |cursor, key| {
                let value = cursor.value()?;
                let value = cursor.slice(value);
                match key {
                    "name" | "type" | "function" => self.tools = self.tools.saturating_add(1),
                    // Codex's way to say that the tool is off.
                    "external_web_access" => is_offline = value == b"false",
                    _ => {}
                }
                searches |= key == "type" && value.starts_with(b"\"web_search");
                Ok(())
            })?;
            if searches && !is_offline {
                self.add(Sign::WebSearch);
            }
            Ok(())
        })
    }

    /// The effort in `output_config`, if it has one.
    fn output_config(&self, cursor: &mut JsonCursor<'_>) -> CursorResult<Option<Effort>> {
        let mut effort = None;
        each_member(cursor, |cursor, key| {
            let value = cursor.value()?;
            if key == "effort" {
                effort = Some(Effort::of_messages(cursor.slice(value)));
            }
            Ok(())
        })?;
        Ok(effort)
    }

    /// The system prompt of the Messages API: a string, or text blocks.
    fn system(&mut self, cursor: &mut JsonCursor<'_>) -> CursorResult<()> {
        if cursor.peek() != Some(b'[') {
            let value = cursor.value()?;
            self.system_text(cursor.slice(value));
            return Ok(());
        }
        each_object(cursor, |cursor, key| {
            let value = cursor.value()?;
            if key == "text" {
                self.system_text(cursor.slice(value));
            }
            Ok(())
        })
    }

    /// A text with its quotes. What is looked for contains nothing that JSON escapes.
    fn system_text(&mut self, quoted: &[u8]) {
        let text = quoted.strip_prefix(b"\"").unwrap_or(quoted);
        if text.starts_with(CLASSIFIER) {
            self.classifies = true;
        } else if text.starts_with(ATTRIBUTION) && memchr::memmem::find(text, SUBAGENT).is_some() {
            self.add(Sign::Subagent);
        }
    }

    fn messages(&mut self, cursor: &mut JsonCursor<'_>) -> CursorResult<()> {
        if cursor.peek() != Some(b'[') {
            return cursor.value().map(drop);
        }
        cursor.elements(|cursor| {
            let (mut is_user, mut summarises) = (false, false);
            each_member(cursor, |cursor, key| match key {
                "role" => {
                    let value = cursor.value()?;
                    is_user = cursor.slice(value) == b"\"user\"";
                    Ok(())
                }
                // In Responses an item has one of them.
                "content" | "output" => self.content(cursor).map(|found| summarises |= found),
                "output_config" => {
                    let effort = self.output_config(cursor)?;
                    self.turn_effort = effort.or(self.turn_effort);
                    Ok(())
                }
                _ => cursor.value().map(drop),
            })?;
            self.summarises = is_user && summarises;
            Ok(())
        })
    }

    /// The content of a message or of a tool's result. Returns whether a text in it asks for a summary.
    fn content(&mut self, cursor: &mut JsonCursor<'_>) -> CursorResult<bool> {
        if cursor.peek() != Some(b'[') {
            let value = cursor.value()?;
            return Ok(asks_for_summary(cursor.slice(value)));
        }
        let mut summarises = false;
        cursor.elements(|cursor| {
            each_member(cursor, |cursor, key| {
                if key == "content" && cursor.peek() == Some(b'[') {
                    return self.result(cursor);
                }
                let value = cursor.value()?;
                let text = cursor.slice(value);
                match key {
                    "type" => self.block_type(text),
                    "text" => summarises |= asks_for_summary(text),
                    _ => {}
                }
                Ok(())
            })
        })?;
        Ok(summarises)
    }

    /// The blocks of a tool's result.
    fn result(&mut self, cursor: &mut JsonCursor<'_>) -> CursorResult<()> {
        each_object(cursor, |cursor, key| {
            let value = cursor.value()?;
            if key == "type" {
                self.block_type(cursor.slice(value));
            }
            Ok(())
        })
    }

    fn block_type(&mut self, quoted: &[u8]) {
        if matches!(decoded(quoted).as_deref(), Some("image" | "image_url" | "input_image")) {
            self.add(Sign::Image);
        }
    }
}

fn asks_for_summary(quoted: &[u8]) -> bool {
    memchr::memmem::find(quoted, COMPACTION).is_some()
}

/// Walks the members of an object; skips any other value.
fn each_member(
    cursor: &mut JsonCursor<'_>,
    each: impl FnMut(&mut JsonCursor<'_>, &str) -> CursorResult<()>,
) -> CursorResult<()> {
    match cursor.peek() {
        Some(b'{') => cursor.members(each),
        _ => cursor.value().map(drop),
    }
}

/// Walks the members of each object in a list; skips any other value.
fn each_object(
    cursor: &mut JsonCursor<'_>,
    mut each: impl FnMut(&mut JsonCursor<'_>, &str) -> CursorResult<()>,
) -> CursorResult<()> {
    match cursor.peek() {
        Some(b'[') => cursor.elements(|cursor| each_member(cursor, &mut each)),
        _ => cursor.value().map(drop),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const ALL: [Sign; 6] =
        [Sign::WebSearch, Sign::Classifier, Sign::Compaction, Sign::Subagent, Sign::Image, Sign::Think];

    fn signs(members: &str) -> Vec<Sign> {
        let found = Signs::of_body(format!("{{\"model\":\"m\",{members}}}").as_bytes());
        ALL.into_iter().filter(|sign| found.has(*sign)).collect()
    }

    /// Requirement: a search tool of the provider is found in both APIs; the client's own tool named WebSearch is none.
    #[test]
    fn a_search_tool_of_the_provider_is_a_web_search() {
        for members in [
            r#""tools":[{"type":"web_search_20250305","name":"web_search","max_uses":8}]"#,
            r#""tools":[{"name":"a","input_schema":{}},{"name":"web_search","type":"web_search_20260209"}]"#,
            r#""tools":[{"type":"web_search"}]"#,
            r#""web_search_options":{}"#,
            r#""tools":[{"type":"web_search","external_web_access":true}],"input":"x""#,
        ] {
            assert_eq!(signs(members), [Sign::WebSearch], "{members}");
        }
        for members in [
            r#""tools":[{"name":"WebSearch","input_schema":{"type":"web_search_20250305"}}]"#,
            r#""tools":[{"type":"function","function":{"name":"web_search","type":"web_search"}}]"#,
            r#""tools":null,"web_search_options":null"#,
            r#""tools":[{"type":"web_search","external_web_access":false}],"input":"x""#,
        ] {
            assert_eq!(signs(members), [], "{members}");
        }
    }

    /// Requirement: the classifier of auto mode is found by its prompt, since its only header names the class `auxiliary`.
    #[test]
    fn the_permission_classifier_is_found_by_its_system_prompt() {
        let system = r#""system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.332.972;"},
            {"text":"You are a security monitor for autonomous AI coding agents.\n\n## Context","type":"text"}]"#;
        assert_eq!(signs(&format!(r#"{system},"thinking":{{"type":"disabled"}}"#)), [Sign::Classifier]);
        assert_eq!(signs(&format!(r#""tools":[],{system}"#)), [Sign::Classifier]);
        assert_eq!(signs(&format!(r#"{system},"tools":[{{"name":"Bash"}}]"#)), []);
    }

    /// Requirement: only the last message can ask for a summary; a conversation that goes on after one is not a compaction.
    #[test]
    fn a_compaction_is_found_in_the_last_message() {
        let ask = "CRITICAL: TEXT ONLY.\\n\\nYour task is to create a detailed summary of the conversation so far, paying";
        let user = format!(r#"{{"role":"user","content":"{ask}"}}"#);
        assert_eq!(
            signs(&format!(r#""messages":[{{"role":"user","content":"hi"}},{user}]"#)),
            [Sign::Compaction]
        );
        let blocks = format!(r#"{{"content":[{{"type":"text","text":"{ask}"}}],"role":"user"}}"#);
        assert_eq!(signs(&format!(r#""messages":[{blocks}]"#)), [Sign::Compaction]);
        assert_eq!(signs(&format!(r#""messages":[{user},{{"role":"assistant","content":"ok"}}]"#)), []);
        let assistant = user.replace("user", "assistant");
        assert_eq!(signs(&format!(r#""messages":[{assistant}]"#)), []);
    }

    #[test]
    fn a_subagent_is_found_by_the_attribution_block() {
        let system = |text: &str| format!(r#""system":[{{"type":"text","text":"{text}"}}]"#);
        let mark =
            "x-anthropic-billing-header: cc_version=2.1.332.34c; cc_entrypoint=sdk-cli; cc_is_subagent=true;";
        assert_eq!(signs(&system(mark)), [Sign::Subagent]);
        assert_eq!(signs(&system(&format!("I quote: {mark}"))), []);
    }

    /// Requirement: an image in a message or in a tool's result counts, in both APIs; one in a tool's input does not.
    #[test]
    fn an_image_anywhere_in_the_history_is_found() {
        for block in [
            r#"{"type":"image","source":{"type":"base64","data":"AA=="}}"#,
            r#"{"source":{"type":"url","url":"https://x"},"type":"image"}"#,
            r#"{"type":"tool_result","content":[{"type":"text","text":"t"},{"type":"image","source":{}}]}"#,
            r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}"#,
        ] {
            let before = r#"{"role":"user","content":"a"}"#;
            let after = r#"{"role":"assistant","content":[{"type":"text","text":"b"}]}"#;
            let members = format!(r#""messages":[{before},{{"role":"user","content":[{block}]}},{after}]"#);
            assert_eq!(signs(&members), [Sign::Image], "{block}");
        }
        for block in [
            r#"{"type":"tool_use","input":{"type":"image","content":[{"kind":"image"}]}}"#,
            r#"{"type":"text","text":"{\"type\":\"image\"}"}"#,
        ] {
            assert_eq!(
                signs(&format!(r#""messages":[{{"role":"user","content":[{block}]}}]"#)),
                [],
                "{block}"
            );
        }
    }

    /// Requirement: a Responses request is read like the others: its items, its instructions and its effort.
    #[test]
    fn the_items_of_responses_are_read() {
        let image = r#"{"type":"input_image","image_url":"data:image/png;base64,AA=="}"#;
        for members in [
            format!(r#""input":[{{"role":"user","content":[{image}]}}]"#),
            format!(
                r#""input":[{{"type":"function_call_output","output":[{image}]}},{{"role":"user","content":"a"}}]"#
            ),
        ] {
            assert_eq!(signs(&members), [Sign::Image], "{members}");
        }
        assert_eq!(signs(r#""input":"a","reasoning":{"summary":"auto","effort":"high"}"#), [Sign::Think]);
        assert_eq!(signs(r#""input":"a","reasoning":{"effort":"medium"}"#), []);
        let ask = "Your task is to create a detailed summary of the conversation so far";
        let user = format!(
            r#"{{"type":"message","role":"user","content":[{{"type":"input_text","text":"{ask}"}}]}}"#
        );
        assert_eq!(signs(&format!(r#""instructions":"x","input":[{user}]"#)), [Sign::Compaction]);
        assert_eq!(signs(&format!(r#""input":[{user},{{"type":"reasoning","summary":[]}}]"#)), []);
    }

    /// Requirement: what Claude Code sends for every request is not thinking: `adaptive` with the usual effort.
    #[test]
    fn thinking_with_a_budget_or_with_a_raised_effort_is_found() {
        for members in [
            r#""thinking":{"type":"enabled","budget_tokens":31999}"#,
            r#""thinking":{"type":"adaptive"},"output_config":{"effort":"xhigh"}"#,
            r#""output_config":{"effort":"max"}"#,
            r#""output_config":{"effort":"high"},"messages":[{"role":"system","content":[],"output_config":{"effort":"max"}}]"#,
            r#""reasoning_effort":"high""#,
        ] {
            assert_eq!(signs(members), [Sign::Think], "{members}");
        }
        for members in [
            r#""thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"high"}"#,
            r#""thinking":{"type":"disabled"}"#,
            r#""thinking":null,"reasoning_effort":"medium""#,
            r#""messages":[{"role":"system","content":[],"output_config":{"effort":"low"}}],"output_config":{"effort":"max"}"#,
        ] {
            assert_eq!(signs(members), [], "{members}");
        }
    }

    #[test]
    fn anything_that_is_not_a_request_has_no_signs() {
        for body in [
            "",
            "[]",
            "null",
            "{\"messages\":7,\"tools\":{},\"system\":null,\"thinking\":[]}",
            "{\"tools\":[",
        ] {
            assert_eq!(Signs::of_body(body.as_bytes()), Signs::default(), "{body}");
        }
    }

    const MESSAGES: [&str; 6] = [
        r#"{"role":"user","content":"some words of a person"}"#,
        r#"{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"Read","input":{"type":"image"}}]}"#,
        r#"{"role":"user","content":[{"type":"tool_result","content":[{"type":"image","source":{}}]}]}"#,
        r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}"#,
        r#"{"role":"assistant","tool_calls":[{"id":"t","function":{"name":"f","arguments":"{\"a\":1}"}}]}"#,
        r#"{"role":"system","content":[],"output_config":{"effort":"max"}}"#,
    ];

    proptest! {
        /// Requirement: rules on the body read the whole history, which only grows: an image stays one, and the estimate of
        /// tokens never falls.
        #[test]
        fn a_longer_history_keeps_its_images_and_its_tokens(messages in vec(select(MESSAGES.to_vec()), 1..12)) {
            let body = |count: usize| format!(r#"{{"model":"m","messages":[{}]}}"#, messages[..count].join(","));
            for count in 1..messages.len() {
                let (shorter, longer) = (body(count), body(count + 1));
                let has_image = |body: &str| Signs::of_body(body.as_bytes()).has(Sign::Image);
                prop_assert!(!has_image(&shorter) || has_image(&longer), "{}", longer);
                let tokens = |body: &str| crate::tokens::messages(body.as_bytes()).unwrap();
                prop_assert!(tokens(&shorter) <= tokens(&longer), "{}", longer);
            }
        }

        /// Requirement: a body that is cut anywhere is read without a panic.
        #[test]
        fn a_cut_body_is_read_to_its_end(messages in vec(select(MESSAGES.to_vec()), 1..4), cut in 0..600_usize) {
            let body = format!(r#"{{"system":[{{"text":"x"}}],"tools":[{{"type":"a"}}],"messages":[{}]}}"#, messages.join(","));
            let end = cut.min(body.len());
            let whole = Signs::of_body(body.as_bytes());
            let part = Signs::of_body(&body.as_bytes()[..end]);
            prop_assert!(end < body.len() || part == whole);
        }
    }
}
