//! `GET /api/ui/usage`: sums over requests, by dimension and time.

use std::time::SystemTime;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use vandamme_actors::clock::Millis;
use vandamme_actors::history::{Dimension, UsageQuery, UsageRow};

use super::csv::Csv;
use super::{Form, csv_file, failed, filters, invalid, refusal, usage_row};
use crate::api::query;
use crate::api::report::{self, epoch_seconds};
use crate::gateway::Gateway;
use crate::request_id::RequestId;

/// The most groups of an answer, and the usual number.
const MOST_GROUPS: usize = 10_000;
const GROUPS: usize = 1_000;
/// The most dimensions of one question.
const DIMENSIONS: usize = 4;

/// What is asked, and the form of the answer.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    query: UsageQuery,
    form: Form,
}

pub(crate) async fn usage(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    if let Some(refusal) = refusal(&request, &gateway, &id) {
        return refusal;
    }
    let Question { query, form } = match Question::parse(request.query_string(), SystemTime::now()) {
        Ok(question) => question,
        Err(message) => return invalid(&message, &id),
    };
    let history = gateway.registry.load().history.clone();
    match history.usage(query.clone()).await {
        Ok(rows) => match form {
            Form::Json => report::uncached(HttpResponse::Ok().json(json_of(&query, &rows))),
            Form::Csv => csv_file("usage", csv_of(&query, &rows)),
        },
        Err(error) => failed(&error, &id),
    }
}

impl Question {
    fn parse(text: &str, now: SystemTime) -> Result<Self, String> {
        let mut question = Self {
            query: UsageQuery { selection: filters::recent(now), groups: GROUPS, ..UsageQuery::default() },
            form: Form::Json,
        };
        let query = &mut question.query;
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "by" => query.group_by = dimensions(&value)?,
                "interval" => {
                    let interval = filters::duration(&value);
                    query.interval =
                        Some(interval.map_err(|()| "interval: expected a duration such as 1h".to_owned())?);
                }
                "limit" => query.groups = query::limit(&name, &value, MOST_GROUPS)?,
                "format" => question.form = Form::parse(&value)?,
                name if filters::read(&mut query.selection, name, &value, now)? => {}
                name => return Err(format!("unknown parameter '{}'", report::one_line(name))),
            }
        }
        Ok(question)
    }
}

/// Names of dimensions, separated by commas.
fn dimensions(text: &str) -> Result<Vec<Dimension>, String> {
    let mut dimensions = vec![];
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let dimension = Dimension::parse(name).ok_or_else(|| {
            let known: Vec<_> = Dimension::ALL.iter().map(|dimension| dimension.name()).collect();
            format!("by: expected names out of {}", known.join(", "))
        })?;
        if !dimensions.contains(&dimension) {
            dimensions.push(dimension);
        }
    }
    match dimensions.len() <= DIMENSIONS {
        true => Ok(dimensions),
        false => Err(format!("by: at most {DIMENSIONS} names")),
    }
}

fn json_of(query: &UsageQuery, rows: &[UsageRow]) -> serde_json::Value {
    let by: Vec<_> = query.group_by.iter().map(|dimension| dimension.name()).collect();
    let rows: Vec<_> = rows.iter().map(|row| usage_row::row(row, &query.group_by)).collect();
    let until = Some(query.selection.until).filter(|until| *until < Millis::MAX).map(epoch_seconds);
    json!({
        "by": by,
        "since": epoch_seconds(query.selection.since),
        "until": until,
        "interval_seconds": query.interval.map(|interval| interval.as_secs()),
        "rows": rows,
    })
}

fn csv_of(query: &UsageQuery, rows: &[UsageRow]) -> String {
    let mut csv = Csv::default();
    let empty = UsageRow { group: vec!["".into(); query.group_by.len()], ..UsageRow::default() };
    let names = usage_row::cells(&usage_row::row(&empty, &query.group_by));
    csv.line(names.iter().map(|(name, _)| name));
    for row in rows {
        csv.line(usage_row::cells(&usage_row::row(row, &query.group_by)).iter().map(|(_, cell)| cell));
    }
    csv.into_text()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_question_is_read_strictly() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_066_696);
        let parse = |text| Question::parse(text, now);
        let Question { query, form } =
            parse("by=model,day&since=1d&interval=1h&provider=a&provider=b&limit=5&format=csv").unwrap();
        assert_eq!(query.group_by, [Dimension::Model, Dimension::Day]);
        assert_eq!((query.groups, query.interval, form), (5, Some(Duration::from_secs(3600)), Form::Csv));
        assert_eq!(query.selection.since, 1_795_980_296_000);
        let providers = ["a", "b"].map(|name| (Dimension::Provider, name.to_owned()));
        assert_eq!(query.selection.filters, providers);
        for wrong in ["by=colour", "interval=0h", "since=x", "limit=0", "format=xml", "colour=red"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
