//! The service that the HTTP server calls for each request. It runs the application and updates the state of the connection.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::error::PayloadError;
use actix_http::{ConnectionType, Payload, Request, Response, Version};
use actix_service::Service;
use actix_web::Error;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use bytes::Bytes;
use futures_util::Stream;
use vandamme_protocol::vocabulary::ErrorKind;

use super::limiter::Class;
use super::worker;
use super::{ClientConnection, Held, Interim};
use crate::api::{client_api, render_error};
use crate::failure::busy_wait;
use crate::request_id::RequestId;

/// Answers a request of a connection with `app`.
pub(crate) fn serve<S>(
    mut request: Request,
    app: &S,
) -> impl Future<Output = Result<Response<ServedBody>, Error>> + use<S>
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let version = request.version();
    let connection = request.conn_data::<Rc<ClientConnection>>().cloned();
    let reserved = connection.as_ref().is_some_and(|connection| connection.slot.class == Class::Reserved);
    let upgrades = request.upgrade();
    let refusal = if reserved && !is_health(request.path()) { Some(refusal(&request)) } else { None };
    if let Some(connection) = &connection
        && connection.interim.get() == Interim::Expected
    {
        let payload = request.take_payload();
        let asking = AskingBody { payload, connection: Some(connection.clone()) };
        *request.payload() = Payload::Stream { payload: Box::pin(asking) };
    }
    let reply = if refusal.is_none() { Some(app.call(request)) } else { None };
    async move {
        let outcome = match (refusal, reply) {
            (Some(refusal), _) => Ok(refusal),
            (None, Some(reply)) => reply.await.map(Response::from),
            (None, None) => Ok(Response::internal_server_error()),
        };
        let outcome = outcome.map(|response| readable_in(version, response));
        let Some(connection) = connection else {
            return Ok(outcome?.map_body(|_, body| ServedBody::untracked(body)));
        };
        let unasked = connection.end_interim();
        let overrun = connection.held.get() == Held::Discarded;
        match outcome {
            Ok(mut response) => {
                // A client that waits for `100 Continue` may or may not send its body now, and discarded bytes cannot be framed:
                // either way the start of the next request is unknown.
                // After a request that asks for a WebSocket, all bytes are frames.
                let is_refused_upgrade = upgrades && response.status() != StatusCode::SWITCHING_PROTOCOLS;
                if unasked || overrun || reserved || is_refused_upgrade || worker::is_retired() {
                    response.head_mut().set_connection_type(ConnectionType::Close);
                }
                Ok(response.map_body(|_, body| ServedBody { body, connection: Some(connection) }))
            }
            Err(error) => {
                connection.answered();
                Err(error)
            }
        }
    }
}

/// HTTP/1.0 has no chunks (RFC 9112, section 7), so a body of unknown length ends with the connection.
fn readable_in(version: Version, mut response: Response<BoxBody>) -> Response<BoxBody> {
    if version < Version::HTTP_11 && response.body().size() == BodySize::Stream {
        let head = response.head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    response
}

fn is_health(path: &str) -> bool {
    matches!(path.trim_end_matches('/'), "/health" | "/health/live" | "/health/ready")
}

fn refusal(request: &Request) -> Response<BoxBody> {
    let message = "the gateway has reached its limit of client connections (limits.connections)";
    let api = client_api::infer(request.path(), &request.head().headers);
    let id = RequestId::new();
    let mut response = render_error::shaped(api, (503, ErrorKind::Api), message, id.as_str());
    render_error::retry_after(&mut response, busy_wait());
    response.into()
}

/// A reply's body. Dropping it marks the request of its connection as answered.
pub(crate) struct ServedBody {
    body: BoxBody,
    connection: Option<Rc<ClientConnection>>,
}

impl ServedBody {
    fn untracked(body: BoxBody) -> Self {
        Self { body, connection: None }
    }
}

impl MessageBody for ServedBody {
    type Error = Box<dyn StdError>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Box<dyn StdError>>>> {
        let this = self.get_mut();
        // The server polls for more even if nothing can be written. The stream wakes its task once everything has been written.
        if let Some(connection) = &this.connection
            && connection.flow.get().blocked
        {
            connection.paused.set(true);
            return Poll::Pending;
        }
        Pin::new(&mut this.body).poll_next(task)
    }
}

impl Drop for ServedBody {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.answered();
        }
    }
}

/// The body of a request whose client waits for `100 Continue`, which is sent when the body is first read.
struct AskingBody {
    payload: Payload,
    connection: Option<Rc<ClientConnection>>,
}

impl Stream for AskingBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(connection) = this.connection.take() {
            connection.body_wanted();
        }
        Pin::new(&mut this.payload).poll_next(task)
    }
}
