//! Lists of models: parsed from either API's `/models` and written in either API's shape. Vendor-specific fields of a
//! model are preserved.
//!
//! Shapes: platform.claude.com/docs/en/api/models-list, platform.openai.com/docs/api-reference/models/list.

pub mod cached;
pub mod codex;
mod details;
pub mod text_only;
pub mod top;

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

pub use self::details::ModelDetails;

/// The creation time of a model whose upstream does not report one.
const UNKNOWN_TIME: &str = "1970-01-01T00:00:00Z";

/// The longest accepted id, in bytes; no request could use a longer one.
pub const LONGEST_ID: usize = 256;
/// The most models of one upstream that are read; the largest known catalogue has some thousands.
pub const MOST: usize = 20_000;

/// The models of one upstream, in its order.
#[derive(Debug)]
pub struct Models<'a>(Vec<Model<'a>>);

/// One model: its fields in the upstream's order.
#[derive(Debug)]
pub struct Model<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A model in a list of many providers' models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub id: String,
    /// The display name, if it differs from the id.
    pub name: Option<String>,
    /// The creation time as RFC 3339.
    pub created: Option<String>,
}

/// Why a body is not a list of models.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ModelListError {
    #[error("the list of models is not JSON: {0}")]
    NotJson(String),
    #[error("the list of models has no 'data'")]
    MissingData,
}

/// The page of a list that an Anthropic client requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<'q> {
    /// The most models on the page.
    pub limit: usize,
    pub cursor: PageCursor<'q>,
}

/// The position of a [`Page`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageCursor<'q> {
    /// At the front of the list.
    Front,
    /// Directly after the model with this id.
    After(&'q str),
    /// Directly before the model with this id.
    Before(&'q str),
}

impl<'a> Models<'a> {
    /// Parses `{"data": […]}` or a bare list; elements that are not objects are ignored.
    ///
    /// # Errors
    /// The body is neither.
    pub fn read(body: &'a [u8]) -> Result<Self, ModelListError> {
        #[derive(Deserialize)]
        struct Listed<'b> {
            #[serde(borrow)]
            data: Option<Vec<&'b RawValue>>,
        }
        let not_json = |error: serde_json::Error| ModelListError::NotJson(error.to_string());
        let entries = if body.trim_ascii_start().starts_with(b"[") {
            serde_json::from_slice(body).map_err(not_json)?
        } else {
            let raw: &RawValue = serde_json::from_slice(body).map_err(not_json)?;
            let listed: Option<Listed<'a>> = serde_json::from_str(raw.get()).ok();
            listed.and_then(|listed| listed.data).ok_or(ModelListError::MissingData)?
        };
        let models = entries.into_iter().take(MOST);
        Ok(Self(models.filter_map(|entry| serde_json::from_str(entry.get()).ok()).collect()))
    }

    /// Returns all models whose id is within [`LONGEST_ID`], with their display names.
    pub fn named(&self) -> impl Iterator<Item = Named> {
        self.0.iter().filter_map(|model| {
            let id = model.id().filter(|id| id.len() <= LONGEST_ID)?.into_owned();
            let name = model.display_name().filter(|name| *name != id && name.len() <= LONGEST_ID);
            Some(Named {
                id,
                name: name.map(Cow::into_owned),
                created: model.created_at().map(Cow::into_owned),
            })
        })
    }

    /// Returns the model with this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Model<'a>> {
        self.0.iter().find(|model| model.id().is_some_and(|own| own == id))
    }

    /// Writes all models for a Chat Completions client. `owner` is used if the upstream names none.
    #[must_use]
    pub fn chat(&self, owner: &str) -> Vec<u8> {
        #[derive(Serialize)]
        struct List<'l, 'm> {
            object: &'static str,
            data: Vec<ForChat<'l, 'm>>,
        }
        let data = self.0.iter().map(|model| ForChat { model, owner }).collect();
        to_json(&List { object: "list", data })
    }

    /// Writes one page of models for a Messages client; models without an id are omitted.
    ///
    /// # Errors
    /// Returns the page's cursor if no model has that id.
    pub fn messages<'q>(&self, page: &Page<'q>) -> Result<Vec<u8>, &'q str> {
        #[derive(Serialize)]
        struct List<'l, 'm> {
            data: Vec<ForMessages<'l, 'm>>,
            first_id: Option<Cow<'m, str>>,
            last_id: Option<Cow<'m, str>>,
            has_more: bool,
        }
        let named: Vec<_> = self.0.iter().filter(|model| model.id().is_some()).collect();
        let place =
            |id: &'q str| named.iter().position(|model| model.id().is_some_and(|own| own == id)).ok_or(id);
        let (first, last, has_more) = match page.cursor {
            PageCursor::Before(id) => {
                let end = place(id)?;
                let first = end.saturating_sub(page.limit);
                (first, end, first > 0)
            }
            PageCursor::Front | PageCursor::After(_) => {
                let first = if let PageCursor::After(id) = page.cursor { place(id)? + 1 } else { 0 };
                let last = named.len().min(first + page.limit);
                (first, last, last < named.len())
            }
        };
        let models = &named[first..last];
        let id = |model: Option<&&Model<'a>>| model.and_then(|model| model.id());
        Ok(to_json(&List {
            first_id: id(models.first()),
            last_id: id(models.last()),
            data: models.iter().map(|model| ForMessages(model)).collect(),
            has_more,
        }))
    }
}

