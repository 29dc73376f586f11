//! Images for models that cannot see: another model's description takes their place.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::await_that;
use crate::support::canned::{anthropic, openai};
use crate::support::chat;
use crate::support::gateway::{Gateway, Setup};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Dialect, Seen, Upstream};

const DESCRIPTION: &str = "A red \"square\".\nIt says: STOP";
const DATA: &str = "iVBORw0KGgo=";

/// A provider `text` whose models cannot see, and a provider `eyes` that describes.
fn setup(text: &Upstream, eyes: &Upstream) -> Setup {
    Setup::default()
        .provider("text", text)
        .provider("eyes", eyes)
        .env("MAX_RETRIES", "0")
        .toml("[text]\ntext-only-models = [\"blind*\"]\n[defaults]\ndescribe-images-with = \"eyes:vision-1\"")
}

fn describing() -> Upstream {
    Upstream::anthropic().always(Answer::json(200, anthropic::whole(DESCRIPTION)))
}

fn image(data: &str) -> Value {
    json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}})
}

fn messages(content: Value) -> Value {
    json!({"model": "text:blind-1", "max_tokens": 100, "stream": false,
           "messages": [{"role": "user", "content": content}]})
}

fn with_image(data: &str) -> Value {
    messages(json!([{"type": "text", "text": "What is it?"}, image(data)]))
}

/// A request of either API with an image, and the question about it.
fn request(api: Dialect) -> (&'static str, Value) {
    match api {
        Dialect::Anthropic => {
            ("/v1/messages", messages(json!([{"type": "text", "text": "What is it?"}, image(DATA)])))
        }
        Dialect::OpenAi => {
            let url = format!("data:image/png;base64,{DATA}");
            let content = json!([{"type": "text", "text": "What is it?"},
                                 {"type": "image_url", "image_url": {"url": url}}]);
            let body = json!({"model": "text:blind-1", "stream": false,
                              "messages": [{"role": "user", "content": content}]});
            ("/v1/chat/completions", body)
        }
    }
}

fn answer(api: Dialect, reply: &Reply) -> String {
    match api {
        Dialect::Anthropic => reply.text(),
        Dialect::OpenAi => chat::text(reply),
    }
}

/// What a model gets in the place of the image.
fn shown(seen: &Seen) -> String {
    let content = seen.json()["messages"][0]["content"].clone();
    let texts =
        content.as_array().map(|parts| parts.iter().filter_map(|part| part["text"].as_str()).collect());
    let texts: Vec<&str> = texts.unwrap_or_default();
    texts.last().map_or_else(String::new, |text| (*text).to_owned())
}

/// The last finished request of this model, as `/metrics/logs` has it.
fn trace(gateway: &Gateway, model: &str) -> Value {
    let mut found = Value::Null;
    await_that("the request is recorded", || {
        let logs = gateway.get("/metrics/logs").json();
        let traces = logs["traces"].as_array().cloned().unwrap_or_default();
        found = traces.into_iter().find(|trace| trace["model"] == model).unwrap_or_default();
        !found.is_null()
    });
    found
}

