//! `Providers`: the sections of providers, and their keys.

use toml_edit::Value as TomlValue;

use super::built_in::{self, BuiltIn};
use super::document::Section;
use super::endpoint::{self, Endpoint, Format};
use super::json5::Node;
use super::references::{self, Lookup, Secret};
use super::report::{Place, Report};
use super::routes::KnownProvider;
use super::transformers;
use crate::config::{check_key, variable_prefix};

/// A variable for `.env`.
#[derive(Clone, Debug)]
pub(crate) struct DotenvVariable {
    pub(crate) name: String,
    pub(crate) value: Secret,
}

/// Reads providers, one after the other.
pub(super) struct ProviderReader<'a> {
    pub(super) lookup: Lookup<'a>,
    pub(super) report: &'a mut Report,
    pub(super) sections: Vec<Section>,
    pub(super) variables: Vec<DotenvVariable>,
    pub(super) known: Vec<KnownProvider>,
    /// The lines of the names, for messages.
    lines: Vec<usize>,
}

/// The members of a provider.
struct Members<'a> {
    path: String,
    line: usize,
    entries: &'a [(String, Node)],
}

/// Sections of vdm's file that are no providers, and names that mean something else. A provider of such a name gets another.
const RESERVED: [&str; 15] = [
    "aliases",
    "client-keys",
    "client_keys",
    "defaults",
    "demo",
    "limits",
    "main",
    "prices",
    "profiles",
    "providers",
    "routing",
    "safeguards",
    "top",
    "web-search",
    "history",
];

impl<'a> Members<'a> {
    fn get(&self, name: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }
}

impl<'a> ProviderReader<'a> {
    pub(super) fn new(lookup: Lookup<'a>, report: &'a mut Report) -> Self {
        Self {
            lookup,
            report,
            sections: Vec::new(),
            variables: Vec::new(),
            known: Vec::new(),
            lines: Vec::new(),
        }
    }

    pub(super) fn read(&mut self, node: &Node) {
        let place = Place::new(node.line, "Providers");
        match node.list() {
            Some([]) => self.report.error(place, "the list is empty; add a provider"),
            Some(items) => items.iter().enumerate().for_each(|(index, item)| self.provider(index, item)),
            None => self.report.error(place, format!("expected a list of providers, found {}", node.kind())),
        }
    }

    fn provider(&mut self, index: usize, node: &Node) {
        let path = format!("Providers[{index}]");
        let Some(entries) = node.table() else {
            let text = format!("expected an object, found {}", node.kind());
            return self.report.error(Place::new(node.line, &path), text);
        };
        let members = Members { path, line: node.line, entries };
        let called = self.required(&members, "name");
        let url = self.required(&members, "api_base_url");
        let (Some((called, called_line)), Some((url, url_line))) = (called, url) else { return };
        let Some(name) = self.name(&members, &called, called_line) else { return };
        let models = self.models(&members);
        let named = transformers::format(members.get("transformer"));
        let url_path = members.path("api_base_url");
        let endpoint = match endpoint::read(&url, named) {
            Ok(endpoint) => endpoint,
            Err(why) => {
                let note = format!("{why}; this provider is left out");
                self.report.not_taken(Place::new(url_line, &url_path), note);
                self.known.push(KnownProvider { called, name: None, models });
                return;
            }
        };
        let mut section = Section { name: name.clone(), ..Section::default() };
        let like = self.address(&mut section, &endpoint, Place::new(url_line, &url_path));
        self.key(&members, &section, &endpoint.base_url, like.as_ref());
        if section.name != *endpoint.base_url
            && needs_no_key(&members, &endpoint)
            && !has_optional_key(like.as_ref())
        {
            section.set("api-key-optional", true);
        }
        let like = like.map(|provider| provider.name);
        if let Some(node) = members.get("transformer").filter(|node| !node.is_empty()) {
            let mut target = transformers::Target {
                section: &mut section,
                format: endpoint.format,
                like: like.as_deref(),
            };
            transformers::apply(&mut target, &members.path("transformer"), node, self.report);
        }
        self.others(&members);
        self.sections.push(section);
        self.known.push(KnownProvider { called, name: Some(name), models });
    }

