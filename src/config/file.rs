//! Reads one TOML file strictly: an unknown key or a wrong type is an error with line and column.

use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, Key, TableLike};
use vandamme_actors::settings::EVERY_NAME;

use super::client_keys;
use super::error::Diagnostics;
use super::layer::Layer;
use super::schema::{self, Keys};
use super::value_type::{self, KeyType, Raw, ValueType};

/// The compiled-in file.
pub(super) const DEFAULTS: &str = include_str!("defaults.toml");
/// The label of the compiled-in file in a place.
pub(super) const BUILT_IN: &str = "built-in defaults";

/// Whether the file must exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
}

/// A file's layer; `None` if it cannot be read, or does not exist and is optional.
pub(super) fn read(path: &Path, presence: Presence, report: &mut Diagnostics) -> Option<Layer> {
    match std::fs::read_to_string(path) {
        Ok(text) => Some(parse(&path.display().to_string(), &text, report)),
        Err(error) if presence == Presence::Optional && is_absent(&error) => None,
        Err(error) => {
            report.error(path.display().to_string(), format!("cannot read this file: {error}"));
            None
        }
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// A text's layer, without the invalid values.
pub(super) fn parse(label: &str, text: &str, report: &mut Diagnostics) -> Layer {
    let mut reader = Reader { label, text, layer: Layer::default(), report };
    match Document::parse(text) {
        Ok(document) => reader.document(document.as_table()),
        Err(error) => reader.syntax(&error),
    }
    reader.layer
}

/// `~/.config/vandamme-proxy/vandamme-config.toml`
pub(crate) fn user_path(home: &Path) -> PathBuf {
    home.join(".config/vandamme-proxy").join(NAME)
}

pub(super) const NAME: &str = "vandamme-config.toml";

/// The `auth-mode` that is refused if its provider is used.
pub(super) const OAUTH: &str = "oauth";

/// The table of sections whose names are near `defaults` or `limits`: name and what may be meant. They are checked when
/// all layers are known, since a complete provider may have any name.
pub(super) const DOUBTFUL: &str = "doubtful-sections";

/// What a section with a name near `defaults` or `limits` is, by its keys.
enum Guess {
    /// It has a key that only providers have.
    Provider,
    /// It has a key that only the section with the similar name has.
    Misspelt,
    /// Its keys fit both.
    Open,
}

impl Guess {
    fn new(meant: &str, item: &Item) -> Self {
        let known = if meant == "limits" { schema::LIMITS } else { schema::DEFAULTS };
        let names = || item.as_table_like().into_iter().flat_map(TableLike::iter).map(|(name, _)| name);
        let is_in = |keys, name| lookup(keys, name).is_some();
        if names().any(|name| is_in(known, name) && !is_in(schema::PROVIDER, name)) {
            Self::Misspelt
        } else if names().any(|name| is_in(schema::PROVIDER, name) && !is_in(known, name)) {
            Self::Provider
        } else {
            Self::Open
        }
    }
}

/// Checks a value by its name and itself.
type CheckNamed = fn(&str, Raw<'_>) -> Result<config::ValueKind, String>;

struct Reader<'a> {
    label: &'a str,
    text: &'a str,
    layer: Layer,
    report: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn syntax(&mut self, error: &toml_edit::TomlError) {
        let place = self.at(error.span().map_or(0, |span| span.start));
        let message = error.message().replace('\n', ", ");
        self.report.error(place, format!("this is not TOML: {message}"));
    }

    fn document(&mut self, table: &dyn TableLike) {
        for (key, item) in entries(table) {
            match key.get() {
                "defaults" => self.table(schema::DEFAULTS, &["defaults"], (key, item)),
                "limits" => self.table(schema::LIMITS, &["limits"], (key, item)),
                client_keys::TABLE => self.client_keys(key, item),
                name if name.starts_with('#') => self.profile(key, item),
                name if lookup(schema::TOP, name).is_some() || item.as_table_like().is_none() => {
                    self.entry(schema::TOP, &[], (key, item));
                }
                _ => self.provider(key, item),
            }
        }
    }

    fn client_keys(&mut self, key: &Key, item: &Item) {
        let Some(table) = item.as_table_like() else {
            let place = self.key(key, &[]);
            return self.wrong(&place, "expected a table: [client-keys]");
        };
        for (key, item) in entries(table) {
            let name = key.get().to_ascii_lowercase();
            let place = self.placed(key, item.span().or_else(|| key.span()), &[client_keys::TABLE]);
            match client_keys::entry(&name, item) {
                Ok(text) => self.layer.put(&[client_keys::TABLE, &name], text.into(), &place),
                Err(refusal) => self.wrong(&place, refusal),
            }
        }
    }

    fn profile(&mut self, key: &Key, item: &Item) {
        let name = key.get().trim_start_matches('#').to_ascii_lowercase();
        if !is_provider_name(&name) {
            let place = self.key(key, &[]);
            return self.wrong(&place, "a profile's name may hold letters, digits, - and _ only");
        }
        // An empty profile also replaces one of the same name in a lower file.
        let place = self.key(key, &[]);
        self.layer.put(&["profiles", &name, "said"], true.into(), &place);
        self.table(schema::PROFILE, &["profiles", &name], (key, item));
    }

    fn provider(&mut self, key: &Key, item: &Item) {
        let name = key.get().to_ascii_lowercase();
        let place = self.key(key, &[]);
        if name == "aliases" {
            let text = "aliases belong to a provider; write [openai.aliases] for one provider, or [defaults.aliases] for all";
            return self.wrong(&place, text);
        }
        if name == super::DEMO {
            return self.wrong(&place, "this is the name of the embedded provider; choose another");
        }
        if !is_provider_name(&name) {
            return self.wrong(&place, "a provider's name may hold letters, digits, - and _ only");
        }
        if let Some(meant) = schema::suggestion(&name, ["defaults", "limits"].into_iter()) {
            match Guess::new(meant, item) {
                Guess::Provider => {}
                Guess::Misspelt => return self.wrong(&place, format!("did you mean [{meant}]?")),
                Guess::Open => self.layer.put(&[DOUBTFUL, &name], meant.into(), &place),
            }
        }
        self.table(schema::PROVIDER, &["providers", &name], (key, item));
    }

    fn table(&mut self, keys: Keys, path: &[&str], (key, item): (&Key, &Item)) {
        let Some(table) = item.as_table_like() else {
            let place = self.key(key, &[]);
            return self.wrong(&place, format!("expected a table: [{}]", key.get()));
        };
        for entry in entries(table) {
            self.entry(keys, path, entry);
        }
    }

    fn entry(&mut self, keys: Keys, path: &[&str], (key, item): (&Key, &Item)) {
        let place = self.key(key, path);
        let Some((name, kind)) = lookup(keys, key.get()) else {
            let near = schema::suggestion(key.get(), keys.iter().map(|(name, _)| *name));
            let meant = near.map_or_else(|| known(keys), |name| format!("did you mean \"{name}\"?"));
            return self.wrong(&place, format!("there is no such key; {meant}"));
        };
        let path = [path, &[name]].concat();
        match kind {
            KeyType::Later => self.report.warning(&place, schema::NOT_YET),
            KeyType::AuthMode => self.auth_mode(&path, (key, item)),
            KeyType::Targets => self.names(&path, (key, item), value_type::target),
            KeyType::Aliases => self.names(&path, (key, item), value_type::alias),
            KeyType::Fallbacks => self.fallbacks(&path, (key, item)),
            KeyType::Headers => self.names(&path, (key, item), value_type::header),
            KeyType::Value(value) => self.value(&path, (key, item), |raw| value.check(raw)),
        }
    }

    fn auth_mode(&mut self, path: &[&str], entry: (&Key, &Item)) {
        let is_oauth = |raw: Raw<'_>| raw.text().is_some_and(|mode| mode.eq_ignore_ascii_case(OAUTH));
        self.value(path, entry, |raw| match is_oauth(raw) {
            true => Ok(OAUTH.into()),
            false => ValueType::OneOf(&["passthrough"]).check(raw),
        });
    }

    /// A list for every name, or a table of lists.
    fn fallbacks(&mut self, path: &[&str], (key, item): (&Key, &Item)) {
        if item.as_table_like().is_some() {
            return self.names(path, (key, item), |_, raw| value_type::fallbacks(raw));
        }
        let place = self.placed(key, item.span().or_else(|| key.span()), &path[..path.len() - 1]);
        match value_type::fallbacks(item.as_value().map_or(Raw::Other("a table"), Raw::of)) {
            Ok(list) => self.layer.put(&[path, &[EVERY_NAME]].concat(), list, &place),
            Err(refusal) => self.wrong(&place, refusal),
        }
    }

    /// A table whose names are free.
    fn names(&mut self, path: &[&str], (key, item): (&Key, &Item), check: CheckNamed) {
        let Some(table) = item.as_table_like() else {
            let place = self.key(key, &path[..path.len() - 1]);
            return self.wrong(&place, "expected a table of names, each with text in quotes");
        };
        for (key, item) in entries(table) {
            let name = key.get().to_lowercase();
            self.value(&[path, &[&name]].concat(), (key, item), |raw| check(&name, raw));
        }
    }

    fn value(
        &mut self,
        path: &[&str],
        (key, item): (&Key, &Item),
        check: impl FnOnce(Raw<'_>) -> Result<config::ValueKind, String>,
    ) {
        let parent = &path[..path.len() - 1];
        let place = self.placed(key, item.span().or_else(|| key.span()), parent);
        match check(item.as_value().map_or(Raw::Other("a table"), Raw::of)) {
            Ok(value) => self.layer.put(path, value, &place),
            Err(refusal) => self.wrong(&place, refusal),
        }
    }

    fn wrong(&mut self, place: &str, text: impl Into<String>) {
        self.report.error(place, text);
    }

    fn key(&self, key: &Key, path: &[&str]) -> String {
        self.placed(key, key.span(), path)
    }

    /// `FILE:LINE:COLUMN: [TABLE] KEY`
    fn placed(&self, key: &Key, span: Option<std::ops::Range<usize>>, path: &[&str]) -> String {
        let at = self.at(span.map_or(0, |span| span.start));
        let table = match path {
            ["providers", rest @ ..] => rest.join("."),
            ["profiles", name, rest @ ..] => [&[format!("\"#{name}\"").as_str()], rest].concat().join("."),
            path => path.join("."),
        };
        let table = if table.is_empty() { table } else { format!("[{table}] ") };
        format!("{at}: {table}{}", key.get().escape_debug())
    }

    /// `FILE:LINE:COLUMN`, both counted from one, columns in characters.
    fn at(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |start| start.chars().count()) + 1;
        format!("{}:{line}:{column}", self.label)
    }
}

fn entries(table: &dyn TableLike) -> impl Iterator<Item = (&Key, &Item)> {
    table.iter().filter_map(|(name, _)| table.get_key_value(name))
}

fn lookup(keys: Keys, name: &str) -> Option<(&'static str, KeyType)> {
    keys.iter().copied().find(|(known, _)| *known == name)
}

fn known(keys: Keys) -> String {
    let available = keys.iter().filter(|(_, kind)| !matches!(kind, KeyType::Later | KeyType::AuthMode));
    let names: Vec<_> = available.map(|(name, _)| *name).collect();
    format!("known here: {}", names.join(", "))
}

fn is_provider_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