/// Requirement: a model that cannot see gets a description, whatever the client's API, the upstream's API and the form of
/// the reply. The whole session costs each image once, and the text is always the same.
#[test]
fn a_description_takes_the_place_of_an_image() {
    for text in [Upstream::anthropic(), Upstream::openai()] {
        let eyes = describing();
        let gateway = setup(&text, &eyes).start();
        let mut texts = Vec::new();
        for (api, stream) in [
            (Dialect::Anthropic, true),
            (Dialect::Anthropic, false),
            (Dialect::OpenAi, true),
            (Dialect::OpenAi, false),
        ] {
            let (path, mut body) = request(api);
            body["stream"] = json!(stream);
            let reply = gateway.call("POST", path).json(&body).reply();
            assert_eq!(answer(api, &reply), "Hello there!");
            let dropped = reply.header("x-vdm-dropped").unwrap_or_default();
            assert!(dropped.contains("messages.0.content.1 (image described)"), "{dropped}");
            let seen = text.request(texts.len());
            assert!(!seen.text().contains(DATA), "{}", seen.text());
            texts.push(shown(&seen));
        }
        assert!(texts[0].contains(DESCRIPTION) && texts[0].starts_with("<image-description>"), "{texts:?}");
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        let asked = eyes.only_request().json();
        assert_eq!((&asked["model"], asked["stream"] == true), (&json!("vision-1"), false));
        assert_eq!(asked["messages"][0]["content"][0], image(DATA), "{asked}");
        assert!(asked["system"].as_str().is_some_and(|system| system.contains("legible text")), "{asked}");
        assert_eq!(trace(&gateway, "blind-1")["images_described"], 1);
        assert!(trace(&gateway, "vision-1")["images_described"].is_null());
        let mut rows = Vec::new();
        await_that("the history has all five requests", || {
            rows = gateway.get("/api/ui/requests").json()["requests"].as_array().cloned().unwrap_or_default();
            rows.len() == 5
        });
        let first = |model: &str| rows.iter().rfind(|row| row["model"] == model).expect("a request");
        let (parent, call) = (&first("blind-1")["request_id"], first("vision-1"));
        assert_eq!((&call["purpose"], &call["parent"]), (&json!("image-description"), parent), "{rows:?}");
        assert!(!gateway.log().contains("STOP"), "nothing of an image is logged");
    }
}

/// Requirement: images in tool results and documents are described, too, and an Anthropic-format upstream gets every other
/// byte unchanged.
#[test]
fn only_the_blocks_of_images_change() {
    let (text, eyes) = (Upstream::anthropic(), describing());
    let gateway = setup(&text, &eyes).start();
    let block = |data: &str| {
        format!(
            r#"{{ "type":"image", "cache_control": {{"type":"ephemeral"}},"source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}"#
        )
    };
    let body = |model: &str, one: &str, two: &str| {
        format!(
            r#"{{ "model" : "{model}","max_tokens":1e2, "messages":[{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","content":[ {one} ]}},
            {{"type":"document","source":{{"type":"content","content":[{two},{{"type":"text","text":"\u0041"}}]}}}}]}}],"x":[1.0] }}"#
        )
    };
    let sent = body("text:blind-1", &block("AAAA"), &block("BBBB"));
    let reply = gateway.call("POST", "/v1/messages").body(sent).reply();
    assert_eq!(reply.text(), "Hello there!");
    let seen = text.only_request();
    let shown = seen.json()["messages"][0]["content"][0]["content"][0]["text"].clone();
    let described = format!(r#"{{"type":"text","text":{shown},"cache_control": {{"type":"ephemeral"}}}}"#);
    assert!(shown.to_string().contains("STOP"), "{shown}");
    assert_eq!(seen.text(), body("blind-1", &described, &described));
    assert_eq!(eyes.count(), 2);
}

/// Requirement: a URL goes to the describing model as it is; the gateway fetches nothing.
#[test]
fn a_url_is_passed_on() {
    let (text, eyes, web) = (Upstream::openai(), describing(), Upstream::anthropic());
    let gateway = setup(&text, &eyes).start();
    let url = format!("http://{}/a.png", web.address());
    let image = json!({"type": "image", "source": {"type": "url", "url": url}});
    let reply = gateway.messages(&messages(json!([image]))).reply();
    assert_eq!(reply.text(), "Hello there!");
    assert_eq!(eyes.only_request().json()["messages"][0]["content"][0], image);
    assert_eq!(web.connections(), 0);
}

/// Requirement: models that see get their images unchanged, and so does everything without a describing model.
#[test]
fn other_models_get_the_images_themselves() {
    let (text, eyes) = (Upstream::anthropic(), describing());
    let mut body = with_image(DATA);
    body["model"] = json!("text:seeing-1");
    let gateway = setup(&text, &eyes).start();
    let sent = body.to_string();
    let reply = gateway.call("POST", "/v1/messages").body(sent.clone()).reply();
    assert_eq!((reply.text().as_str(), reply.header("x-vdm-dropped")), ("Hello there!", None));
    assert_eq!(text.request(0).text(), sent.replace("text:seeing-1", "seeing-1"));

    let gateway = Setup::default().provider("text", &text).toml("[text]\ntext-only-models = [\"*\"]").start();
    assert_eq!(gateway.call("POST", "/v1/messages").body(sent.clone()).reply().text(), "Hello there!");
    assert_eq!(text.request(1).text(), sent.replace("text:seeing-1", "seeing-1"));
    assert_eq!(eyes.count(), 0);
}

