//! A JSON object whose members keep their order, which is that of the columns in CSV.

use serde::{Serialize, Serializer};
use serde_json::Value;

/// The members of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Members(Vec<(String, Value)>);

impl Members {
    pub(crate) fn push(&mut self, name: impl Into<String>, value: Value) {
        self.0.push((name.into(), value));
    }

    /// The columns and cells of a CSV file: members of inner objects become columns of their own, and a missing value an empty
    /// cell.
    pub(crate) fn cells(&self) -> Vec<(String, String)> {
        let mut cells = vec![];
        for (name, value) in &self.0 {
            match value {
                Value::Object(inner) => {
                    cells.extend(inner.iter().map(|(part, value)| (format!("{name}_{part}"), text(value))));
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    cells.push((name.clone(), text(value)));
                }
            }
        }
        cells
    }
}

impl<const N: usize> From<[(&str, Value); N]> for Members {
    fn from(members: [(&str, Value); N]) -> Self {
        Self(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_keep_their_order_in_json_and_csv() {
        let mut members = Members::from([("b", json!(1)), ("a", json!({"p50": null, "p95": 2.5}))]);
        members.push("c", json!("x"));
        assert_eq!(serde_json::to_string(&members).unwrap(), r#"{"b":1,"a":{"p50":null,"p95":2.5},"c":"x"}"#);
        let cells = members.cells();
        let cells: Vec<_> = cells.iter().map(|(name, cell)| (name.as_str(), cell.as_str())).collect();
        assert_eq!(cells, [("b", "1"), ("a_p50", ""), ("a_p95", "2.5"), ("c", "x")]);
    }
}
