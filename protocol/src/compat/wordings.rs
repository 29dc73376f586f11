//! Recognises refusals in the wordings of many vendors, and extracts what each of them names.

mod table;

use serde_json::{Map, Value};

use self::table::{CODES, EFFORTS, FixupWording, NameKind, PHRASES, PathPosition, TOGETHER, WORDINGS};
use super::named::param;
use super::{
    Filler, Fixup, FixupCondition, TokenLimitName, betas, bounds, choices, schemas, settings, tool_ids,
};

/// With this phrase every other value is refused as well, so the member is removed; its absence means the default.
const NO_OTHER: &str = "only the default";

/// The longest text of a refusal, in bytes. A longer text is an echo of the request.
const LONGEST_TEXT: usize = 8 << 10;
/// How deeply errors can be nested, each in a string of the other.
const DEEPEST: usize = 8;
/// The most fixups from one refusal: a request must not silently lose more.
const MOST: usize = 8;

/// Returns the fixups that let a request do without what an upstream refuses.
///
/// Returns nothing if the refusal names nothing, or also names something that must not be removed: the request would be
/// refused again.
#[must_use]
pub fn recognise(status: u16, body: &[u8]) -> Vec<Fixup> {
    if !matches!(status, 400 | 422) {
        return vec![];
    }
    let mut refusal = WordingMatch { fixups: vec![], is_unfixable: false, param: String::new() };
    match serde_json::from_slice(body) {
        Ok(value) => refusal.value(&value, 0),
        Err(_) => refusal.text(&String::from_utf8_lossy(body)),
    }
    if refusal.is_unfixable { vec![] } else { refusal.without_redundant() }
}

struct WordingMatch {
    fixups: Vec<Fixup>,
    is_unfixable: bool,
    /// The name beside the current text, or empty.
    param: String,
}