/// Requirement: requests with the same image at the same time share one call.
#[test]
fn parallel_requests_share_one_description() {
    let text = Upstream::openai();
    let eyes =
        Upstream::anthropic().always(Answer::json(200, anthropic::whole(DESCRIPTION)).head_on_permit());
    let gateway = setup(&text, &eyes).start();
    let exchanges: Vec<_> = (0..3).map(|_| gateway.messages(&with_image(DATA)).send()).collect();
    eyes.request(0);
    thread::sleep(Duration::from_millis(300));
    (0..3).for_each(|_| eyes.permit());
    for exchange in exchanges {
        assert_eq!(exchange.finish().text(), "Hello there!");
    }
    assert_eq!((eyes.count(), text.count()), (1, 3));
}

/// Requirement: if an image cannot be described, the turn goes on: the model reads why, the log and the record say so, and
/// the next turn tries again.
#[test]
fn a_failure_is_told_to_the_model_and_not_kept() {
    let text = Upstream::openai();
    let eyes = Upstream::anthropic()
        .answering(Answer::json(400, anthropic::error("invalid_request_error", "secret-words")))
        .answering(Answer::json(200, anthropic::whole(" ")))
        .answering(Answer::json(200, anthropic::whole(DESCRIPTION)));
    let gateway = setup(&text, &eyes).start();
    for (turn, told) in
        ["eyes:vision-1 failed with status 400", "eyes:vision-1 replied without text"].iter().enumerate()
    {
        assert_eq!(gateway.messages(&with_image(DATA)).reply().text(), "Hello there!");
        let shown = shown(&text.request(turn));
        assert!(shown.contains(told) && !shown.contains("secret-words"), "{shown}");
        gateway.run.await_log(&format!("1 of 1 images are not described: {told}"));
        assert_eq!(trace(&gateway, "blind-1")["images_not_described"], 1);
    }
    assert_eq!(gateway.messages(&with_image(DATA)).reply().text(), "Hello there!");
    assert!(shown(&text.request(2)).contains(DESCRIPTION));
    let file = json!({"type": "image", "source": {"type": "file", "file_id": "file_1"}});
    assert_eq!(gateway.messages(&messages(json!([file]))).reply().text(), "Hello there!");
    assert!(text.request(3).text().contains("no other provider can read its source"));
    assert_eq!(eyes.count(), 3);
}

/// Requirement: a client that disconnects closes the call that describes its image, and nothing else is called.
#[test]
fn a_client_that_is_gone_closes_the_describing_call() {
    let (text, eyes) = (Upstream::openai(), Upstream::anthropic().always(Answer::silence()));
    let gateway = setup(&text, &eyes).start();
    let exchange = gateway.messages(&with_image(DATA)).send();
    eyes.request(0);
    exchange.hang_up();
    eyes.closed(0);
    assert_eq!(text.count(), 0);
    await_that("no request is in flight", || {
        gateway.get("/metrics/active-requests").json()["active_requests"] == json!([])
    });
}

/// Requirement: one request describes at most four images at once, each image once, and the last ones first.
#[test]
fn a_request_has_at_most_four_calls_at_once() {
    let text = Upstream::openai();
    let eyes =
        Upstream::anthropic().always(Answer::json(200, anthropic::whole(DESCRIPTION)).head_on_permit());
    let gateway = setup(&text, &eyes).start();
    let data = ["AAAA", "BBBB", "CCCC", "DDDD", "EEEE", "FFFF", "AAAA"];
    let exchange = gateway.messages(&messages(data.map(image).into())).send();
    eyes.request(3);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(eyes.count(), 4);
    let asked = eyes.requests().iter().map(Seen::text).collect::<String>();
    assert!(asked.contains("AAAA") && asked.contains("FFFF") && !asked.contains("BBBB"), "{asked}");
    (0..6).for_each(|_| eyes.permit());
    assert_eq!(exchange.finish().text(), "Hello there!");
    assert_eq!(eyes.count(), 6);
    assert_eq!(trace(&gateway, "blind-1")["images_described"], 7);
}

