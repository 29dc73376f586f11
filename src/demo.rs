//! The demo provider: a real Chat Completions upstream on loopback, so that the gateway can be tried without
//! a key. The gateway calls it like any OpenAI-format provider.
//!
//! It is not a model: it quotes the question, explains how to add a provider, and calls a tool if the user names one.

mod answer;
mod arguments;
mod completion;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use vandamme_actors::secret::ApiKey;
use vandamme_actors::settings::{Api, MessagesForm, ProviderSettings, ResponsesSupport, Settings};
use vandamme_protocol::convert::upstream::chat::Dialect;
use vandamme_protocol::middleware::Chain;
use vandamme_protocol::models::text_only::TextOnlyModels;

use self::answer::DemoAnswer;
use self::completion::Completion;

/// The only model.
const MODEL: &str = "demo-1";
/// The longest request: the gateway's own limit, and room for what a translation adds.
const LARGEST_BODY: usize = 64 << 20;

/// The running demo upstream. Dropping it stops the server and aborts its replies.
#[derive(Debug)]
pub struct Demo {
    /// `http://127.0.0.1:PORT/v1`, with a free port.
    pub base_url: String,
    handle: ServerHandle,
}

impl Drop for Demo {
    fn drop(&mut self) {
        // The call itself sends the command; the future only waits for the end.
        drop(self.handle.stop(false));
    }
}

/// Starts the demo upstream on a thread of its own. It is ready when this returns.
///
/// # Errors
/// If no port on 127.0.0.1 is free, or the system cannot start a thread.
pub fn start() -> io::Result<Demo> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let base_url = format!("http://{}/v1", listener.local_addr()?);
    let (started, handle) = mpsc::channel();
    thread::Builder::new().name("vdm-demo".to_owned()).spawn(move || run(listener, &started))?;
    let handle =
        handle.recv().map_err(|_| io::Error::other("the demo provider's thread ended at once"))??;
    Ok(Demo { base_url, handle })
}

/// Adds the demo provider after all others. It becomes the default provider if there is no other.
pub fn embed(settings: &mut Settings, base_url: &str) {
    let provider = Arc::new(provider(base_url));
    settings.default_provider.get_or_insert_with(|| provider.name.clone());
    settings.providers.push(provider);
}

/// The settings of provider `demo`, which calls the demo upstream at `base_url`.
pub fn provider(base_url: &str) -> ProviderSettings {
    let aliases = ["haiku", "sonnet", "opus", "fable"].map(|word| (word.to_owned(), MODEL.to_owned()));
    ProviderSettings {
        name: Arc::from("demo"),
        api: Api::ChatCompletions,
        responses: ResponsesSupport::Excluded,
        base_url: base_url.to_owned(),
        azure: None,
        messages_form: MessagesForm::Native,
        identity: None,
        // The upstream requires no key, but every provider needs one.
        keys: vec![ApiKey::new("vdm-demo")],
        custom_headers: Vec::new(),
        fixups: Vec::new(),
        fallbacks: Default::default(),
        aliases: BTreeMap::from(aliases),
        serves_claude: false,
        judge: None,
        timeout: None,
        max_retries: 2,
        demo: true,
        passthrough: false,
        dialect: Dialect { system_anywhere: true, ..Dialect::default() },
        middleware: Chain::default(),
        models_url: None,
        model_page: None,
        cache_diagnostics: false,
        describe_images_with: None,
        text_only_models: TextOnlyModels::default(),
        tls: None,
    }
}

fn run(listener: TcpListener, started: &mpsc::Sender<io::Result<ServerHandle>>) {
    actix_rt::System::new().block_on(async move {
        let server = match server(listener) {
            Ok(server) => server,
            Err(error) => return drop(started.send(Err(error))),
        };
        drop(started.send(Ok(server.handle())));
        if let Err(error) = server.await {
            log::error!("the demo provider stopped: {error}");
        }
    });
}

fn server(listener: TcpListener) -> io::Result<Server> {
    let server = HttpServer::new(|| App::new().configure(routes))
        .workers(1)
        .disable_signals()
        .tcp_nodelay(true)
        .h1_allow_half_closed(false)
        .listen(listener)?
        .run();
    Ok(server)
}

fn routes(app: &mut web::ServiceConfig) {
    app.app_data(web::PayloadConfig::new(LARGEST_BODY))
        .service(web::resource("/v1/chat/completions").post(complete).default_service(web::to(not_allowed)))
        .service(web::resource("/v1/models").get(models).default_service(web::to(not_allowed)))
        .default_service(web::to(not_found));
}