impl WordingMatch {
    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            _ if depth >= DEEPEST || self.is_unfixable => {}
            Value::Object(fields) => self.object(fields, depth),
            Value::Array(values) => values.iter().for_each(|value| self.value(value, depth + 1)),
            Value::String(text) => match serde_json::from_str(text) {
                Ok(inner @ (Value::Object(_) | Value::Array(_))) => self.value(&inner, depth + 1),
                Ok(_) | Err(_) => self.text(text),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn object(&mut self, fields: &Map<String, Value>, depth: usize) {
        let word = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let code = CODES.iter().find(|(code, _)| *code == word("code"));
        if let Some((_, names)) = code.filter(|_| !word("param").is_empty()) {
            self.named(*names, word("param"), "", word("message"));
        }
        // Mistral, vLLM, and third-party models on Azure: pydantic's list of errors with locations.
        if let Some(Value::Array(loc)) = fields.get("loc")
            && is_extra(&word("msg").to_ascii_lowercase())
        {
            let steps: Vec<_> = loc.iter().filter_map(Value::as_str).collect();
            self.name(&steps.join("."), "");
        }
        let param = match fields.get("loc") {
            Some(Value::Array(loc)) => {
                let steps = loc.iter().filter_map(Value::as_str).filter(|step| *step != "body");
                steps.collect::<Vec<_>>().join(".")
            }
            Some(_) | None => word("param").to_owned(),
        };
        let outside = std::mem::replace(&mut self.param, param);
        // `input` repeats what was sent, which can contain any text.
        let reported = fields.iter().filter(|(name, _)| *name != "input");
        reported.for_each(|(_, value)| self.value(value, depth + 1));
        self.param = outside;
    }

    /// Drops the removal of members that another fixup sets.
    fn without_redundant(self) -> Vec<Fixup> {
        let is_set = |path: &str| {
            self.fixups
                .iter()
                .any(|fixup| matches!(fixup, Fixup::Set(set, ..) | Fixup::Nearest(set, _) if &**set == path))
        };
        let stays =
            |fixup: &&Fixup| !matches!(fixup, Fixup::Param(path) | Fixup::Value(path, _) if is_set(path));
        self.fixups.iter().filter(stays).cloned().collect()
    }

    fn text(&mut self, text: &str) {
        if text.len() > LONGEST_TEXT {
            return;
        }
        let text = plain(text);
        let lower = text.to_ascii_lowercase();
        if self.add_by_shape(&text, &lower) {
            return;
        }
        for (phrase, names, paths) in PHRASES {
            if lower.contains(phrase) {
                paths.iter().for_each(|path| self.named(names, path, "", &text));
            }
        }
        for (phrase, rule) in TOGETHER {
            if lower.contains(phrase) {
                self.add(Fixup::param(rule));
            }
        }
        if let Some(form) = tool_ids::form(&lower) {
            self.add(Some(Fixup::ToolIds(form)));
        }
        if lower.contains("invalid beta flag") {
            self.add(Fixup::beta(betas::ANY));
        }
        for wording in &WORDINGS {
            wording.find(&text, &lower, &mut |name, container| {
                self.named(wording.names, name, container, &text)
            });
        }
        python(&text, &mut |path| self.name(path, ""));
    }

    /// Adds the fixups that a text's shape implies. Returns whether they cover all of the text.
    fn add_by_shape(&mut self, text: &str, lower: &str) -> bool {
        let bounds = bounds::find(lower, &self.param.to_ascii_lowercase());
        if !bounds.is_empty() {
            bounds.into_iter().for_each(|fixup| self.add(Some(fixup)));
            return true;
        }
        if settings::lacks_reasoning(lower) {
            self.add(Some(Fixup::Reasoning(Filler::Empty)));
            return true;
        }
        if settings::effort_without_thinking(lower) {
            let off = || FixupCondition::new("thinking.type", Some("disabled".to_owned()));
            EFFORTS.iter().for_each(|path| self.add(Some(Fixup::Beside((*path).into(), off()))));
            return true;
        }
        if schemas::is_unfit(lower) {
            self.add(Some(Fixup::ToolSchemas));
            return true;
        }
        if settings::choice_against_thinking(lower) {
            // Models with optional thinking accept any tool choice when they do not think.
            if lower.contains("thinking") {
                self.add(Some(Fixup::Beside("tool_choice".into(), FixupCondition::new("tool_choice", None))));
            } else {
                self.named(NameKind::Value, "tool_choice", "", lower);
            }
            return true;
        }
        if let Some(fixup) = choices::find(text, lower, &self.param) {
            self.add(Some(fixup));
        }
        schemas::keywords(text, lower).iter().for_each(|name| self.add(param(&format!("schema.{name}"))));
        settings::refused(lower).iter().for_each(|name| self.name(name, ""));
        false
    }

    fn named(&mut self, names: NameKind, name: &str, container: &str, text: &str) {
        let each = name.split(',').map(|name| name.trim_matches([' ', '\'']));
        match names {
            NameKind::Value if !text.to_ascii_lowercase().contains(NO_OTHER) => {
                let path = param(name).and_then(Fixup::into_path);
                self.add(path.map(|path| Fixup::Value(path, None)));
            }
            NameKind::Member | NameKind::Value => self.name(&format!("{container}.{name}"), text),
            NameKind::CamelCase => self.name(&snake_case(name), text),
            NameKind::Members => each.for_each(|name| self.name(name, text)),
            NameKind::Keyword => self.add(param(&format!("schema.{name}"))),
            NameKind::Betas => each.for_each(|name| self.add(Fixup::beta(name))),
        }
    }

    /// The token limit is never removed; it can be renamed.
    fn name(&mut self, name: &str, text: &str) {
        let other = TokenLimitName::MaxCompletionTokens.name();
        self.add(match name.trim_start_matches(['.', '#']).trim_start_matches("body.") {
            "max_tokens" if text.contains(other) => Some(Fixup::Limit(TokenLimitName::MaxCompletionTokens)),
            name if name == other => Some(Fixup::Limit(TokenLimitName::MaxTokens)),
            name => param(name),
        });
    }

    fn add(&mut self, fixup: Option<Fixup>) {
        match fixup {
            Some(fixup) if self.fixups.contains(&fixup) => {}
            Some(fixup) if self.fixups.len() < MOST => self.fixups.push(fixup),
            Some(_) | None => self.is_unfixable = true,
        }
    }
}

impl FixupWording {
    /// Calls `found` with every name in `text` and the path that contains it. `lower` is the text in lower case.
    fn find(&self, text: &str, lower: &str, found: &mut impl FnMut(&str, &str)) {
        let Self { before, after, path, .. } = *self;
        if before.is_empty() {
            for (at, _) in lower.match_indices(after) {
                found(ending(text[..at].trim_end_matches('\'')), "");
            }
            return;
        }
        for (at, _) in lower.match_indices(before) {
            let start = at + before.len();
            let Some((name, behind)) = self.name(&text[start..], &lower[start..]) else { continue };
            let container = match path {
                PathPosition::InName => "",
                PathPosition::Before(mark) => text[..at].strip_suffix(mark).map_or("", ending),
                PathPosition::After(mark) => behind.strip_prefix(mark).map_or("", beginning),
            };
            found(name, container);
        }
    }