impl<'a> Model<'a> {
    /// Writes the model for a Chat Completions client; `owner` is used if the upstream names none.
    #[must_use]
    pub fn chat(&self, owner: &str) -> Vec<u8> {
        to_json(&ForChat { model: self, owner })
    }

    /// Writes the model as the upstream sent it, without white space.
    #[must_use]
    pub fn raw(&self) -> Vec<u8> {
        to_json(&OwnFields(self))
    }

    /// Writes the model for a Messages client.
    #[must_use]
    pub fn messages(&self) -> Vec<u8> {
        to_json(&ForMessages(self))
    }

    fn field(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(field, _)| field == name).map(|&(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        #[derive(Deserialize)]
        struct Text<'t>(#[serde(borrow)] Cow<'t, str>);
        serde_json::from_str(self.field(name)?.get()).ok().map(|Text(text)| text)
    }

    fn integer(&self, name: &str) -> Option<u64> {
        serde_json::from_str(self.field(name)?.get()).ok()
    }

    /// Returns the strings in the lists of these names, without duplicates.
    fn strings(&self, names: &[&str]) -> Vec<String> {
        let mut words = vec![];
        let lists = names.iter().filter_map(|name| self.field(name));
        let lists = lists.filter_map(|list| serde_json::from_str::<Vec<&RawValue>>(list.get()).ok());
        for word in lists.flatten().filter_map(|word| serde_json::from_str::<String>(word.get()).ok()) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words
    }

    fn id(&self) -> Option<Cow<'a, str>> {
        self.text("id")
    }

    fn display_name(&self) -> Option<Cow<'a, str>> {
        self.text("display_name").or_else(|| self.text("name"))
    }

    /// Returns the creation time as RFC 3339.
    fn created_at(&self) -> Option<Cow<'a, str>> {
        let existing = self.text("created_at").filter(|text| text.parse::<Timestamp>().is_ok());
        existing.or_else(|| Some(Timestamp::from_second(self.created()?).ok()?.to_string().into()))
    }

    /// Returns the creation time in seconds since 1970.
    fn created(&self) -> Option<i64> {
        let epoch = self.field("created").and_then(|value| serde_json::from_str::<f64>(value.get()).ok());
        epoch
            .map(|seconds| seconds as i64)
            .or_else(|| Some(self.text("created_at")?.parse::<Timestamp>().ok()?.as_second()))
    }
}

