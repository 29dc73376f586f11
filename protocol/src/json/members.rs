//! The members of an object in their original order, each value in its original notation.

use std::{collections::HashMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::JsonWord;

/// All members of an object, duplicates included.
#[derive(Debug, Default)]
pub(crate) struct RawMembers<'a>(Vec<(JsonWord<'a>, &'a RawValue)>);

impl<'a> RawMembers<'a> {
    /// Returns the value of this name; the last duplicate wins.
    pub(crate) fn value(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(known, _)| known.as_str() == name).map(|(_, value)| *value)
    }

    /// Returns the value of this name as `T`; `None` if it is missing or has another type.
    pub(crate) fn read<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.value(name)?.get()).ok()
    }

    /// All members in order, duplicates included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// The members without duplicates: the last value, at the position of the first. It takes linear time, since a client can
    /// send very many.
    pub(crate) fn unique(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        let mut last: HashMap<&str, &'a RawValue> = self.iter().collect();
        self.iter().filter_map(move |(name, _)| Some((name, last.remove(name)?)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = RawMembers<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = vec![];
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawMembers(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: members keep their order and notation; of duplicates the last value counts, at the first position.
    #[test]
    fn members_keep_their_order_and_their_last_value() {
        let members: RawMembers<'_> = serde_json::from_str(r#"{"b":1e2,"\u0061":"x","b":{ }}"#).unwrap();
        let texts = |members: &mut dyn Iterator<Item = (&str, &RawValue)>| {
            members.map(|(name, value)| format!("{name}={}", value.get())).collect::<Vec<_>>()
        };
        assert_eq!(texts(&mut members.iter()), ["b=1e2", "a=\"x\"", "b={ }"]);
        assert_eq!(texts(&mut members.unique()), ["b={ }", "a=\"x\""]);
        assert_eq!(members.read::<String>("a").as_deref(), Some("x"));
        assert!(members.value("c").is_none() && members.read::<u8>("a").is_none());
        assert!(serde_json::from_str::<RawMembers<'_>>("[]").is_err());
    }
}
