//! Removes named members from a request, or renames a top-level one. Members inside `messages` are never removed.

use std::ops::Range;

use bytes::Bytes;

use super::cursor::{CursorResult, JsonCursor};
use super::pruned::{Action, Pruned, without};
use super::{Splice, spliced};

/// The deepest level that is searched; deeper values are kept. Each level uses stack.
const DEEPEST: usize = 128;

/// What is removed from a request.
#[derive(Debug, Default)]
pub(crate) struct Unwanted<'e> {
    /// Paths from the top of the body to a member; arrays on the path are passed through. A tool's `function` may be
    /// omitted from the path.
    pub(crate) members: Vec<Vec<&'e str>>,
    /// Keywords to remove from the JSON schemas of tools and replies.
    pub(crate) keywords: Vec<&'e str>,
}

impl Unwanted<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.keywords.is_empty()
    }
}

/// Returns the body without them and with every other byte preserved, or itself, uncopied, if it has none of them.
pub(crate) fn trimmed(body: &Bytes, unwanted: &Unwanted<'_>) -> Bytes {
    let mut trimmer = Trimmer { keywords: &unwanted.keywords, depth: 0, cuts: Vec::new() };
    let paths: Vec<&[&str]> = unwanted.members.iter().map(Vec::as_slice).collect();
    let mut cursor = JsonCursor::new(body);
    let walked = trimmer.object(&mut cursor, &paths, ObjectKind::Top).and_then(|()| cursor.end());
    if walked.is_err() || trimmer.cuts.is_empty() {
        return body.clone();
    }
    without(body, trimmer.cuts)
}

/// Returns the body with its top-level member `from` renamed to `to`. If both exist, `from` is removed.
pub(crate) fn renamed(body: &Bytes, from: &str, to: &str) -> Bytes {
    let mut keys: Vec<Range<usize>> = Vec::new();
    let mut has_both = false;
    let walked = JsonCursor::new(body).entries(|cursor, start, key| {
        let before_value = cursor.at();
        has_both |= key == to;
        if key == from {
            let quote = body[start..before_value].iter().rposition(|&byte| byte == b'"');
            keys.push(start..start + quote.unwrap_or(0) + 1);
        }
        cursor.value().map(drop)
    });
    if walked.is_err() || keys.is_empty() {
        return body.clone();
    }
    if has_both {
        return trimmed(body, &Unwanted { members: vec![vec![from]], keywords: vec![] });
    }
    let text = format!("\"{to}\"");
    let mut edits: Vec<_> = keys.into_iter().map(|span| Splice { span, text: text.clone() }).collect();
    spliced(body, &mut edits)
}

/// Returns the value at this path, which leads through objects only; the last of duplicate names wins.
pub(crate) fn value_at<'b>(object: &'b [u8], names: &[&str]) -> Option<&'b [u8]> {
    let (first, rest) = names.split_first()?;
    let mut found = None;
    let walked = JsonCursor::new(object).members(|cursor, key| {
        let value = cursor.value()?;
        if key == *first {
            found = Some(value);
        }
        Ok(())
    });
    let value = found.filter(|_| walked.is_ok()).map(|span| &object[span])?;
    if rest.is_empty() { Some(value) } else { value_at(value, rest) }
}

/// The kind of object in a request, as far as it determines where schemas are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ObjectKind {
    Top,
    /// `tools`, and each of its elements.
    Tools,
    /// The `function` of a Chat Completions tool.
    Function,
    /// A member that defines the form of the reply.
    Format,
    Messages,
    Schema,
    Other,
}

impl ObjectKind {
    fn member(self, key: &str) -> Self {
        match (self, key) {
            (Self::Top, "tools") => Self::Tools,
            (Self::Top, "messages" | "input") => Self::Messages,
            (Self::Top, "response_format" | "output_format" | "output_config" | "text") => Self::Format,
            // A namespace of the Responses API.
            (Self::Tools, "tools") => Self::Tools,
            (Self::Tools, "function") => Self::Function,
            (Self::Tools | Self::Function, "parameters" | "input_schema") => Self::Schema,
            (Self::Format, "schema") => Self::Schema,
            (Self::Format, "json_schema" | "format") => Self::Format,
            _ => Self::Other,
        }
    }

    fn holds_schemas(self) -> bool {
        matches!(self, Self::Tools | Self::Function | Self::Format)
    }
}

struct Trimmer<'e> {
    keywords: &'e [&'e str],
    depth: usize,
    cuts: Vec<Range<usize>>,
}