    /// Returns the name or names at the beginning of `text`, and the text after the wording.
    fn name<'t>(&self, text: &'t str, lower: &str) -> Option<(&'t str, &'t str)> {
        let Self { after, names, .. } = *self;
        let (name, behind) = match names {
            NameKind::Betas => text.split_at(lower.find(after)?),
            NameKind::Members => text.split_at(run(text, &|c| is_name_char(c) || ", '".contains(c)).len()),
            NameKind::Member | NameKind::Value | NameKind::CamelCase | NameKind::Keyword => {
                // A quote at the start requires one at the end.
                let quote = if text.starts_with('\'') { "'" } else { "" };
                let name = beginning(&text[quote.len()..]);
                (name, text[quote.len() + name.len()..].strip_prefix(quote)?)
            }
        };
        let (around, behind) = behind.split_at_checked(after.len())?;
        (around.eq_ignore_ascii_case(after) && !name.is_empty()).then_some((name, behind))
    }
}

/// Removes escapes, makes all quotes alike, and collapses blanks, so that a message nested in a string remains
/// recognisable.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars().filter(|&c| c != '\\') {
        match c {
            '"' | '`' | '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' => plain.push('\''),
            ' ' if plain.ends_with(' ') => {}
            c => plain.push(c),
        }
    }
    plain
}

/// Finds the entries of pydantic's list in Python's notation: `'type': 'extra_forbidden', 'loc': ('body', 'n')`.
fn python(text: &str, found: &mut impl FnMut(&str)) {
    const LOC: &str = "'extra_forbidden', 'loc': (";
    for (at, _) in text.match_indices(LOC) {
        let rest = &text[at + LOC.len()..];
        let steps = rest[..rest.find(')').unwrap_or(0)].split(',').map(|step| step.trim_matches([' ', '\'']));
        found(&steps.collect::<Vec<_>>().join("."));
    }
}

fn is_extra(message: &str) -> bool {
    message.contains("extra inputs are not permitted") || message.contains("extra fields not permitted")
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.[]$#/".contains(c)
}

fn run<'t>(text: &'t str, belongs: &dyn Fn(char) -> bool) -> &'t str {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text[..end].trim_end_matches(['.', ' ', ','])
}

/// Returns the name at the beginning of a text, without the full stop of a sentence.
fn beginning(text: &str) -> &str {
    let name = run(text, &is_name_char);
    // A closing bracket without an opening one belongs to the sentence.
    if name.contains('[') { name } else { name.trim_end_matches(']') }
}

/// Returns the name at the end of a text.
fn ending(text: &str) -> &str {
    let start = text
        .rfind(|c| !is_name_char(c))
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    &text[start..]
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests;
