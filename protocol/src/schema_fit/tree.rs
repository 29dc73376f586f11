//! JSON as a tree that preserves the order of members and the notation of scalars.

use serde_json::value::RawValue;

use crate::json::{RawMembers, Write};

/// The deepest level that is parsed; deeper values are kept as text. Each level uses stack.
const DEEPEST: usize = 64;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Object(TreeMembers),
    List(Vec<Self>),
    /// A scalar or a value that is nested too deeply, as JSON.
    Text(String),
}

/// The members of an object, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TreeMembers(pub(super) Vec<(String, Node)>);

impl Node {
    /// Parses JSON; `None` if it is invalid.
    pub(super) fn parse(json: &str) -> Option<Self> {
        let raw: &RawValue = serde_json::from_str(json).ok()?;
        Some(Self::read(raw, 0))
    }

    fn read(raw: &RawValue, depth: usize) -> Self {
        let text = raw.get();
        let object = || serde_json::from_str::<RawMembers<'_>>(text).ok();
        let list = || serde_json::from_str::<Vec<&RawValue>>(text).ok();
        match text.as_bytes().first() {
            Some(b'{') if depth < DEEPEST => {
                object().map(|members| Self::Object(TreeMembers::read(&members, depth + 1)))
            }
            Some(b'[') if depth < DEEPEST => list()
                .map(|values| Self::List(values.into_iter().map(|raw| Self::read(raw, depth + 1)).collect())),
            _ => None,
        }
        .unwrap_or_else(|| Self::Text(text.to_owned()))
    }

    /// Returns a string with this content.
    pub(super) fn string(text: &str) -> Self {
        let mut json = Vec::with_capacity(text.len() + 2);
        json.string(text);
        Self::Text(String::from_utf8(json).unwrap_or_default())
    }

    /// Returns the decoded content of a string.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(json) if json.starts_with('"') => serde_json::from_str(json).ok(),
            Self::Text(_) | Self::Object(_) | Self::List(_) => None,
        }
    }

    pub(super) fn object(&self) -> Option<&TreeMembers> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        if let Self::List(values) = self { Some(values) } else { None }
    }

    /// Returns the approximate length as text, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(json) => json.len() + 1,
            Self::List(values) => values.iter().map(Self::size).sum::<usize>() + 2,
            Self::Object(members) => {
                members.0.iter().map(|(name, value)| name.len() + value.size() + 4).sum::<usize>() + 2
            }
        }
    }

    pub(super) fn to_json(&self) -> String {
        let mut json = Vec::new();
        self.write(&mut json);
        String::from_utf8(json).unwrap_or_default()
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(json) => out.raw(json),
            Self::List(values) => {
                out.put(b"[");
                for (at, value) in values.iter().enumerate() {
                    out.raw(if at == 0 { "" } else { "," });
                    value.write(out);
                }
                out.put(b"]");
            }
            Self::Object(members) => {
                out.put(b"{");
                for (at, (name, value)) in members.0.iter().enumerate() {
                    out.raw(if at == 0 { "" } else { "," });
                    out.string(name);
                    out.put(b":");
                    value.write(out);
                }
                out.put(b"}");
            }
        }
    }
}

impl TreeMembers {
    fn read(members: &RawMembers<'_>, depth: usize) -> Self {
        Self(members.unique().map(|(name, raw)| (name.to_owned(), Node::read(raw, depth))).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Replaces the member in place, or appends it.
    pub(super) fn set(&mut self, name: &str, value: Node) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_member_has_its_last_value_at_its_first_position() {
        let node = Node::parse(r#"{"a":1,"b":{"c":1,"c":2},"a":[3]}"#).unwrap();
        assert_eq!(node.to_json(), r#"{"a":[3],"b":{"c":2}}"#);
    }
}