fn to_json<T: Serialize>(list: &T) -> Vec<u8> {
    // The list consists of strings, numbers and valid JSON, so serialization cannot fail.
    serde_json::to_vec(list).unwrap_or_default()
}

/// A model for a Chat Completions client: the upstream's fields, followed by the fields that the API requires.
struct ForChat<'l, 'm> {
    model: &'l Model<'m>,
    owner: &'l str,
}

impl Serialize for ForChat<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { model, owner } = self;
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &model.0 {
            map.serialize_entry(name, value)?;
        }
        if model.field("object").is_none() {
            map.serialize_entry("object", "model")?;
        }
        if model.field("created").is_none() {
            map.serialize_entry("created", &model.created().unwrap_or(0))?;
        }
        if model.field("owned_by").is_none() {
            map.serialize_entry("owned_by", owner)?;
        }
        map.end()
    }
}

/// A model's own fields only.
struct OwnFields<'l, 'm>(&'l Model<'m>);

impl Serialize for OwnFields<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A model for a Messages client: the fields that the API requires, followed by the upstream's other fields.
struct ForMessages<'l, 'm>(&'l Model<'m>);

impl Serialize for ForMessages<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const REWRITTEN: [&str; 6] = ["id", "type", "display_name", "created_at", "created", "object"];
        let Self(model) = self;
        let id = model.id().unwrap_or_default();
        let name = model.display_name();
        let created = model.created_at();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &id)?;
        map.serialize_entry("type", "model")?;
        map.serialize_entry("display_name", name.as_ref().unwrap_or(&id))?;
        map.serialize_entry("created_at", created.as_deref().unwrap_or(UNKNOWN_TIME))?;
        for (name, value) in model.0.iter().filter(|(name, _)| !REWRITTEN.contains(&&**name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Model<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Model<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Model<'de>, A::Error> {
                let mut fields = vec![];
                while let Some(name) = map.next_key::<FieldName<'de>>()? {
                    fields.push((name.0, map.next_value()?));
                }
                Ok(Model(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// A field's name, borrowed if it contains no escapes.
#[derive(Deserialize)]
struct FieldName<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn chat(body: &str) -> Value {
        serde_json::from_slice(&Models::read(body.as_bytes()).unwrap().chat("the-provider")).unwrap()
    }

    fn page(body: &str, limit: usize, cursor: PageCursor<'_>) -> Value {
        serde_json::from_slice(
            &Models::read(body.as_bytes()).unwrap().messages(&Page { limit, cursor }).unwrap(),
        )
        .unwrap()
    }

    const FIVE: &str = r#"{"data":[{"id":"a"},{"id":"b"},{"id":"c"},{"id":"d"},{"id":"e"}]}"#;

    #[test]
    fn a_chat_list_is_preserved_and_missing_members_are_added() {
        let listed = r#"{"object":"list","data":[{"id":"m","object":"model","created":7,"owned_by":"o","x":1e2},"no",{"id":"n"}],"more":1}"#;

        assert_eq!(
            chat(listed),
            json!({"object": "list", "data": [
                {"id": "m", "object": "model", "created": 7, "owned_by": "o", "x": 1e2},
                {"id": "n", "object": "model", "created": 0, "owned_by": "the-provider"},
            ]})
        );
        assert_eq!(chat(r#" [{"id":"m"}]"#)["data"][0]["id"], "m");
    }

    #[test]
    fn an_anthropic_list_is_readable_for_a_chat_client() {
        let listed = r#"{"data":[{"type":"model","id":"c","display_name":"C","created_at":"2023-11-14T22:13:20Z"}],"has_more":false}"#;

        let model = &chat(listed)["data"][0];

        assert_eq!((&model["created"], &model["object"]), (&json!(1_700_000_000), &json!("model")));
        assert_eq!((&model["display_name"], &model["owned_by"]), (&json!("C"), &json!("the-provider")));
    }

    /// Requirement: Anthropic format has `first_id`, `last_id`, `has_more:false`; ids missing → entry skipped.
    /// Requirement: Integer `created` becomes an RFC 3339 `created_at`.
    #[test]
    fn a_chat_list_is_readable_for_a_messages_client() {
        let listed = r#"{"data":[{"id":"m","object":"model","created":1700000000,"owned_by":"o"},
            {"id":"n","name":"N the great","context_length":5},{"no":"id"},{"id":7}]}"#;

        assert_eq!(
            page(listed, 20, PageCursor::Front),
            json!({"data": [
                {"id": "m", "type": "model", "display_name": "m", "created_at": "2023-11-14T22:13:20Z", "owned_by": "o"},
                {"id": "n", "type": "model", "display_name": "N the great", "created_at": "1970-01-01T00:00:00Z",
                 "name": "N the great", "context_length": 5},
            ], "first_id": "m", "last_id": "n", "has_more": false})
        );
    }

    /// Requirement: Anthropic format has `first_id`, `last_id`, `has_more:false`; ids missing → entry skipped.
    #[test]
    fn no_models_are_a_list_too() {
        let empty = json!({"data": [], "first_id": null, "last_id": null, "has_more": false});
        assert_eq!(page(r#"{"data":[]}"#, 20, PageCursor::Front), empty);
    }

    #[test]
    fn a_page_begins_or_ends_at_its_cursor() {
        for (cursor, first, last, more) in [
            (PageCursor::Front, "a", "b", true),
            (PageCursor::After("b"), "c", "d", true),
            (PageCursor::After("c"), "d", "e", false),
            (PageCursor::Before("c"), "a", "b", false),
            (PageCursor::Before("e"), "c", "d", true),
        ] {
            let page = page(FIVE, 2, cursor.clone());
            let found = (&page["first_id"], &page["last_id"], &page["has_more"]);
            assert_eq!(found, (&json!(first), &json!(last), &json!(more)), "{cursor:?}");
        }
        assert_eq!(page(FIVE, 2, PageCursor::After("e"))["data"], json!([]));
    }

    #[test]
    fn an_unknown_cursor_is_returned_as_the_error() {
        let models = Models::read(FIVE.as_bytes()).unwrap();
        assert_eq!(models.messages(&Page { limit: 1, cursor: PageCursor::After("z") }), Err("z"));
    }

    #[test]
    fn a_body_that_is_not_a_list_is_refused() {
        for body in ["", "{", "[{]", "<html>"] {
            assert!(matches!(Models::read(body.as_bytes()), Err(ModelListError::NotJson(_))), "{body}");
        }
        for body in ["{}", "7", "null", r#"{"data":7}"#] {
            assert_eq!(Models::read(body.as_bytes()).err(), Some(ModelListError::MissingData), "{body}");
        }
    }

    #[test]
    fn models_have_an_id_and_a_display_name() {
        let listed = r#"{"data":[{"id":"m","name":"The M","created":1700000000},{"id":"n","display_name":"n"},{"no":"id"}]}"#;
        let named: Vec<_> = Models::read(listed.as_bytes()).unwrap().named().collect();
        let m = Named {
            id: "m".into(),
            name: Some("The M".into()),
            created: Some("2023-11-14T22:13:20Z".into()),
        };
        assert_eq!(named, [m, Named { id: "n".into(), name: None, created: None }]);
    }

    #[test]
    fn an_id_is_found_however_it_is_escaped() {
        let models = Models::read(br#"{"data":[{"id":"vendor\/m\u0031"}]}"#).unwrap();
        let found = models.find("vendor/m1").unwrap();
        let shown: Value = serde_json::from_slice(&found.messages()).unwrap();
        assert_eq!(shown["id"], "vendor/m1");
        assert!(models.find("m1").is_none());
    }
}
