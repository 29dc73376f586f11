//! The names of tools for the upstream. The Messages API knows one list of names, without namespaces.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use sha2::{Digest as _, Sha256};

use crate::json::Literal;

/// The longest name that every upstream accepts.
const LONGEST: usize = 64;
/// The length of the part before the hash: 55 characters, then `_` and 8 digits.
const STEM: usize = 55;
/// What separates the namespace from the name.
const SEPARATOR: &str = "__";

/// The names of one request.
#[derive(Debug, Default)]
pub(super) struct ToolNames {
    /// Names that are taken, decoded.
    taken: HashSet<String>,
    /// The names of tools in namespaces, by namespace and name.
    flat: HashMap<(String, String), String>,
    /// The names of the built-in tools, by type.
    built_in: HashMap<&'static str, String>,
}

impl ToolNames {
    /// Takes the name of a tool outside of namespaces. It is kept. Returns whether it is new.
    pub(super) fn take(&mut self, name: Literal<'_>) -> bool {
        self.taken.insert(decoded(name))
    }

    /// Names a tool in a namespace. Names outside of namespaces must have been taken before. `None` if it has a name already.
    pub(super) fn flatten(&mut self, namespace: Literal<'_>, name: Literal<'_>) -> Option<String> {
        let key = (decoded(namespace), decoded(name));
        if self.flat.contains_key(&key) {
            return None;
        }
        let mut flat = flattened(&key.0, &key.1);
        if self.taken.contains(&flat) {
            flat = hashed(&flat, &key.0, &key.1);
        }
        self.taken.insert(flat.clone());
        self.flat.insert(key, flat.clone());
        Some(flat)
    }

    /// Names a built-in tool of this type. `None` if it has a name already.
    pub(super) fn build_in(&mut self, kind: &'static str) -> Option<String> {
        if self.built_in.contains_key(kind) {
            return None;
        }
        let mut name = kind.to_owned();
        if self.taken.contains(&name) {
            name = hashed(kind, "", kind);
        }
        self.taken.insert(name.clone());
        self.built_in.insert(kind, name.clone());
        Some(name)
    }

    /// The upstream's name of a tool, inner text. The tool need not be in the request any more.
    pub(super) fn upstream<'a>(&self, namespace: Option<Literal<'a>>, name: Literal<'a>) -> Cow<'a, str> {
        let Some(namespace) = namespace.filter(|namespace| !namespace.inner().is_empty()) else {
            return Cow::Borrowed(name.inner());
        };
        let key = (decoded(namespace), decoded(name));
        Cow::Owned(self.flat.get(&key).cloned().unwrap_or_else(|| flattened(&key.0, &key.1)))
    }

    /// The upstream's name of a built-in tool.
    pub(super) fn upstream_built_in(&self, kind: &'static str) -> Cow<'static, str> {
        self.built_in.get(kind).map_or(Cow::Borrowed(kind), |name| Cow::Owned(name.clone()))
    }

    /// Whether a tool of the client has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.taken.contains(name)
    }
}

/// What a name means; one that is no valid Unicode keeps its escapes.
fn decoded(name: Literal<'_>) -> String {
    name.decode().map_or_else(|| name.inner().to_owned(), Cow::into_owned)
}

/// Namespace and name in the characters and the length that every upstream accepts.
fn flattened(namespace: &str, name: &str) -> String {
    let separator = if namespace.ends_with(SEPARATOR) { "" } else { SEPARATOR };
    let whole = format!("{namespace}{separator}{name}");
    let is_fit = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    if whole.len() <= LONGEST && whole.chars().all(is_fit) {
        return whole;
    }
    let fit: String =
        whole.chars().map(|character| if is_fit(character) { character } else { '_' }).collect();
    hashed(&fit, namespace, name)
}

/// A name that only this tool gets, the same in every turn.
fn hashed(stem: &str, namespace: &str, name: &str) -> String {
    let digest = Sha256::new().chain_update(namespace).chain_update("\0").chain_update(name).finalize();
    let hash: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{}_{hash}", &stem[..stem.len().min(STEM)])
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn literal(json: &'static str) -> Literal<'static> {
        let raw: &'static RawValue = serde_json::from_str(json).unwrap();
        Literal::of(raw).unwrap()
    }

    #[test]
    fn a_namespace_goes_before_the_name() {
        let mut names = ToolNames::default();
        for (namespace, name, flat) in [
            (r#""mcp__docs""#, r#""search""#, "mcp__docs__search"),
            (r#""mcp__docs__""#, r#""read""#, "mcp__docs__read"),
            (r#""a""#, r#""b""#, "a__b"),
        ] {
            let (namespace, name) = (literal(namespace), literal(name));
            assert_eq!(names.flatten(namespace, name).as_deref(), Some(flat));
            assert_eq!(names.upstream(Some(namespace), name), flat);
            assert_eq!(names.flatten(namespace, name), None, "it is listed once");
        }
        assert_eq!(names.upstream(Some(literal(r#""gone""#)), literal(r#""f""#)), "gone__f");
        assert_eq!(names.upstream(None, literal(r#""f""#)), "f");
        assert_eq!(names.upstream(Some(literal(r#""""#)), literal(r#""f""#)), "f");
    }

    #[test]
    fn every_name_is_accepted_and_belongs_to_one_tool() {
        let mut names = ToolNames::default();
        assert!(names.take(literal(r#""a__b""#)) && names.take(literal(r#""shell""#)));
        let long =
            literal(r#""xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx""#);
        let mut seen: HashSet<String> = ["a__b", "shell"].map(str::to_owned).into();
        for (namespace, name) in [
            (literal(r#""a""#), literal(r#""b""#)),
            (literal(r#""a.b""#), literal(r#""c""#)),
            (literal(r#""a-b""#), literal(r#""c""#)),
            (literal(r#""a_b""#), literal(r#""c""#)),
            (literal(r#""\u00e9""#), literal(r#""c""#)),
            (long, literal(r#""1""#)),
            (long, literal(r#""2""#)),
        ] {
            let flat = names.flatten(namespace, name).unwrap();
            assert!(
                flat.len() <= LONGEST
                    && flat.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
            );
            assert_eq!(names.upstream(Some(namespace), name), flat);
            assert!(seen.insert(flat));
        }
        let shell = names.build_in("shell").unwrap();
        assert!(seen.insert(shell.clone()));
        assert_eq!(names.upstream_built_in("shell"), shell);
        assert_eq!(names.upstream_built_in("local_shell"), "local_shell");
    }
}
