//! Declares request bodies that record the names of unknown members.

/// Declares a request body: a struct of optional members that deserializes itself from a JSON object. Other members of
/// the object are skipped, and their names are collected in `unknown`. A derived implementation cannot do that:
/// `flatten` copies the values.
macro_rules! request_body {
    (
        $(#[$about:meta])*
        pub(crate) struct $name:ident<$life:lifetime> {
            $($(#[$of_member:meta])* pub(crate) $member:ident: Option<$type:ty>,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Default)]
        pub(crate) struct $name<$life> {
            $(pub(crate) $member: Option<$type>,)*
            /// The decoded names of members that are not declared.
            pub(crate) unknown: Vec<$crate::json::JsonWord<$life>>,
        }

        impl<'de: $life, $life> serde::Deserialize<'de> for $name<$life> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

                struct Members;

                impl<'de> Visitor<'de> for Members {
                    type Value = $name<'de>;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        formatter.write_str("a JSON object")
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                        let _first: Option<IgnoredAny> = list.next_element()?;
                        Err(A::Error::invalid_length(0, &self))
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut body = $name::default();
                        while let Some(member) = map.next_key::<$crate::json::JsonWord<'de>>()? {
                            match member.as_str() {
                                $(stringify!($member) => {
                                    if body.$member.is_some() {
                                        return Err(A::Error::duplicate_field(stringify!($member)));
                                    }
                                    body.$member = map.next_value()?;
                                })*
                                _ => {
                                    let _value: IgnoredAny = map.next_value()?;
                                    body.unknown.push(member);
                                }
                            }
                        }
                        Ok(body)
                    }
                }

                deserializer.deserialize_struct(stringify!($name), &[$(stringify!($member)),*], Members)
            }
        }
    };
}

pub(crate) use request_body;