impl Trimmer<'_> {
    /// Descends one level.
    fn within(
        &mut self,
        cursor: &mut JsonCursor<'_>,
        walk: impl FnOnce(&mut Self, &mut JsonCursor<'_>) -> CursorResult<()>,
    ) -> CursorResult<()> {
        if self.depth >= DEEPEST {
            return skip(cursor);
        }
        self.depth += 1;
        let walked = walk(self, cursor);
        self.depth -= 1;
        walked
    }

    /// Walks an object, or each object of an array, and removes the members at the ends of `paths`.
    fn object(
        &mut self,
        cursor: &mut JsonCursor<'_>,
        paths: &[&[&str]],
        kind: ObjectKind,
    ) -> CursorResult<()> {
        match cursor.peek() {
            Some(b'[') => {
                return cursor.elements(|cursor| {
                    self.within(cursor, |trimmer, cursor| trimmer.object(cursor, paths, kind))
                });
            }
            Some(b'{') => {}
            _ => return skip(cursor),
        }
        let mut pruned = Pruned::default();
        cursor.entries(|cursor, start, key| {
            let member_kind = kind.member(key);
            let is_removed = paths.iter().any(|path| **path == [key]) && member_kind != ObjectKind::Messages;
            let action = if is_removed { Action::Remove } else { Action::Keep };
            match action {
                Action::Remove => skip(cursor)?,
                Action::Keep => self.value(cursor, &onward(paths, key, member_kind), member_kind)?,
            }
            pruned.add(start..cursor.at(), action, &mut self.cuts);
            Ok(())
        })?;
        pruned.close(&mut self.cuts);
        Ok(())
    }

    /// Walks a member that stays, of which parts may be removed.
    fn value(
        &mut self,
        cursor: &mut JsonCursor<'_>,
        paths: &[&[&str]],
        kind: ObjectKind,
    ) -> CursorResult<()> {
        let has_keywords = !self.keywords.is_empty();
        match kind {
            ObjectKind::Messages => skip(cursor),
            ObjectKind::Schema if has_keywords => self.schema(cursor),
            _ if !paths.is_empty() || (has_keywords && kind.holds_schemas()) => {
                self.within(cursor, |trimmer, cursor| trimmer.object(cursor, paths, kind))
            }
            ObjectKind::Top
            | ObjectKind::Tools
            | ObjectKind::Function
            | ObjectKind::Format
            | ObjectKind::Schema
            | ObjectKind::Other => skip(cursor),
        }
    }

    fn schema(&mut self, cursor: &mut JsonCursor<'_>) -> CursorResult<()> {
        match cursor.peek() {
            Some(b'[') => return cursor.elements(|cursor| self.within(cursor, Self::schema)),
            Some(b'{') => {}
            _ => return skip(cursor),
        }
        let mut pruned = Pruned::default();
        cursor.entries(|cursor, start, key| {
            let action = if self.keywords.contains(&key) { Action::Remove } else { Action::Keep };
            match (action, key) {
                (Action::Remove, _) | (_, "enum" | "const" | "default" | "examples" | "required") => {
                    skip(cursor)?;
                }
                (
                    Action::Keep,
                    "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                ) => self.named_schemas(cursor)?,
                (Action::Keep, _) => self.within(cursor, Self::schema)?,
            }
            pruned.add(start..cursor.at(), action, &mut self.cuts);
            Ok(())
        })?;
        pruned.close(&mut self.cuts);
        Ok(())
    }

    /// Walks an object with arbitrary names whose values are schemas.
    fn named_schemas(&mut self, cursor: &mut JsonCursor<'_>) -> CursorResult<()> {
        if cursor.peek() != Some(b'{') {
            return skip(cursor);
        }
        cursor.members(|cursor, _| self.within(cursor, Self::schema))
    }
}

/// Returns the rest of the paths that lead through `key`.
fn onward<'p>(paths: &[&'p [&'p str]], key: &str, member_kind: ObjectKind) -> Vec<&'p [&'p str]> {
    let through = paths.iter().filter_map(|path| match path {
        [first, rest @ ..] if *first == key && !rest.is_empty() => Some(rest),
        _ => None,
    });
    let unnamed = paths.iter().copied().filter(|_| member_kind == ObjectKind::Function);
    through.chain(unnamed).collect()
}

fn skip(cursor: &mut JsonCursor<'_>) -> CursorResult<()> {
    cursor.value().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    fn trim(body: &str, members: &[&str], keywords: &[&str]) -> String {
        let members = members.iter().map(|path| path.split('.').collect()).collect();
        let trimmed =
            trimmed(&Bytes::from(body.to_owned()), &Unwanted { members, keywords: keywords.to_vec() });
        text(&trimmed).to_owned()
    }

    #[test]
    fn members_are_removed_with_one_comma_each_at_any_position() {
        for (body, left) in [
            (r#"{ "a" : 1 , "b":2, "c":3 }"#, r#"{ "b":2, "c":3 }"#),
            (r#"{"b":2,"a":[1,{"a":1}],"c":3}"#, r#"{"b":2,"c":3}"#),
            (r#"{"b":2 , "a":"}" }"#, r#"{"b":2 }"#),
            (r#"{"a":1,"a":2,"b":{"a":3}}"#, r#"{"b":{"a":3}}"#),
            (r#"{ "\u0061" : 1 }"#, r#"{  }"#),
        ] {
            assert_eq!(trim(body, &["a"], &[]), left);
        }
    }

    #[test]
    fn paths_lead_through_arrays_and_past_a_tools_function() {
        let body = r#"{"tools":[{"type":"function","function":{"name":"a","strict":true}},{"name":"b","strict":false}],"strict":1}"#;
        let left = r#"{"tools":[{"type":"function","function":{"name":"a"}},{"name":"b"}],"strict":1}"#;
        assert_eq!(trim(body, &["tools.strict"], &[]), left);
        assert_eq!(trim(body, &["tools.strict", "strict"], &[]), left.replace(r#","strict":1"#, ""));

        let body =
            r#"{"output_config":{"effort":"low"},"system":[{"cache_control":{"scope":"g","type":"e"}}]}"#;
        let left = r#"{"output_config":{},"system":[{"cache_control":{"type":"e"}}]}"#;
        assert_eq!(trim(body, &["output_config.effort", "system.cache_control.scope"], &[]), left);
    }

    #[test]
    fn keywords_are_removed_from_schemas_only() {
        let schema = r#"{"type":"object","title":"T","properties":{"title":{"anyOf":[{"title":"x"}],"default":{"title":1}}},"required":["title"]}"#;
        let left = r#"{"type":"object","properties":{"title":{"anyOf":[{}],"default":{"title":1}}},"required":["title"]}"#;
        let body = |schema: &str| {
            format!(
                r#"{{"title":1,"tools":[{{"title":2,"input_schema":{schema}}},{{"function":{{"parameters":{schema}}}}}],"response_format":{{"json_schema":{{"title":3,"schema":{schema}}}}},"output_config":{{"format":{{"schema":{schema}}}}}}}"#
            )
        };
        assert_eq!(trim(&body(schema), &[], &["title"]), body(left));
        let responses = |schema: &str| {
            format!(
                r#"{{"input":[{{"parameters":{{"title":0}}}}],"tools":[{{"title":2,"parameters":{schema}}},{{"type":"namespace","title":2,"tools":[{{"parameters":{schema}}}]}}],"text":{{"format":{{"title":3,"schema":{schema}}}}}}}"#
            )
        };
        assert_eq!(trim(&responses(schema), &[], &["title"]), responses(left));
        let items = r#"{"input":[{"reasoning":1}],"reasoning":{"effort":"low","summary":"auto"}}"#;
        assert_eq!(
            trim(items, &["reasoning.effort", "input.reasoning"], &[]),
            r#"{"input":[{"reasoning":1}],"reasoning":{"summary":"auto"}}"#
        );
    }

    #[test]
    fn messages_and_broken_bodies_are_not_touched() {
        for body in [
            r#"{"messages":[{"a":1,"content":[{"a":1}]}]}"#,
            r#"{"b":{"a":1},"a":1"#,
            r#"{"a":1}}"#,
            r#"[{"b":1}]"#,
            r#""a""#,
        ] {
            assert_eq!(trim(body, &["messages.a", "messages", "messages.content.a", "a"], &["a"]), body);
        }
    }

    #[test]
    fn values_that_are_too_deep_are_unchanged() {
        let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(50_000), close.repeat(50_000));
        let schema = nested(r#"{"x":{"not":"#, "}}");
        for body in [
            format!(r#"{{"tools":[{{"input_schema":{schema}}}]}}"#),
            format!(r#"{{"tools":{}}}"#, nested("[", "]")),
            format!(r#"{{"output_config":{}}}"#, nested(r#"{"format":"#, "}")),
        ] {
            assert_eq!(trim(&body, &["tools.y", "output_config.y"], &["y"]), body);
        }
    }

    #[test]
    fn a_member_is_renamed_unless_the_name_exists() {
        let rename = |body: &'static str| {
            text(&renamed(&Bytes::from_static(body.as_bytes()), "max_tokens", "max_completion_tokens"))
                .to_owned()
        };
        for (body, left) in [
            (
                r#"{ "max_tokens" : 5 ,"x":{"max_tokens":1}}"#,
                r#"{ "max_completion_tokens" : 5 ,"x":{"max_tokens":1}}"#,
            ),
            (r#"{"max\u005ftokens":5}"#, r#"{"max_completion_tokens":5}"#),
            (r#"{"max_tokens":5,"max_completion_tokens":6}"#, r#"{"max_completion_tokens":6}"#),
            (r#"{"x":1}"#, r#"{"x":1}"#),
        ] {
            assert_eq!(rename(body), left);
        }
    }
}
