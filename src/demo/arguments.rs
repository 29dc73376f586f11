//! Arguments for a tool, made up from the words of a prompt so that they satisfy the tool's schema.

use serde_json::{Map, Value, json};

/// An object for `schema`: the JSON object in the prompt, if any. Missing required properties get a suitable value from
/// the prompt, or else a plain one.
pub(super) fn compose(schema: &Value, prompt: &str) -> Value {
    let given = object_in(prompt).unwrap_or_default();
    PromptWords::of(prompt).object(schema, given, DEEPEST)
}

/// The argument of a tool for patches: the patch in the prompt, or one that adds a file with the prompt's text.
pub(super) fn compose_patch(schema: &Value, prompt: &str) -> Value {
    let patch = patch_in(prompt).unwrap_or_else(|| {
        let mut words = PromptWords::of(prompt);
        let path = words.paths.pop().unwrap_or_else(|| "vdm-demo.txt".to_owned());
        let text = words.quoted.pop().unwrap_or_else(|| "Hello from the demo".to_owned());
        let lines: String = text.lines().map(|line| format!("+{line}\n")).collect();
        format!("{PATCH_START}\n*** Add File: {path}\n{lines}{PATCH_END}\n")
    });
    let name = schema["required"][0].as_str().unwrap_or("input");
    json!({ name: patch })
}

/// The patch in a text, from its first line to its last.
fn patch_in(text: &str) -> Option<String> {
    let start = text.find(PATCH_START)?;
    let end = text[start..].find(PATCH_END)? + start + PATCH_END.len();
    Some(text[start..end].to_owned() + "\n")
}

/// The first JSON object in a text.
fn object_in(text: &str) -> Option<Map<String, Value>> {
    text.match_indices('{').find_map(|(start, _)| {
        let first = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>().next()?;
        first.ok()?.as_object().cloned()
    })
}

/// The values in a prompt by kind, in their order. A value is used once.
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

    /// Reverses the order, so that `pop` returns the first.
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
            // A program and its arguments.
            "array" if name == "command" => json!(["bash", "-c", self.text(name)]),
            "array" => self.list(name, schema, depth),
            "integer" | "number" => self.number(schema),
            "boolean" => json!(false),
            "null" => Value::Null,
            _ => json!(self.text(name)),
        }
    }

    /// The shortest text that the schema permits.
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
        if named(&["command", "cmd"]) {
            let given = self.quoted.pop().or_else(|| self.paths.pop());
            return given.unwrap_or_else(|| "echo \"Hello from the demo\"".to_owned());
        }
        self.quoted.pop().unwrap_or_else(|| "Hello from the demo".to_owned())
    }
}

/// The schema's type, or the first of several.
fn kind(schema: &Value) -> &str {
    schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default()
}

/// Whether the text is a file name, a path or an address: no blanks, and a separator inside.
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

/// Quoted texts. A single quotation mark opens only before a word, so "don't" quotes nothing.
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

/// The depth to which a schema is followed: enough for any tool, and a limit for one that contains itself.
const DEEPEST: usize = 6;
const MOST_ITEMS: u64 = 8;
/// The first and the last line of a patch.
const PATCH_START: &str = "*** Begin Patch";
const PATCH_END: &str = "*** End Patch";

#[cfg(test)]
mod tests {
    use super::*;

    fn write_tool() -> Value {
        json!({"type": "object", "required": ["file_path", "content"], "properties": {
            "file_path": {"type": "string"}, "content": {"type": "string"}}})
    }

    #[test]
    fn quoted_texts_and_paths_fill_their_properties() {
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
    fn an_object_in_the_prompt_is_used_and_completed() {
        let prompt = "Use Write {not json} with {\"content\": \"x {\", \"mode\": 6} for /tmp/b";

        let made = compose(&write_tool(), prompt);

        assert_eq!(made, json!({"file_path": "/tmp/b", "content": "x {", "mode": 6}));
    }

    #[test]
    fn missing_values_are_generated_by_type() {
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
    fn commands_are_quoted_texts_and_programs() {
        let text = json!({"required": ["cmd"], "properties": {"cmd": {"type": "string"}}});
        let list = json!({"required": ["command"], "properties": {"command": {"type": "array"}}});

        assert_eq!(compose(&text, "run \"ls -l\""), json!({"cmd": "ls -l"}));
        assert_eq!(compose(&text, "run `./check.sh`"), json!({"cmd": "./check.sh"}));
        assert_eq!(compose(&list, "run 'ls -l'"), json!({"command": ["bash", "-c", "ls -l"]}));
    }

    #[test]
    fn a_patch_is_taken_from_the_prompt_or_adds_a_file() {
        let schema = json!({"required": ["input"]});
        let given = "*** Begin Patch\n*** Delete File: a\n*** End Patch";

        let prompt = format!("Apply this:\n{given}\nplease");
        assert_eq!(compose_patch(&schema, &prompt), json!({"input": format!("{given}\n")}));
        let added = "*** Begin Patch\n*** Add File: vdm-demo.txt\n+Hello from the demo\n*** End Patch\n";
        assert_eq!(compose_patch(&schema, "patch it"), json!({"input": added}));
    }

    #[test]
    fn numbers_are_used_in_their_order() {
        let schema = json!({"required": ["a", "b"], "properties": {"a": {"type": "integer"}, "b": {"type": "number"}}});

        assert_eq!(compose(&schema, "use add on 2 and 3.5, please"), json!({"a": 2, "b": 3.5}));
    }

    #[test]
    fn a_schema_that_contains_itself_is_followed_to_a_limit() {
        let mut schema = json!({"type": "array", "minItems": 2});
        for _ in 0..20 {
            schema = json!({"type": "array", "minItems": 2, "items": schema});
        }

        let made = compose(&json!({"required": ["x"], "properties": {"x": schema}}), "");

        assert!(made["x"].is_array());
    }
}