    /// A text that every provider has, with its line.
    fn required(&mut self, members: &Members<'_>, name: &str) -> Option<(String, usize)> {
        let path = members.path(name);
        let Some(node) = members.get(name).filter(|node| !node.is_empty()) else {
            self.report.error(Place::new(members.line, &path), "it is missing; every provider needs it");
            return None;
        };
        let place = Place::new(node.line, &path);
        let Some(text) = node.text() else {
            self.report.error(place, format!("expected text in quotes, found {}", node.kind()));
            return None;
        };
        match references::resolve(text.trim(), self.lookup) {
            Ok(text) => Some((text, node.line)),
            Err(variable) => {
                self.report.error(place, format!("the environment variable {variable} is not set"));
                None
            }
        }
    }

    /// The provider's name here. A name that two providers would share is an error, and so is one whose variables they would.
    fn name(&mut self, members: &Members<'_>, called: &str, line: usize) -> Option<String> {
        let path = members.path("name");
        let place = Place::new(line, &path);
        let name = usable_name(called);
        let is_same = |known: &KnownProvider| {
            let other = known.name.clone().unwrap_or_else(|| usable_name(&known.called));
            variable_prefix(&other) == variable_prefix(&name)
        };
        if let Some(other) = self.known.iter().position(is_same) {
            let (other, line) = (&self.known[other].called, self.lines[other]);
            let text = format!(
                "{called:?} and {other:?} (line {line}) would be the same provider; rename one of them"
            );
            self.report.error(place, text);
            return None;
        }
        self.lines.push(line);
        let is_built_in = built_in::named(&name).is_some();
        self.report.taken(place, match (name == called, is_built_in) {
            (true, true) => format!("the built-in provider {name}"),
            (true, false) => format!("[{name}]"),
            (false, _) => format!("[{name}]: names consist of lower-case letters, digits, - and _, and some have another meaning"),
        });
        Some(name)
    }

    fn models(&mut self, members: &Members<'_>) -> Vec<String> {
        let Some(node) = members.get("models") else { return Vec::new() };
        let path = members.path("models");
        let names = node.list().map(|items| items.iter().map(Node::text).collect::<Option<Vec<_>>>());
        match names {
            Some(Some(names)) => {
                let note = "every model of a provider can be used, as provider:model";
                self.report.not_needed(Place::new(node.line, &path), note);
                names.into_iter().map(str::to_owned).collect()
            }
            Some(None) | None => {
                self.report.error(Place::new(node.line, &path), "expected a list of names in quotes");
                Vec::new()
            }
        }
    }

    /// Writes where the provider is. Returns the built-in provider whose options apply.
    fn address(&mut self, section: &mut Section, endpoint: &Endpoint, place: Place<'_>) -> Option<BuiltIn> {
        let same_name = built_in::named(&section.name);
        let Endpoint { base_url, format, api_version, note } = endpoint;
        let is_known = same_name.as_ref().is_some_and(|known| known.base_url.as_ref() == Some(base_url));
        let mut notes = vec![format!("base-url = {base_url:?}")];
        if is_known {
            notes = vec![format!("the built-in base URL of {}", section.name)];
        } else {
            section.set("base-url", base_url.as_str());
        }
        if *format != same_name.as_ref().map_or(Format::OpenAi, |known| known.format) {
            section.set("api-format", format.word());
            notes.push(format!("api-format = {:?}", format.word()));
        }
        if let Some(version) = api_version {
            section.set("api-version", version.as_str());
            notes.push(format!("api-version = {version:?}"));
        }
        let like = match same_name {
            Some(known) => {
                if !is_known {
                    notes.push(format!("the other options of the built-in provider {} apply", known.name));
                }
                Some(known)
            }
            None => built_in::at(base_url).filter(|known| known.format == *format).inspect(|known| {
                known.options.iter().for_each(|(key, value)| section.set(key, value.clone()));
                notes.push(format!("with the options of the built-in provider {}", known.name));
            }),
        };
        notes.extend(note.map(str::to_owned));
        self.report.taken(place, notes.join("; "));
        like
    }

