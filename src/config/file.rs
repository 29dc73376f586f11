//! Reads one TOML file strictly: an unknown key or a wrong type is an error with line and column.

use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, Key, TableLike};
use vandamme_actors::settings::EVERY_NAME;

use super::client_keys;
use super::cloud;
use super::cloud_presets;
use super::error::Diagnostics;
use super::layer::Layer;
use super::prices;
use super::raw::Raw;
use super::role_rules::{self, SUBAGENT};
use super::safeguards;
use super::schema::{self, SettingDeclaration, SettingList};
use super::source_files::SourceFiles;
use super::value_type::{self, AWS, GOOGLE, KeyType, ValueType};
use super::web_search;

/// The compiled-in file.
pub(crate) const DEFAULTS: &str = include_str!("defaults.toml");
/// The label of the compiled-in file in a place.
pub(super) const BUILT_IN: &str = "built-in defaults";

/// Whether the file must exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
}

/// A file's layer; `None` if it cannot be read, or does not exist and is optional.
pub(super) fn read(
    path: &Path,
    presence: Presence,
    files: &SourceFiles,
    report: &mut Diagnostics,
) -> Option<Layer> {
    match files.text(path) {
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
    let mut reader = FileReader { label, text, layer: Layer::default(), report };
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
        let is_in = |settings, name| lookup(settings, name).is_some();
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

/// A key of a table with its value or table.
#[derive(Clone, Copy)]
struct Entry<'a> {
    key: &'a Key,
    item: &'a Item,
}

impl<'a> Entry<'a> {
    fn raw(self) -> Raw<'a> {
        self.item.as_value().map_or(Raw::Other("a table"), Raw::of)
    }

    /// The place of the value, or of the key if the value has none.
    fn value_span(self) -> Option<std::ops::Range<usize>> {
        self.item.span().or_else(|| self.key.span())
    }
}

struct FileReader<'a> {
    label: &'a str,
    text: &'a str,
    layer: Layer,
    report: &'a mut Diagnostics,
}