async fn complete(body: web::Bytes) -> HttpResponse {
    let request: Value = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            return refusal(StatusCode::BAD_REQUEST, &format!("the body is not JSON: {error}"), None);
        }
    };
    if request["model"].as_str().is_none_or(str::is_empty) {
        return refusal(StatusCode::BAD_REQUEST, "you must provide a model", Some("model"));
    }
    if request["messages"].as_array().is_none_or(Vec::is_empty) {
        return refusal(
            StatusCode::BAD_REQUEST,
            "messages must be a list that is not empty",
            Some("messages"),
        );
    }
    let completion = Completion::new(DemoAnswer::to(&request), &request);
    if request["stream"] == true {
        return HttpResponse::Ok()
            .insert_header(("content-type", "text/event-stream"))
            .insert_header(("cache-control", "no-cache"))
            .streaming(completion.stream());
    }
    HttpResponse::Ok().json(completion.whole())
}

async fn models() -> HttpResponse {
    let model = json!({"id": MODEL, "object": "model", "created": 0, "owned_by": "vandamme-proxy"});
    HttpResponse::Ok().json(json!({"object": "list", "data": [model]}))
}

async fn not_found(request: HttpRequest) -> HttpResponse {
    let message = format!("the demo provider has no {} {}", request.method(), request.path());
    refusal(StatusCode::NOT_FOUND, &message, None)
}

async fn not_allowed(request: HttpRequest) -> HttpResponse {
    let message = format!("{} is not allowed on {}", request.method(), request.path());
    refusal(StatusCode::METHOD_NOT_ALLOWED, &message, None)
}

/// An error in OpenAI's shape.
fn refusal(status: StatusCode, message: &str, param: Option<&str>) -> HttpResponse {
    HttpResponse::build(status).json(json!({"error": {
        "message": message, "type": "invalid_request_error", "param": param, "code": null,
    }}))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    /// Returns the whole reply, head and body, over a new connection.
    fn ask(demo: &Demo, line: &str, body: &str) -> String {
        let address = demo.base_url.trim_start_matches("http://").trim_end_matches("/v1");
        let mut socket = TcpStream::connect(address).unwrap();
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(body.as_bytes()).unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).unwrap();
        reply
    }

    /// The payload of every `data:` line in a reply.
    fn chunks(reply: &str) -> Vec<&str> {
        reply.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
    }

    #[test]
    fn a_streamed_answer_has_role_text_finish_reason_usage_and_done_in_this_order() {
        let demo = start().unwrap();
        let request = json!({"model": "demo-1", "stream": true, "stream_options": {"include_usage": true},
                             "messages": [{"role": "user", "content": "Why is the sky blue?"}]});

        let reply = ask(&demo, "POST /v1/chat/completions", &request.to_string());

        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        let mut chunks = chunks(&reply);
        assert_eq!(chunks.pop(), Some("[DONE]"));
        let chunks: Vec<Value> = chunks.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
        let (usage, chunks) = chunks.split_last().unwrap();
        let (finish, words) = chunks.split_last().unwrap();
        assert_eq!(words[0]["choices"][0]["delta"]["role"], "assistant");
        let text: String =
            words.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        assert!(text.contains("Why is the sky blue?") && text.contains("OPENAI_API_KEY"), "{text}");
        assert!(words.len() > 10, "it comes word by word");
        assert_eq!(finish["choices"][0]["finish_reason"], "stop");
        assert_eq!(usage["choices"], json!([]));
        assert!(usage["usage"]["completion_tokens"].as_u64().unwrap() >= 10);
    }

    #[test]
    fn errors_have_openais_shape() {
        let demo = start().unwrap();
        let cases = [
            ("POST /v1/chat/completions", "{", "400"),
            ("POST /v1/chat/completions", r#"{"model":"m","messages":[]}"#, "400"),
            ("POST /v1/chat/completions", r#"{"messages":[{"role":"user","content":"x"}]}"#, "400"),
            ("GET /v1/chat/completions", "", "405"),
            ("POST /v1/responses", "{}", "404"),
        ];

        for (line, body, status) in cases {
            let reply = ask(&demo, line, body);

            assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{line} {body}: {reply}");
            let body: Value = serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap();
            assert_eq!(body["error"]["type"], "invalid_request_error", "{line}");
            assert!(!body["error"]["message"].as_str().unwrap().is_empty(), "{line}");
        }
    }

    #[test]
    fn the_port_is_closed_when_the_demo_is_dropped() {
        let demo = start().unwrap();
        let address = demo.base_url.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
        assert!(ask(&demo, "GET /v1/models", "").contains("\"demo-1\""));

        drop(demo);

        let closed = (0..500).any(|_| {
            thread::sleep(std::time::Duration::from_millis(10));
            TcpStream::connect(&address).is_err()
        });
        assert!(closed, "{address} still answers");
    }
}