    fn key(&mut self, members: &Members<'_>, section: &Section, base_url: &str, like: Option<&BuiltIn>) {
        let path = members.path("api_key");
        let name = format!("{}_API_KEY", variable_prefix(&section.name));
        let node = members.get("api_key").filter(|node| !node.is_empty());
        let line = members.get("api_key").map_or(members.line, |node| node.line);
        let place = Place::new(line, &path);
        let Some(node) = node else {
            let note = match is_local(base_url) || has_optional_key(like) {
                true => "a server on this machine needs no key".to_owned(),
                false => format!("there is no key, so the provider is inactive; set {name}"),
            };
            return match is_local(base_url) || has_optional_key(like) {
                true => self.report.not_needed(place, note),
                false => self.report.not_taken(place, note),
            };
        };
        let Some(text) = key_text(node) else {
            return self.report.error(place, format!("expected text in quotes, found {}", node.kind()));
        };
        if references::only_variable(&text) == Some(&name) {
            return self.report.taken(place, format!("read from the environment variable {name}, as before"));
        }
        let value = references::secret(&text);
        if let (Secret::Key(_), Err(advice)) = (&value, check_key(&text)) {
            return self.report.not_taken(place, format!("{advice}; set {name}"));
        }
        let reference = match &value {
            Secret::Key(_) => "",
            Secret::Reference(_) => ", which refers to the same environment variable",
        };
        self.report.taken(place, format!("{name} in .env{reference}"));
        self.variables.push(DotenvVariable { name, value });
    }

    /// Members that claude-code-router does not document.
    fn others(&mut self, members: &Members<'_>) {
        let known = ["name", "api_base_url", "api_key", "models", "transformer"];
        for (name, node) in members.entries.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            let path = members.path(name);
            self.report.not_taken(Place::new(node.line, &path), "vdm does not know this setting");
        }
    }
}

/// One key, or a list of them.
fn key_text(node: &Node) -> Option<String> {
    match node.list() {
        Some(items) => {
            let keys = items.iter().map(Node::text).collect::<Option<Vec<_>>>()?;
            Some(keys.join(" "))
        }
        None => node.text().map(str::to_owned),
    }
}

fn needs_no_key(members: &Members<'_>, endpoint: &Endpoint) -> bool {
    members.get("api_key").is_none_or(Node::is_empty) && is_local(&endpoint.base_url)
}

fn has_optional_key(like: Option<&BuiltIn>) -> bool {
    like.is_some_and(|known| known.flag("api-key-optional"))
}

fn is_local(base_url: &str) -> bool {
    let url = url::Url::parse(base_url).ok();
    url.and_then(|url| match url.host()? {
        url::Host::Domain(name) => Some(name == "localhost" || name.ends_with(".localhost")),
        url::Host::Ipv4(ip) => Some(ip.is_loopback()),
        url::Host::Ipv6(ip) => Some(ip.is_loopback()),
    })
    .unwrap_or(false)
}

/// The name in the letters that vdm allows.
fn usable_name(called: &str) -> String {
    let letters = called.trim().to_lowercase();
    let letters: String = letters
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' })
        .collect();
    let name = letters.trim_matches('-');
    match name {
        "" => "provider".to_owned(),
        name if RESERVED.contains(&name) => format!("{name}-provider"),
        name => name.to_owned(),
    }
}

/// A key or another secret of the gateway itself.
pub(super) fn variable(name: &str, value: Secret) -> DotenvVariable {
    DotenvVariable { name: name.to_owned(), value }
}

/// The value of a flag or number as TOML.
pub(super) fn whole_number(number: f64) -> Option<TomlValue> {
    #[expect(clippy::cast_possible_truncation, reason = "it is in this range")]
    (number.fract() == 0.0 && number.abs() < 1e15).then(|| TomlValue::from(number as i64))
}
