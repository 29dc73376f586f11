//! Which requests the page shows, from the parameters of its address.

use serde::Serialize;
use vandamme_actors::clock::Millis;
use vandamme_actors::history::{Dimension, Selection};
use vandamme_actors::ledger::CANCELLED_BY_OPERATOR;
use vandamme_protocol::vocabulary::ErrorKind;

use super::row::Row;
use crate::dashboard::page::Query;

/// The longest value of a parameter, in characters.
const LONGEST: usize = 200;

/// The parameters that name one value of a dimension; other pages link here with them.
const DIMENSIONS: [(&str, Dimension); 5] = [
    ("provider", Dimension::Provider),
    ("model", Dimension::Model),
    ("key", Dimension::Key),
    ("client", Dimension::Client),
    ("session", Dimension::Session),
];

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Filter {
    /// `succeeded`, `failed` or `cancelled`; `None` for all.
    pub(super) outcome: Option<&'static str>,
    /// A text that an id, a model, a client, a session or an error contains.
    pub(super) text: Option<String>,
    pub(super) only: Vec<Only>,
    /// The page after this position.
    pub(super) cursor: Option<u64>,
    /// The request whose details are open.
    pub(super) id: Option<String>,
}

/// A dimension that must have this value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Only {
    pub(super) name: &'static str,
    pub(super) value: String,
    #[serde(skip)]
    dimension: Dimension,
}

/// A chip that selects an outcome.
pub(super) struct Chip {
    pub(super) name: &'static str,
    pub(super) address: String,
    pub(super) is_current: bool,
}

impl Filter {
    pub(super) fn parse(query: &Query) -> Self {
        let text = |name: &str| {
            let value = query.get(name).map(str::trim).filter(|value| !value.is_empty())?;
            Some(value.chars().take(LONGEST).collect::<String>())
        };
        let only = DIMENSIONS
            .into_iter()
            .filter_map(|(name, dimension)| Some(Only { name, value: text(name)?, dimension }));
        Self {
            outcome: match query.get("outcome") {
                Some("succeeded") => Some("succeeded"),
                Some("failed") => Some("failed"),
                Some("cancelled") => Some("cancelled"),
                Some(_) | None => None,
            },
            text: text("q"),
            only: only.collect(),
            cursor: query.get("cursor").and_then(|cursor| cursor.parse().ok()),
            id: text("id"),
        }
    }

    /// What is asked of the history.
    pub(super) fn selection(&self) -> Selection {
        let ends: Vec<&str> = match self.outcome {
            Some("failed") => ErrorKind::ALL.into_iter().map(ErrorKind::anthropic).collect(),
            Some("cancelled") => vec!["cancelled", CANCELLED_BY_OPERATOR],
            Some(outcome) => vec![outcome],
            None => vec![],
        };
        let ends = ends.into_iter().map(|end| (Dimension::End, end.to_owned()));
        let only = self.only.iter().map(|only| (only.dimension, only.value.clone()));
        Selection { since: 0, until: Millis::MAX, filters: ends.chain(only).collect() }
    }

    /// Whether the page shows this row. A request in flight has no outcome yet.
    pub(super) fn matches(&self, row: &Row) -> bool {
        let outcome = self.outcome.is_none_or(|outcome| row.outcome == outcome);
        let text = self.text.as_ref().is_none_or(|text| row.contains(&text.to_lowercase()));
        outcome && text && self.only.iter().all(|only| row.value(only.name) == only.value)
    }

    pub(super) fn chips(&self) -> Vec<Chip> {
        let chip = |name: &'static str, outcome: Option<&'static str>| Chip {
            name,
            address: self.address(&Self { outcome, cursor: None, id: None, ..self.clone() }),
            is_current: self.outcome == outcome,
        };
        vec![
            chip("All", None),
            chip("Succeeded", Some("succeeded")),
            chip("Failed", Some("failed")),
            chip("Cancelled", Some("cancelled")),
        ]
    }

    /// The address without this condition.
    pub(super) fn without(&self, only: &Only) -> String {
        let kept = self.only.iter().filter(|other| *other != only).cloned().collect();
        self.address(&Self { only: kept, cursor: None, id: None, ..self.clone() })
    }

    /// The address of the next page.
    pub(super) fn older(&self, cursor: &u64) -> String {
        self.address(&Self { cursor: Some(*cursor), id: None, ..self.clone() })
    }

    /// The address with the details of this request.
    pub(super) fn opened(&self, id: &str) -> String {
        self.address(&Self { id: Some(id.to_owned()), ..self.clone() })
    }

    /// The same requests as a file, from the history.
    pub(super) fn export(&self) -> String {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.append_pair("since", "0").append_pair("format", "csv");
        for (dimension, value) in self.selection().filters {
            text.append_pair(dimension.name(), &value);
        }
        if let Some(searched) = &self.text {
            text.append_pair("text", searched);
        }
        format!("/api/ui/requests?{}", text.finish())
    }

    fn address(&self, other: &Self) -> String {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        let Self { outcome, text: searched, only, cursor, id } = other;
        let cursor = cursor.map(|cursor| cursor.to_string());
        let pairs = [
            ("outcome", *outcome),
            ("q", searched.as_deref()),
            ("cursor", cursor.as_deref()),
            ("id", id.as_deref()),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                text.append_pair(name, value);
            }
        }
        for only in only {
            text.append_pair(only.name, &only.value);
        }
        match text.finish() {
            query if query.is_empty() => "/dashboard/requests".to_owned(),
            query => format!("/dashboard/requests?{query}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Requirement: filters are in the address, and the address gives the same filters.
    #[test]
    fn a_filter_is_read_back_from_its_address() {
        let query = Query::parse("outcome=failed&q=a+%26b&session=s%201&cursor=7&id=req_1&key=");
        let filter = Filter::parse(&query);
        assert_eq!((filter.outcome, filter.text.as_deref()), (Some("failed"), Some("a &b")));
        let address = filter.older(&9);
        let read = Filter::parse(&Query::parse(address.split_once('?').unwrap().1));
        assert_eq!(read, Filter { cursor: Some(9), id: None, ..filter.clone() });
        assert_eq!(filter.without(&filter.only[0]), "/dashboard/requests?outcome=failed&q=a+%26b");
        assert!(filter.export().contains("session=s+1") && filter.export().contains("end=api_error"));
        assert_eq!(Filter::default().chips()[0].address, "/dashboard/requests");
    }

    /// Requirement: the outcome failed selects every type of error, and not what was cancelled.
    #[test]
    fn failed_are_all_types_of_errors() {
        let filters = Filter { outcome: Some("failed"), ..Filter::default() }.selection().filters;
        assert_eq!(filters.len(), ErrorKind::ALL.len());
        assert!(!filters.iter().any(|(_, value)| value.starts_with("cancelled")));
    }

    proptest! {
        #[test]
        fn any_query_is_read_and_bounded(text in ".{0,400}") {
            let filter = Filter::parse(&Query::parse(&text));
            prop_assert!(filter.text.is_none_or(|text| text.chars().count() <= LONGEST));
        }
    }
}
