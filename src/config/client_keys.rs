//! `[client-keys]`, and the key for admin actions. Keys are hashed where they are read, so that no later step has them.

use toml_edit::{Item, TableLike};
use vandamme_actors::secret::ApiKey;

use super::error::Diagnostics;
use super::key_text::{self, KeyFinding};
use super::layer::Section;
use crate::access_keys::{AccessKeys, ClientKey, KeyHash};

/// The table's name.
pub(super) const TABLE: &str = "client-keys";
/// In a layer, the mark of a key in a file that is read when all layers are known.
const FILE: &str = "file:";
/// The most keys: all of them are compared for each request.
const MOST: usize = 1_000;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 64;

const EXPECTED: &str = "expected a key in quotes, { hash = \"sha256:…\" } or { file = \"PATH\" }; `vdm key new NAME` makes a key";

/// Checks an entry of a file; the text of a layer.
pub(super) fn entry(name: &str, item: &Item) -> Result<String, String> {
    if !is_name(name) {
        let text =
            format!("the name of a client may hold letters, digits, - and _ only, {LONGEST_NAME} at most");
        return Err(text);
    }
    if let Some(key) = item.as_str() {
        return hashed(key);
    }
    match item.as_table_like().map(only_member) {
        Some(Some(("hash", Some(hash)))) => {
            let hash = KeyHash::parse(hash);
            hash.map(|hash| hash.to_string()).ok_or_else(|| {
                "expected \"sha256:\" and 64 hexadecimal digits, as `vdm key new NAME` prints them".to_owned()
            })
        }
        Some(Some(("file", Some(path)))) if !path.trim().is_empty() => Ok(format!("{FILE}{path}")),
        Some(_) | None => Err(EXPECTED.to_owned()),
    }
}

fn only_member(table: &dyn TableLike) -> Option<(&str, Option<&str>)> {
    let mut members = table.iter();
    let (name, item) = members.next()?;
    members.next().is_none().then_some((name, item.as_str()))
}

/// The hash of a key as the layers carry it.
pub(super) fn hashed(key: &str) -> Result<String, String> {
    let key = key.trim();
    if key.is_empty() || key.split_whitespace().count() > 1 {
        return Err("expected one key, without blanks".to_owned());
    }
    if KeyHash::resembles(key) {
        return Err("this is a hash, not a key; write { hash = \"sha256:…\" }".to_owned());
    }
    match key_text::inspect_gateway_key(key) {
        Some(KeyFinding::Invalid(text) | KeyFinding::Suspicious(text)) => Err(text.to_owned()),
        None => Ok(KeyHash::from_key(key.as_bytes()).to_string()),
    }
}

/// The file of a key that is in a file.
pub(super) fn file(text: &str) -> Option<&str> {
    text.strip_prefix(FILE)
}

pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(fits)
}

/// Collects all keys, and reports those that mean two clients.
pub(super) fn build(root: Section<'_>, own: Option<&ApiKey>, report: &mut Diagnostics) -> AccessKeys {
    let hash = |key: &ApiKey| KeyHash::from_key(key.expose().as_bytes());
    let mut clients: Vec<_> = own.map(|key| ClientKey { name: None, hash: hash(key) }).into_iter().collect();
    for (name, entry) in root.section(TABLE).texts() {
        // A file that cannot be read has been reported.
        let Some(hash) = KeyHash::parse(entry.text) else { continue };
        match clients.iter().find(|known| known.hash == hash) {
            Some(ClientKey { name: Some(other), .. }) => {
                report.error(entry.place, format!("'{other}' has the same key; give each client its own"));
            }
            Some(ClientKey { name: None, .. }) => {
                report.error(entry.place, "this is PROXY_API_KEY, too; give each client its own key");
            }
            None => clients.push(ClientKey { name: Some(name.into()), hash }),
        }
    }
    if clients.len() > MOST {
        report.error(format!("[{TABLE}]"), format!("there are {} keys; {MOST} are allowed", clients.len()));
    }
    let admin = root.text("admin-key").map(|key| (KeyHash::from_key(key.text.trim().as_bytes()), key.place));
    if let Some((admin, place)) = &admin
        && clients.iter().any(|client| client.hash == *admin)
    {
        report.error(*place, "clients have this key; admin actions need a key of their own");
    }
    AccessKeys { clients, admin: admin.map(|(hash, _)| hash) }
}
