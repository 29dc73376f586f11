//! The simplest proxy that actix-web and awc allow: the lower limit for the gateway's cost. It forwards, or translates with
//! serde_json's values if the model is one of the provider `openai`.

mod translation;

use std::future::ready;

use actix_web::error::ErrorBadGateway;
use actix_web::http::header;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use awc::{Client, ClientRequest, Connector};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use memchr::memmem;

use crate::Trouble;
use crate::listener::listen;

const BODY: usize = 32 << 20;
/// The chunks of a reply that are translated at once.
const CHUNKS: usize = 64;
const WORKERS: usize = 2;

pub(crate) fn serve(port: u16, upstream: &str) -> Result<(), Trouble> {
    let upstream = web::Data::new(format!("http://{upstream}"));
    let listener = listen(port)?;
    let server = HttpServer::new(move || {
        // Removes awc's limit of 100 connections, at which requests wait.
        let connector = Connector::new().limit(0);
        let client = Client::builder().connector(connector).no_default_headers().disable_timeout().finish();
        App::new()
            .app_data(upstream.clone())
            .app_data(web::Data::new(client))
            .app_data(web::PayloadConfig::new(BODY))
            .default_service(web::to(serve_request))
    });
    let server = server.workers(WORKERS).tcp_nodelay(true).listen(listener)?.run();
    Ok(actix_web::rt::System::new().block_on(server)?)
}

async fn serve_request(
    request: HttpRequest,
    body: web::Bytes,
    upstream: web::Data<String>,
    client: web::Data<Client>,
) -> HttpResponse {
    // Like the gateway it need not parse a body to know its model.
    let model = &body[..body.len().min(40)];
    let outcome = if memmem::find(model, translation::PROVIDER.as_bytes()).is_some() {
        translate(&request, &body, (&upstream, &client)).await
    } else {
        forward(&request, body, (&upstream, &client)).await
    };
    outcome.unwrap_or_else(|trouble| HttpResponse::BadGateway().body(trouble.to_string()))
}

async fn forward(
    request: &HttpRequest,
    body: web::Bytes,
    (upstream, client): (&str, &Client),
) -> Result<HttpResponse, Trouble> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let outgoing = client.request(request.method().clone(), format!("{upstream}{target}"));
    let outgoing = with_headers(outgoing.no_decompress(), request);
    let reply = outgoing.send_body(body).await.map_err(|error| error.to_string())?;
    let mut response = HttpResponse::build(reply.status());
    if let Some(kind) = reply.headers().get(header::CONTENT_TYPE) {
        response.insert_header((header::CONTENT_TYPE, kind.clone()));
    }
    Ok(response.streaming(reply))
}

async fn translate(
    request: &HttpRequest,
    body: &[u8],
    (upstream, client): (&str, &Client),
) -> Result<HttpResponse, Trouble> {
    let body = translation::request(serde_json::from_slice(body)?);
    let outgoing = client.post(format!("{upstream}/v1/chat/completions")).no_decompress();
    let outgoing = with_headers(outgoing, request);
    let reply = outgoing.send_body(serde_json::to_vec(&body)?).await;
    let mut reply = reply.map_err(|error| error.to_string())?;
    if body["stream"] == true {
        let mut stream = translation::Stream::default();
        let events = reply
            .ready_chunks(CHUNKS)
            .map(move |chunks| {
                let mut joined = BytesMut::new();
                for chunk in chunks {
                    joined.extend_from_slice(&chunk?);
                }
                stream.take(&joined.freeze()).map_err(ErrorBadGateway)
            })
            .filter(|events| ready(!matches!(events, Ok(events) if events.is_empty())));
        return Ok(HttpResponse::Ok().content_type("text/event-stream").streaming(events));
    }
    let completion = reply.body().limit(BODY).await?;
    let message = translation::reply(serde_json::from_slice(&completion)?);
    Ok(HttpResponse::Ok().content_type("application/json").body(serde_json::to_vec(&message)?))
}

fn with_headers(mut outgoing: ClientRequest, request: &HttpRequest) -> ClientRequest {
    for (name, value) in request.headers() {
        if name != header::CONTENT_LENGTH && name != header::HOST {
            outgoing = outgoing.insert_header((name.clone(), value.clone()));
        }
    }
    outgoing
}
