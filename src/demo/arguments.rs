//! Arguments for a tool, made up from the words of a prompt so that they satisfy the tool's schema.

use serde_json::{Map, Value, json};

/// An object for `schema`: the JSON object that stands in the prompt, if any, and for every required property
/// that it lacks something fitting out of the prompt, else something plain.
pub(super) fn compose(schema: &Value, prompt: &str) -> Value {
    let given = object_in(prompt).unwrap_or_default();
    PromptWords::of(prompt).object(schema, given, DEEPEST)
}

/// The first JSON object in a text.
fn object_in(text: &str) -> Option<Map<String, Value>> {
    text.match_indices('{').find_map(|(start, _)| {
        let first = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>().next()?;
        first.ok()?.as_object().cloned()
    })
}

/// What a prompt has to offer, each kind in its order; what was used is gone.
struct PromptWords {
    paths: Vec<String>,
    quoted: Vec<String>,
    numbers: Vec<serde_json::Number>,
}

impl PromptWords {
    fn of(prompt: &str) -> Self {
        let (paths, quoted): (Vec<_>, Vec<_>) =
            quotations(prompt).into_iter().partition(|text| is_path(text));
        let bare = prompt
            .split_whitespace()
            .map(|word| word.trim_matches(['"', '\'', '`', ',', '.', '!', '?', ':']));
        let mut paths = paths;
        for word in bare.clone() {
            if is_path(word) && !paths.iter().chain(&quoted).any(|known| known.contains(word)) {
                paths.push(word.to_owned());
            }
        }
        let mut words = Self { paths, quoted, numbers: bare.filter_map(|word| word.parse().ok()).collect() };
        words.turn_around();
        words
    }

    /// So that `pop` takes the first.
    fn turn_around(&mut self) {
        self.paths.reverse();
        self.quoted.reverse();
        self.numbers.reverse();
    }

    fn object(&mut self, schema: &Value, mut given: Map<String, Value>, depth: usize) -> Value {
        let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        for name in required.iter().filter_map(Value::as_str) {
            if !given.contains_key(name) {
                let value = self.value(name, &schema["properties"][name], depth);
                given.insert(name.to_owned(), value);
            }
        }
        Value::Object(given)
    }

    fn value(&mut self, name: &str, schema: &Value, depth: usize) -> Value {
        for fixed in [&schema["const"], &schema["default"], &schema["enum"][0]] {
            if !fixed.is_null() {
                return fixed.clone();
            }
        }
        for choice in [&schema["anyOf"][0], &schema["oneOf"][0]] {
            if depth > 0 && !choice.is_null() {
                return self.value(name, choice, depth - 1);
            }
        }
        match kind(schema) {
            "object" if depth > 0 => self.object(schema, Map::new(), depth - 1),
            "array" => self.list(name, schema, depth),
            "integer" | "number" => self.number(schema),
            "boolean" => json!(false),
            "null" => Value::Null,
            _ => json!(self.text(name)),
        }
    }

    /// As short as the schema permits.
    fn list(&mut self, name: &str, schema: &Value, depth: usize) -> Value {
        let least = schema["minItems"].as_u64().unwrap_or(0).min(MOST_ITEMS);
        if depth == 0 {
            return json!([]);
        }
        (0..least).map(|_| self.value(name, &schema["items"], depth - 1)).collect()
    }

    fn number(&mut self, schema: &Value) -> Value {
        match self.numbers.pop() {
            Some(number) if kind(schema) == "number" || number.is_i64() => Value::Number(number),
            Some(_) | None if !schema["minimum"].is_null() => schema["minimum"].clone(),
            Some(_) | None => json!(1),
        }
    }

    fn text(&mut self, name: &str) -> String {
        let name = name.to_ascii_lowercase();
        let named = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        if named(&["path", "file", "dir", "url", "uri"]) {
            let fallback = if named(&["url", "uri"]) { "https://example.com/" } else { "/tmp/vdm-demo.txt" };
            return self.paths.pop().unwrap_or_else(|| fallback.to_owned());
        }
        let fallback =
            if named(&["command"]) { "echo \"Hello from the demo\"" } else { "Hello from the demo" };
        self.quoted.pop().unwrap_or_else(|| fallback.to_owned())
    }
}

