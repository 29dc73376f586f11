//! The inventory: what requests consist of, without anybody's content.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::relay::Recorded;

/// Kinds of entries, in the order of the report: the key in the file, and one entry in words.
const KINDS: [(&str, &str); 6] = [
    ("endpoints", "endpoint"),
    ("headers", "header"),
    ("betas", "beta"),
    ("fields", "field"),
    ("values", "value"),
    ("tools", "tool"),
];
/// Members whose content belongs to a tool or a user, or depends on the directory.
const OPAQUE: [&str; 4] = ["input", "input_schema", "data", "git_state"];
/// Members whose values are words of the API.
const WORDS: [&str; 10] =
    ["type", "role", "effort", "display", "ttl", "speed", "mode", "permission_mode", "block_binding", "keep"];
/// Headers whose values are words of the API.
const VALUED_HEADERS: [&str; 4] =
    ["anthropic-version", "x-app", "x-claude-code-agent-type", "x-claude-code-request-class"];
/// The deepest field that is named.
const DEEPEST: usize = 10;

/// What a version of Claude Code sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inventory {
    version: String,
    entries: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Inventory {
    /// Reads the committed file.
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let file: Value = serde_json::from_str(text)?;
        let listed = |kind: &str| {
            let list = file[kind].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Ok(Self {
            version: file["claude-code"].as_str().unwrap_or("nothing").to_owned(),
            entries: KINDS.iter().map(|(kind, _)| (*kind, listed(kind))).collect(),
        })
    }

    pub(super) fn of_version(self, version: &str) -> Self {
        Self { version: version.to_owned(), ..self }
    }

    /// One entry a line, so that a difference in git reads well.
    pub(super) fn to_json(&self) -> String {
        let mut file = serde_json::Map::new();
        file.insert("claude-code".to_owned(), self.version.clone().into());
        for (kind, _) in KINDS {
            let entries: Vec<Value> = self.of(kind).map(|entry| entry.as_str().into()).collect();
            file.insert(kind.to_owned(), entries.into());
        }
        let mut text = serde_json::to_string_pretty(&file).expect("strings only");
        text.push('\n');
        text
    }

    fn of(&self, kind: &str) -> impl Iterator<Item = &String> {
        self.entries.get(kind).into_iter().flatten()
    }

    /// Whether both have the same entries, whatever their versions.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        KINDS.iter().all(|(kind, _)| self.of(kind).eq(other.of(kind)))
    }

    /// What `current` has beyond this inventory and what it lacks, for a person.
    pub(super) fn report(&self, current: &Self) -> String {
        let mut report = format!("Claude Code {}, compared with {}:\n", current.version, self.version);
        for (before, after, word) in [(self, current, "new"), (current, self, "gone")] {
            for (kind, one) in KINDS {
                let known: BTreeSet<_> = before.of(kind).collect();
                for entry in after.of(kind).filter(|entry| !known.contains(entry)) {
                    let _written = writeln!(report, "  {word} {one}: {entry}");
                }
            }
        }
        if self.is_same(current) {
            report.push_str("  nothing is new and nothing is gone\n");
        }
        report
    }

    /// Adds everything that a request consists of.
    pub(super) fn add(&mut self, request: &Recorded) {
        self.note("endpoints", endpoint(&request.head.first));
        for (name, value) in &request.head.headers {
            let name = name.to_ascii_lowercase();
            if name == "anthropic-beta" {
                value.split(',').for_each(|beta| self.note("betas", beta.trim().to_owned()));
            }
            if VALUED_HEADERS.contains(&name.as_str()) {
                self.note("values", format!("{name}: {value}"));
            }
            self.note("headers", name);
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        for tool in body["tools"].as_array().into_iter().flatten() {
            self.note("tools", tool["name"].as_str().unwrap_or_default().to_owned());
        }
        self.fields(&body, "", 0);
    }

    fn note(&mut self, kind: &'static str, entry: String) {
        self.entries.entry(kind).or_default().insert(entry);
    }

    fn fields(&mut self, value: &Value, path: &str, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        for element in value.as_array().into_iter().flatten() {
            self.fields(element, &format!("{path}[]"), depth + 1);
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if let Some(word) = member.as_str().filter(|_| WORDS.contains(&name.as_str())) {
                self.note("values", format!("{path}={word}"));
            }
            if !OPAQUE.contains(&name.as_str()) {
                self.fields(member, &path, depth + 1);
            }
            self.note("fields", path);
        }
    }
}

