//! Endpoints of Amazon Bedrock and of Vertex AI, for clients in these modes, such as Claude Code with `CLAUDE_CODE_USE_BEDROCK` or
//! `CLAUDE_CODE_USE_VERTEX`: a request becomes one of the Messages API, which any provider serves, and its reply gets the cloud's
//! form.

mod framed_body;
mod profiles;

use actix_http::body::BoxBody;
use actix_web::body;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use vandamme_actors::settings::Api;
use vandamme_protocol::cloud::error::{self, AwsException};
use vandamme_protocol::cloud::{CloudForm, request};
use vandamme_protocol::request::Streaming;
use vandamme_protocol::vocabulary::ErrorKind;

use self::framed_body::FramedBody;
use super::cloud_request::{CloudAction, CloudPath};
use super::{count_tokens, endpoint, printable, render_error, wrong_method};
use crate::gateway::Gateway;
use crate::request_id::RequestId;

const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const STREAM_CONTENT: HeaderName = HeaderName::from_static("x-amzn-bedrock-content-type");
const OVERLOADED: u16 = 529;
const OWN_REQUEST_ID: &str = "x-vdm-request-id";

/// Answers a request to an endpoint of a cloud.
pub(super) async fn serve(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    match CloudPath::parse(request.uri().path()) {
        Some(path) => serve_path(path, request, payload, gateway).await,
        None if request.path().contains("/publishers/") => not_found(
            "this path of Vertex AI ends with neither :rawPredict nor :streamRawPredict, which vdm serves",
        ),
        None => refused_now(not_found("the model's id in this path is not UTF-8")),
    }
}

fn not_found(message: &str) -> HttpResponse {
    let mut response =
        render_error::error(Api::Messages, ErrorKind::NotFound, message, RequestId::new().as_str());
    render_error::final_refusal(&mut response);
    response
}

/// Answers a request to this endpoint of a cloud.
pub(super) async fn serve_path(
    path: CloudPath,
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let is_get = request.method() == actix_web::http::Method::GET;
    match path {
        CloudPath::Profiles if is_get => profiles::list(&request, &gateway),
        CloudPath::Profile(id) if is_get => profiles::one(&request, &gateway, &id),
        CloudPath::Profiles | CloudPath::Profile(_) => refused_now(wrong_method(request, "GET").await),
        CloudPath::Unserved(action) => {
            let action = printable(&action);
            let message = format!(
                "vdm serves invoke, invoke-with-response-stream and count-tokens of Bedrock's models, not {action}; use InvokeModel with a body of Anthropic's Messages API"
            );
            refused_now(not_found(&message))
        }
        CloudPath::Call(call) if request.method() != actix_web::http::Method::POST => {
            let response = wrong_method(request, "POST").await;
            match call.form {
                CloudForm::Bedrock => refused_now(response),
                CloudForm::Vertex => response,
            }
        }
        CloudPath::Call(call) => {
            let (form, action) = (call.form, call.action);
            let response = match action {
                CloudAction::Count => count_tokens::count_of_cloud(&call, request, payload, gateway).await,
                CloudAction::Reply(_) => endpoint::serve_cloud(&call, request, payload, gateway).await,
            };
            match form {
                CloudForm::Bedrock => for_bedrock(response, action).await,
                CloudForm::Vertex => response,
            }
        }
    }
}

/// The response in Bedrock's form.
async fn for_bedrock(mut response: HttpResponse, action: CloudAction) -> HttpResponse {
    if let Some(id) = response.headers().get(OWN_REQUEST_ID).cloned() {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    if !response.status().is_success() {
        return refused(response).await;
    }
    match action {
        CloudAction::Count => counted(response).await,
        CloudAction::Reply(Streaming::No) => response,
        CloudAction::Reply(Streaming::Yes) => {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
            headers.insert(STREAM_CONTENT, HeaderValue::from_static("application/json"));
            response.map_body(|_, body| BoxBody::new(FramedBody::new(body)))
        }
    }
}

/// The same for a response whose body is at hand.
fn refused_now(response: HttpResponse) -> HttpResponse {
    let (response, body) = response.into_parts();
    let body = body::MessageBody::try_into_bytes(body).unwrap_or_default();
    as_exception(response.set_body(()), &body)
}

async fn refused(response: HttpResponse) -> HttpResponse {
    let (response, body) = response.into_parts();
    let body = body::to_bytes(body).await.unwrap_or_default();
    as_exception(response, &body)
}

fn as_exception(mut response: HttpResponse<()>, error: &[u8]) -> HttpResponse {
    let exception = error::exception(error);
    if let Ok(value) = HeaderValue::from_str(&exception.error_type()) {
        response.headers_mut().insert(ERROR_TYPE, value);
    }
    // Anthropic's own status for it is unknown to AWS's SDKs, which would not try again.
    if response.status().as_u16() == OVERLOADED {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let AwsException { body, .. } = exception;
    response.set_body(BoxBody::new(body))
}

async fn counted(response: HttpResponse) -> HttpResponse {
    let (response, body) = response.into_parts();
    let body = body::to_bytes(body).await.unwrap_or_default();
    let body = request::bedrock_count_of(&body).map_or(body, Bytes::from);
    response.set_body(BoxBody::new(body))
}