impl FileReader<'_> {
    fn syntax(&mut self, error: &toml_edit::TomlError) {
        let place = self.at(error.span().map_or(0, |span| span.start));
        let message = error.message().replace('\n', ", ");
        self.report.error(place, format!("this is not TOML: {message}"));
    }

    fn document(&mut self, table: &dyn TableLike) {
        for entry in entries(table) {
            match entry.key.get() {
                "defaults" => self.table(schema::DEFAULTS, &["defaults"], entry),
                "limits" => self.table(schema::LIMITS, &["limits"], entry),
                safeguards::TABLE => self.table(schema::SAFEGUARDS, &[safeguards::TABLE], entry),
                web_search::TABLE => self.table(schema::WEB_SEARCH, &[web_search::TABLE], entry),
                client_keys::TABLE => self.client_keys(entry),
                name if name.starts_with('#') => self.profile(entry),
                name if lookup(schema::GATEWAY, name).is_some() || entry.item.as_table_like().is_none() => {
                    self.entry(schema::GATEWAY, &[], entry);
                }
                _ => self.provider(entry),
            }
        }
    }

    fn client_keys(&mut self, Entry { key, item }: Entry<'_>) {
        let Some(table) = item.as_table_like() else {
            let place = self.key(key, &[]);
            return self.wrong(&place, "expected a table: [client-keys]");
        };
        for entry in entries(table) {
            let name = entry.key.get().to_ascii_lowercase();
            let place = self.placed(entry.key, entry.value_span(), &[client_keys::TABLE]);
            match client_keys::entry(&name, entry.item) {
                Ok(text) => self.layer.put(&[client_keys::TABLE, &name], text.into(), &place),
                Err(refusal) => self.wrong(&place, refusal),
            }
        }
    }

    fn profile(&mut self, entry: Entry<'_>) {
        let key = entry.key;
        let name = key.get().trim_start_matches('#').to_ascii_lowercase();
        if !is_provider_name(&name) {
            let place = self.key(key, &[]);
            return self.wrong(&place, "a profile's name may hold letters, digits, - and _ only");
        }
        // An empty profile also replaces one of the same name in a lower file.
        let place = self.key(key, &[]);
        self.layer.put(&["profiles", &name, "said"], true.into(), &place);
        self.table(schema::PROFILE, &["profiles", &name], entry);
    }

    fn provider(&mut self, entry: Entry<'_>) {
        let Entry { key, item } = entry;
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
        // An empty section of a user's registers a provider in a cloud.
        if cloud_presets::is_preset(&name) && !place.starts_with(BUILT_IN) {
            self.layer.put(&[cloud::SECTIONS, &name], "".into(), &place);
        }
        self.table(schema::PROVIDER, &["providers", &name], entry);
    }

    fn table(&mut self, settings: SettingList, path: &[&str], Entry { key, item }: Entry<'_>) {
        let Some(table) = item.as_table_like() else {
            let place = self.key(key, &[]);
            return self.wrong(&place, format!("expected a table: [{}]", key.get()));
        };
        for entry in entries(table) {
            self.entry(settings, path, entry);
        }
    }

    fn entry(&mut self, settings: SettingList, path: &[&str], entry: Entry<'_>) {
        let key = entry.key;
        let place = self.key(key, path);
        let Some(setting) = lookup(settings, key.get()) else {
            let near = schema::suggestion(key.get(), settings.iter().map(|setting| setting.key));
            let meant = near.map_or_else(|| known(settings), |name| format!("did you mean \"{name}\"?"));
            return self.wrong(&place, format!("there is no such key; {meant}"));
        };
        let path = [path, &[setting.key]].concat();
        match setting.key_type {
            KeyType::AuthMode => self.auth_mode(&path, entry),
            KeyType::Targets => self.names(&path, entry, value_type::target),
            KeyType::Aliases => self.names(&path, entry, value_type::alias),
            KeyType::Fallbacks => self.fallbacks(&path, entry),
            KeyType::Headers => self.names(&path, entry, value_type::header),
            KeyType::Prices => self.prices(&path, entry),
            KeyType::Routing => self.routing(&path, entry),
            KeyType::Value(value) => self.value(&path, entry, |raw| value.check(raw)),
        }
    }

    fn auth_mode(&mut self, path: &[&str], entry: Entry<'_>) {
        let is_oauth = |raw: Raw<'_>| raw.text().is_some_and(|mode| mode.eq_ignore_ascii_case(OAUTH));
        self.value(path, entry, |raw| match is_oauth(raw) {
            true => Ok(OAUTH.into()),
            false => ValueType::OneOf(&["passthrough", AWS, GOOGLE]).check(raw),
        });
    }

    /// A list for every name, or a table of lists.
    fn fallbacks(&mut self, path: &[&str], entry: Entry<'_>) {
        if entry.item.as_table_like().is_some() {
            return self.names(path, entry, |_, raw| value_type::fallbacks(raw));
        }
        let place = self.placed(entry.key, entry.value_span(), &path[..path.len() - 1]);
        match value_type::fallbacks(entry.raw()) {
            Ok(list) => self.layer.put(&[path, &[EVERY_NAME]].concat(), list, &place),
            Err(refusal) => self.wrong(&place, refusal),
        }
    }

    /// A table whose names are free.
    fn names(&mut self, path: &[&str], Entry { key, item }: Entry<'_>, check: CheckNamed) {
        let Some(table) = item.as_table_like() else {
            let place = self.key(key, &path[..path.len() - 1]);
            return self.wrong(&place, "expected a table of names, each with text in quotes");
        };
        for entry in entries(table) {
            let name = entry.key.get().to_lowercase();
            self.value(&[path, &[&name]].concat(), entry, |raw| check(&name, raw));
        }
    }

    /// A table of prices by model.
    fn prices(&mut self, path: &[&str], Entry { key, item }: Entry<'_>) {
        let Some(table) = item.as_table_like() else {
            let place = self.key(key, &path[..path.len() - 1]);
            return self.wrong(&place, "expected a table of models, each with its prices");
        };
        for entry in entries(table) {
            let model = entry.key.get().to_lowercase();
            let place = self.placed(entry.key, entry.value_span(), path);
            match prices::entry(entry.item) {
                Ok(price) => self.layer.put(&[path, &[&model]].concat(), price.into(), &place),
                Err(refusal) => self.wrong(&place, refusal),
            }
        }
    }

    /// A table of targets by role. `subagent` can be a table of targets by type.
    fn routing(&mut self, path: &[&str], Entry { key, item }: Entry<'_>) {
        let Some(table) = item.as_table_like() else {
            let place = self.key(key, &path[..path.len() - 1]);
            return self.wrong(
                &place,
                "expected a table of roles, each with its target: { background = \"provider:model\" }",
            );
        };
        for entry in entries(table) {
            match (entry.key.get(), entry.item.as_table_like()) {
                (SUBAGENT, Some(types)) => {
                    let path = [path, &[SUBAGENT]].concat();
                    entries(types).for_each(|of_type| {
                        let name = role_rules::subagent(of_type.key.get());
                        self.role(&path, &name, of_type);
                    });
                }
                (name, _) => self.role(path, name, entry),
            }
        }
    }

    /// The target of a role. `path` is the table in which it stands.
    fn role(&mut self, path: &[&str], name: &str, entry: Entry<'_>) {
        let place = self.placed(entry.key, entry.value_span(), path);
        let table = path.strip_suffix(&[SUBAGENT]).unwrap_or(path);
        match role_rules::entry(name, entry.raw()) {
            Ok((role, value)) => self.layer.put(&[table, &[&role]].concat(), value, &place),
            Err(refusal) => self.wrong(&place, refusal),
        }
    }

    fn value(
        &mut self,
        path: &[&str],
        entry: Entry<'_>,
        check: impl FnOnce(Raw<'_>) -> Result<config::ValueKind, String>,
    ) {
        let parent = &path[..path.len() - 1];
        let place = self.placed(entry.key, entry.value_span(), parent);
        match check(entry.raw()) {
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

fn entries(table: &dyn TableLike) -> impl Iterator<Item = Entry<'_>> {
    table.iter().filter_map(|(name, _)| table.get_key_value(name).map(|(key, item)| Entry { key, item }))
}

fn lookup(settings: SettingList, name: &str) -> Option<&'static SettingDeclaration> {
    settings.iter().find(|setting| setting.key == name)
}

fn known(settings: SettingList) -> String {
    let available = settings.iter().filter(|setting| setting.key_type != KeyType::AuthMode);
    let names: Vec<_> = available.map(|setting| setting.key).collect();
    format!("known here: {}", names.join(", "))
}

fn is_provider_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
