//! The simplest proxy that actix-web and awc allow: the lower limit for the gateway's cost.

use actix_web::http::header;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use awc::{Client, Connector};

use crate::Trouble;
use crate::listener::listen;

const BODY: usize = 32 << 20;
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
            .default_service(web::to(forward))
    });
    let server = server.workers(WORKERS).tcp_nodelay(true).listen(listener)?.run();
    Ok(actix_web::rt::System::new().block_on(server)?)
}

async fn forward(
    request: HttpRequest,
    body: web::Bytes,
    upstream: web::Data<String>,
    client: web::Data<Client>,
) -> HttpResponse {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut outgoing =
        client.request(request.method().clone(), format!("{}{target}", upstream.as_str())).no_decompress();
    for (name, value) in request.headers() {
        if name != header::CONTENT_LENGTH && name != header::HOST {
            outgoing = outgoing.insert_header((name.clone(), value.clone()));
        }
    }
    match outgoing.send_body(body).await {
        Ok(reply) => {
            let mut response = HttpResponse::build(reply.status());
            if let Some(kind) = reply.headers().get(header::CONTENT_TYPE) {
                response.insert_header((header::CONTENT_TYPE, kind.clone()));
            }
            response.streaming(reply)
        }
        Err(error) => HttpResponse::BadGateway().body(error.to_string()),
    }
}