/// The schema's type; of several the first.
fn kind(schema: &Value) -> &str {
    schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default()
}

/// A file name, a path or an address: without blanks, with a separator inside.
fn is_path(word: &str) -> bool {
    let separated = word.len() > 1 && (word.contains('/') || word.starts_with('~') || has_extension(word));
    separated && !word.contains(char::is_whitespace)
}

fn has_extension(word: &str) -> bool {
    word.rsplit_once('.').is_some_and(|(stem, extension)| {
        let letters = extension.chars().all(|letter| letter.is_ascii_alphanumeric());
        !stem.is_empty() && (1..=4).contains(&extension.len()) && letters && !is_number(word)
    })
}

fn is_number(word: &str) -> bool {
    word.parse::<f64>().is_ok()
}

/// What stands between quotation marks. A single mark opens only before a word, so that "don't" quotes nothing.
fn quotations(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(mark) = rest.chars().next() {
        let inside = &rest[mark.len_utf8()..];
        match closing(mark, before).and_then(|close| inside.split_once(close)) {
            Some((quoted, after)) => {
                found.push(quoted.to_owned());
                rest = after;
                before = '"';
            }
            None => {
                rest = inside;
                before = mark;
            }
        }
    }
    found.retain(|quoted| !quoted.is_empty());
    found
}

fn closing(mark: char, before: char) -> Option<char> {
    match mark {
        '"' | '`' => Some(mark),
        '\'' if !before.is_alphanumeric() => Some('\''),
        '“' => Some('”'),
        _ => None,
    }
}

/// How far a schema is followed: enough for any tool, little enough for one that contains itself.
const DEEPEST: usize = 6;
const MOST_ITEMS: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn write_tool() -> Value {
        json!({"type": "object", "required": ["file_path", "content"], "properties": {
            "file_path": {"type": "string"}, "content": {"type": "string"}}})
    }

    #[test]
    fn quoted_words_and_paths_find_their_properties() {
        for prompt in [
            "Use the Write tool to write \"hello world\" to \"/tmp/a.txt\"",
            "Use Write: put 'hello world' into /tmp/a.txt.",
            "Don't think, Write “hello world” to `/tmp/a.txt`, it's easy",
        ] {
            let expected = json!({"file_path": "/tmp/a.txt", "content": "hello world"});

            assert_eq!(compose(&write_tool(), prompt), expected, "{prompt}");
        }
    }

    #[test]
    fn an_object_in_the_prompt_is_taken_and_completed() {
        let prompt = "Use Write {not json} with {\"content\": \"x {\", \"mode\": 6} for /tmp/b";

        let made = compose(&write_tool(), prompt);

        assert_eq!(made, json!({"file_path": "/tmp/b", "content": "x {", "mode": 6}));
    }

    #[test]
    fn what_the_prompt_lacks_is_made_up_by_type() {
        let schema = json!({"required": ["n", "x", "on", "list", "mode", "deep", "any", "text"], "properties": {
            "n": {"type": "integer", "minimum": 3}, "x": {"type": ["number", "null"]}, "on": {"type": "boolean"},
            "list": {"type": "array", "minItems": 1, "items": {"type": "integer"}}, "mode": {"enum": ["a", "b"]},
            "deep": {"type": "object", "required": ["url"], "properties": {"url": {"type": "string"}}},
            "any": {"anyOf": [{"const": "z"}, {"type": "null"}]}, "text": {}}});

        let made = compose(&schema, "");

        assert_eq!(
            made,
            json!({"n": 3, "x": 1, "on": false, "list": [1], "mode": "a", "any": "z",
                   "deep": {"url": "https://example.com/"}, "text": "Hello from the demo"})
        );
    }

    #[test]
    fn numbers_are_taken_in_their_order() {
        let schema = json!({"required": ["a", "b"], "properties": {"a": {"type": "integer"}, "b": {"type": "number"}}});

        assert_eq!(compose(&schema, "use add on 2 and 3.5, please"), json!({"a": 2, "b": 3.5}));
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let mut schema = json!({"type": "array", "minItems": 2});
        for _ in 0..20 {
            schema = json!({"type": "array", "minItems": 2, "items": schema});
        }

        let made = compose(&json!({"required": ["x"], "properties": {"x": schema}}), "");

        assert!(made["x"].is_array());
    }
}