/// Requirement: the describing model may be the same provider's, even with one permit and one place among the requests in flight.
#[test]
fn one_permit_serves_the_description_and_the_request() {
    let upstream = Upstream::openai().ruled_by(|seen| {
        (seen.json()["model"] == "vision-1").then(|| Answer::json(200, openai::whole(DESCRIPTION)))
    });
    let gateway = setup(&upstream, &Upstream::anthropic())
        .toml("[text.aliases]\neyes = \"vision-1\"")
        .limit("provider-in-flight", 1)
        .limit("in-flight", 1)
        .env("VDM_DESCRIBE_IMAGES_WITH", "text:eyes")
        .start();
    let mut body = messages(json!([image("AAAA"), image("BBBB")]));
    body["stream"] = json!(true);
    assert_eq!(gateway.messages(&body).reply().text(), "Hello there!");
    assert_eq!(upstream.count(), 3);
    assert!(upstream.request(2).text().matches("STOP").count() == 2);
}

/// Requirement: a streaming client gets pings while it waits for descriptions, and then its reply.
#[test]
fn a_streaming_client_gets_pings_while_images_are_described() {
    let text = Upstream::openai();
    let eyes =
        Upstream::anthropic().always(Answer::json(200, anthropic::whole(DESCRIPTION)).head_on_permit());
    let gateway = setup(&text, &eyes).limit("head-patience", 0.1).limit("ping-interval", 0.1).start();
    let mut body = with_image(DATA);
    body["stream"] = json!(true);
    let mut exchange = gateway.messages(&body).open();
    assert_eq!(exchange.event().expect("a ping").name, "ping");
    eyes.permit();
    exchange.event_named("message_stop");
    assert!(shown(&text.request(0)).contains(DESCRIPTION));
}

/// Requirement: counting tokens describes nothing and shows no image to a counter whose model cannot see.
#[test]
fn counting_tokens_describes_nothing() {
    let text = Upstream::anthropic().ruled_by(|seen| {
        seen.target().contains("count_tokens").then(|| Answer::json(200, "{\"input_tokens\": 5}"))
    });
    let eyes = describing();
    let gateway = setup(&text, &eyes).start();
    let count = || gateway.call("POST", "/v1/messages/count_tokens").json(&with_image(DATA)).reply();
    assert_eq!(count().json()["input_tokens"], 5);
    let seen = text.request(0);
    assert!(!seen.text().contains(DATA) && shown(&seen).len() > 500, "{}", seen.text());
    assert_eq!(eyes.count(), 0);
    assert_eq!(gateway.messages(&with_image(DATA)).reply().text(), "Hello there!");
    assert_eq!(count().json()["input_tokens"], 5);
    assert!(shown(&text.request(2)).contains(DESCRIPTION));

    let text = Upstream::openai();
    let gateway = setup(&text, &eyes).start();
    let counted = gateway.call("POST", "/v1/messages/count_tokens").json(&with_image(DATA)).reply();
    let tokens = counted.json()["input_tokens"].as_u64().expect("an estimate");
    assert!((200..2000).contains(&tokens), "{counted}");
    assert_eq!((eyes.count(), text.count()), (1, 0));
}

/// Requirement: only the target that cannot see gets a description: a fallback that sees gets the image.
#[test]
fn a_fallback_that_sees_gets_the_image() {
    let text = Upstream::openai().always(Answer::json(500, openai::error("down", "server_error", "x")));
    let (eyes, other) = (describing(), Upstream::anthropic());
    let gateway = setup(&text, &eyes)
        .provider("other", &other)
        .toml("[text.fallbacks]\n\"*\" = [\"other:seeing-1\"]")
        .start();
    assert_eq!(gateway.messages(&with_image(DATA)).reply().text(), "Hello there!");
    assert!(text.request(0).text().contains("STOP"));
    assert_eq!(other.only_request().json()["messages"], with_image(DATA)["messages"]);
}