/// The method, the path and the names in the query.
fn endpoint(line: &str) -> String {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut names: Vec<&str> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
    names.retain(|name| !name.is_empty());
    if names.is_empty() { format!("{method} {path}") } else { format!("{method} {path}?{}", names.join("&")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::support::wire::Head;

    fn request(headers: &[(&str, &str)], body: &Value) -> Recorded {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let first = "POST /v1/messages?beta=true HTTP/1.1".to_owned();
        Recorded { head: Head { first, headers }, body: body.to_string().into_bytes() }
    }

    fn inventory(headers: &[(&str, &str)], body: &Value) -> Inventory {
        let mut inventory = Inventory::default().of_version("2");
        inventory.add(&request(headers, body));
        inventory
    }

    fn entries(inventory: &Inventory, kind: &str) -> Vec<String> {
        inventory.of(kind).cloned().collect()
    }

    /// Requirement: the inventory names headers, betas, fields, types and tools, and repeats nobody's text.
    #[test]
    fn an_inventory_names_parts_and_no_content() {
        let body = json!({
            "model": "secret-model",
            "thinking": {"type": "adaptive", "display": "omitted"},
            "tools": [{"name": "Bash", "input_schema": {"properties": {"secret": {}}}},
                      {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}],
            "messages": [{"role": "user", "content": [{"type": "tool_use", "input": {"secret": 1}},
                {"type": "image", "source": {"type": "base64", "data": "secret"}}]}],
        });
        let headers =
            [("Authorization", "Bearer secret"), ("anthropic-beta", "a-1, b-2"), ("Anthropic-Version", "v")];
        let inventory = inventory(&headers, &body);
        assert_eq!(entries(&inventory, "endpoints"), ["POST /v1/messages?beta"]);
        assert_eq!(entries(&inventory, "headers"), ["anthropic-beta", "anthropic-version", "authorization"]);
        assert_eq!(entries(&inventory, "betas"), ["a-1", "b-2"]);
        assert_eq!(entries(&inventory, "tools"), ["Bash", "web_search"]);
        let values = entries(&inventory, "values");
        for expected in [
            "anthropic-version: v",
            "messages[].content[].type=image",
            "thinking.display=omitted",
            "tools[].type=web_search_20250305",
        ] {
            assert!(values.iter().any(|value| value == expected), "{expected}: {values:?}");
        }
        assert!(entries(&inventory, "fields").contains(&"messages[].content[].source.data".to_owned()));
        assert!(!inventory.to_json().contains("secret"), "{}", inventory.to_json());
    }

    /// Requirement: the report names what is new and what is gone, by kind; the file keeps everything.
    #[test]
    fn a_report_names_what_is_new_and_what_is_gone() {
        let old = inventory(&[("a", "1"), ("anthropic-beta", "x")], &json!({"stream": true}));
        let new =
            inventory(&[("b", "1"), ("anthropic-beta", "x,y")], &json!({"stream": true, "speed": "fast"}));
        let new = new.of_version("3");
        assert_eq!(Inventory::parse(&old.to_json()).unwrap().to_json(), old.to_json());
        assert_eq!(
            old.report(&new),
            "Claude Code 3, compared with 2:\n  new header: b\n  new beta: y\n  new field: speed\n  new value: speed=fast\n  \
             gone header: a\n"
        );
        assert!(!old.is_same(&new) && old.is_same(&old.clone().of_version("4")));
        assert!(old.report(&old).ends_with("nothing is new and nothing is gone\n"));
        let first = Inventory::parse("{}").unwrap().report(&old);
        assert!(first.starts_with("Claude Code 2, compared with nothing:\n  new endpoint: "), "{first}");
    }

    /// Requirement: a deep body ends.
    #[test]
    fn deep_bodies_have_a_bound() {
        let deep = (0..100).fold(json!(1), |inner, _| json!({"a": inner}));
        assert_eq!(entries(&inventory(&[], &deep), "fields").len(), DEEPEST + 1);
    }
}
