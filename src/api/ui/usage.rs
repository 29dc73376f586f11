//! `GET /api/ui/usage`: sums over requests, by dimension and time.

use std::time::SystemTime;

use actix_web::{HttpRequest, HttpResponse, web};

use super::{csv_file, failed, invalid, refusal};
use crate::api::report;
use crate::gateway::Gateway;
use crate::request_id::RequestId;
use crate::usage_report::{self, Form, Missing, UsageAnswer, UsageQuestion};

pub(crate) async fn usage(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    if let Some(refusal) = refusal(&request, &gateway, &id) {
        return refusal;
    }
    let UsageQuestion { query, form } = match UsageQuestion::parse(request.query_string(), SystemTime::now())
    {
        Ok(question) => question,
        Err(message) => return invalid(&message, &id),
    };
    let history = gateway.registry.load().history.clone();
    match history.usage(query.clone()).await {
        Ok(rows) => match form {
            Form::Json => {
                let missing = Missing::of(&history.status());
                report::uncached(HttpResponse::Ok().json(UsageAnswer::new(&query, &rows, missing)))
            }
            Form::Csv => csv_file("usage", usage_report::csv_of(&query, &rows)),
        },
        Err(error) => failed(&error, &id),
    }
}
