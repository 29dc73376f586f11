//! Web search that the gateway runs with a search service, for upstreams without one.

mod failures;
mod recorded;
mod with_others;

use serde_json::{Value, json};

use crate::support::canned::openai;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

const KEY: &str = "brave-key-1234567890";

/// The answer of Brave with these pages.
fn brave(urls: &[&str]) -> Answer {
    let results: Vec<Value> = urls
        .iter()
        .map(|url| json!({"title": format!("About {url}"), "url": url, "description": format!("What {url} says."), "age": "May 2, 2026"}))
        .collect();
    Answer::json(200, json!({"type": "search", "web": {"results": results}}).to_string())
}

fn service(answer: Answer) -> Upstream {
    Upstream::openai().always(answer)
}

fn gateway(upstream: &Upstream, service: &Upstream) -> Gateway {
    start(upstream, service, "")
}

fn start(upstream: &Upstream, service: &Upstream, lines: &str) -> Gateway {
    Gateway::before(upstream)
        .env("MAX_RETRIES", "0")
        .env("BRAVE_API_KEY", KEY)
        .env("BRAVE_BASE_URL", format!("http://{}", service.address()))
        .toml(&format!("[web-search]\nby = ['provider', 'brave']\n{lines}"))
        .start()
}

/// Claude Code's WebSearch request.
fn request(stream: &Value) -> Value {
    json!({"model": MODEL, "max_tokens": 64, "stream": stream, "tool_choice": {"type": "auto"},
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}],
        "messages": [{"role": "user", "content": "Perform a web search for the query: rust"}]})
}

/// A streamed reply that calls the tool with these queries.
fn searching(queries: &[&str]) -> Vec<Vec<u8>> {
    let calls = queries.iter().enumerate().map(|(at, query)| {
        let arguments = json!({"query": query}).to_string();
        openai::tool(&json!({"index": at, "id": format!("call_{at}"), "type": "function", "function": {"name": "web_search", "arguments": arguments}}))
    });
    openai::stream(calls.collect(), "tool_calls")
}

fn saying(text: &str) -> Vec<Vec<u8>> {
    openai::stream(vec![openai::content(text)], "stop")
}

fn whole(message: &Value, reason: &str) -> Answer {
    let body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "prompt_tokens_details": {"cached_tokens": 40}}});
    Answer::json(200, body.to_string())
}

/// The blocks of a stream, as a client assembles them.
fn blocks(reply: &Reply) -> Vec<Value> {
    let mut blocks: Vec<Value> = vec![];
    for event in reply.events() {
        let at = event.data["index"].as_u64().unwrap_or_default() as usize;
        match event.name.as_str() {
            "content_block_start" => {
                assert_eq!(at, blocks.len(), "{reply}");
                blocks.push(event.data["content_block"].clone());
            }
            "content_block_delta" => grow(&mut blocks[at], &event.data["delta"]),
            _ => {}
        }
    }
    for block in &mut blocks {
        if let Some(input) =
            block["partial"].as_str().map(|input| serde_json::from_str(input).expect("the input is JSON"))
        {
            block["input"] = input;
        }
        if let Some(members) = block.as_object_mut() {
            members.remove("partial");
        }
    }
    blocks
}

fn grow(block: &mut Value, delta: &Value) {
    let mut append = |name: &str, piece: &Value| {
        let before = block[name].as_str().unwrap_or_default().to_owned();
        block[name] = format!("{before}{}", piece.as_str().expect("a piece of text")).into();
    };
    match delta["type"].as_str().expect("a type") {
        "text_delta" => append("text", &delta["text"]),
        "input_json_delta" => append("partial", &delta["partial_json"]),
        "citations_delta" => match block["citations"].as_array_mut() {
            Some(citations) => citations.push(delta["citation"].clone()),
            None => block["citations"] = json!([delta["citation"]]),
        },
        kind => panic!("{kind}"),
    }
}

fn kinds(blocks: &[Value]) -> Vec<&str> {
    blocks.iter().map(|block| block["type"].as_str().expect("a type")).collect()
}

/// Requirement: Claude Code's WebSearch over an OpenAI-format upstream shows real pages, streamed: the call, its result, text with
/// citations, the count, and the tokens of both rounds.
#[test]
fn a_streamed_search_shows_the_pages_of_the_service() {
    let upstream = Upstream::openai()
        .answering(Answer::events(searching(&["rust"])))
        .answering(Answer::events(saying("Rust is fast\u{3010}1\u{3011}. Really.")));
    let service = service(brave(&["https://rust-lang.org/", "https://other.example/"]));
    let gateway = gateway(&upstream, &service);
    let reply = gateway.messages(&request(&true.into())).reply();
    assert_eq!(reply.status(), 200, "{reply}");

    let blocks = blocks(&reply);
    assert_eq!(kinds(&blocks), ["server_tool_use", "web_search_tool_result", "text", "text"], "{reply}");
    let id = blocks[0]["id"].as_str().unwrap();
    assert!(id.starts_with("srvtoolu_"), "{reply}");
    assert_eq!((&blocks[0]["name"], &blocks[0]["input"]), (&json!("web_search"), &json!({"query": "rust"})));
    assert_eq!(blocks[1]["tool_use_id"], id);
    let page = &blocks[1]["content"][0];
    assert_eq!(
        (&page["type"], &page["url"]),
        (&json!("web_search_result"), &json!("https://rust-lang.org/"))
    );
    assert_eq!(
        (&page["title"], &page["page_age"]),
        (&json!("About https://rust-lang.org/"), &json!("May 2, 2026"))
    );
    assert_eq!(blocks[2]["text"], "Rust is fast");
    let citation = &blocks[2]["citations"][0];
    assert_eq!(
        (&citation["url"], &citation["cited_text"]),
        (&page["url"], &json!("What https://rust-lang.org/ says."))
    );
    assert_eq!(blocks[3]["text"], ". Really.");
    let ending = reply.events().into_iter().find(|event| event.name == "message_delta").unwrap().data;
    assert_eq!(ending["delta"]["stop_reason"], "end_turn");
    assert_eq!(ending["usage"]["server_tool_use"], json!({"web_search_requests": 1}));
    assert_eq!(
        (&ending["usage"]["output_tokens"], &ending["usage"]["cache_read_input_tokens"]),
        (&json!(40), &json!(80)),
        "{reply}"
    );

    let asked = service.request(0);
    assert!(asked.target().starts_with("/res/v1/web/search?q=rust&count=8"), "{}", asked.target());
    assert_eq!(asked.head.header("x-subscription-token"), Some(KEY));
    let [first, second] = [0, 1].map(|at| upstream.request(at).json());
    assert_eq!(first["tools"][0]["function"]["name"], "web_search");
    assert_eq!(second["messages"][1]["tool_calls"][0]["id"], "call_0");
    let result = second["messages"][2]["content"].as_str().unwrap();
    assert!(
        result.contains("\u{3010}1\u{3011}") && result.contains("What https://other.example/ says."),
        "{result}"
    );
}

/// Requirement: a whole reply has the same blocks as the stream; several searches of one turn are run.
#[test]
fn a_whole_reply_has_the_blocks_of_the_stream() {
    let call = |at: usize, query: &str| {
        json!({"id": format!("call_{at}"), "type": "function",
        "function": {"name": "web_search", "arguments": json!({"query": query}).to_string()}})
    };
    let upstream = Upstream::openai()
        .answering(whole(
            &json!({"role": "assistant", "content": null, "tool_calls": [call(0, "one"), call(1, "two")]}),
            "tool_calls",
        ))
        .answering(whole(&json!({"role": "assistant", "content": "So\u{3010}2\u{3011}."}), "stop"))
        .answering(Answer::events(searching(&["one", "two"])))
        .answering(Answer::events(saying("So\u{3010}2\u{3011}.")));
    let service = service(brave(&["https://a.example/"]));
    let gateway = gateway(&upstream, &service);
    let whole = gateway.messages(&request(&false.into())).reply();
    let message = whole.json();
    let streamed = gateway.messages(&request(&true.into())).reply();
    let without_ids = |blocks: &[Value]| -> Vec<Value> {
        let without = |block: &Value| {
            let mut block = block.clone();
            block.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "id" | "tool_use_id"));
            block
        };
        blocks.iter().map(without).collect()
    };
    let content = message["content"].as_array().unwrap_or_else(|| panic!("{whole}"));
    let expected = [
        "server_tool_use",
        "server_tool_use",
        "web_search_tool_result",
        "web_search_tool_result",
        "text",
        "text",
    ];
    assert_eq!(kinds(content), expected);
    assert_eq!(without_ids(content), without_ids(&blocks(&streamed)));
    assert_eq!(message["usage"]["server_tool_use"]["web_search_requests"], 2);
    assert_eq!(message["usage"]["output_tokens"], 40);
    assert_eq!((message["stop_reason"].as_str(), service.count()), (Some("end_turn"), 4));
}

/// Requirement: on the next turn the upstream gets the searches back as calls and results with the text of the pages.
#[test]
fn the_next_turn_has_the_results() {
    let upstream = Upstream::openai()
        .answering(Answer::events(searching(&["rust"])))
        .answering(Answer::events(saying("Fast\u{3010}1\u{3011}.")))
        .answering(Answer::events(saying("More.")))
        .answering(Answer::events(saying("More.")));
    let service = service(brave(&["https://rust-lang.org/"]));
    let gateway = gateway(&upstream, &service);
    let first = blocks(&gateway.messages(&request(&true.into())).reply());
    let mut next = request(&true.into());
    next["messages"]
        .as_array_mut()
        .unwrap()
        .extend([json!({"role": "assistant", "content": first}), json!({"role": "user", "content": "And?"})]);
    assert_eq!(gateway.messages(&next).reply().status(), 200);
    let messages = upstream.request(2).json()["messages"].clone();
    let roles: Vec<_> =
        messages.as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "assistant", "user"], "{messages}");
    assert!(
        messages[2]["content"].as_str().unwrap().contains("What https://rust-lang.org/ says."),
        "{messages}"
    );

    // Without the tool, the blocks become text, which has the pages too.
    next.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "tools" | "tool_choice"));
    assert_eq!(gateway.messages(&next).reply().status(), 200);
    let messages = upstream.request(3).json()["messages"].to_string();
    assert!(messages.contains("What https://rust-lang.org/ says."), "{messages}");
}

/// Requirement: an Anthropic-format upstream that does not serve Claude gets the tool, too; one that serves Claude gets the request
/// unchanged.
#[test]
fn claude_searches_by_itself() {
    use crate::support::canned::anthropic;
    let tool = json!({"type": "tool_use", "id": "toolu_1", "name": "web_search", "input": {}});
    let mut calling = vec![anthropic::start(), anthropic::block_start(0, &tool)];
    calling
        .push(anthropic::delta(0, &json!({"type": "input_json_delta", "partial_json": "{\"query\":\"x\"}"})));
    calling.push(anthropic::block_stop(0));
    calling.extend(anthropic::end("tool_use"));
    let upstream = Upstream::anthropic()
        .answering(Answer::events(calling))
        .answering(Answer::events(anthropic::text(&["So."])));
    let claude = Upstream::anthropic();
    let service = service(brave(&["https://a.example/"]));
    let gateway = Gateway::bare()
        .provider("zai", &upstream)
        .provider("real", &claude)
        .env("BRAVE_API_KEY", KEY)
        .env("BRAVE_BASE_URL", format!("http://{}", service.address()))
        .toml("[web-search]\nby = ['brave']\n[real]\nserves-claude = true")
        .start();
    let mut body = request(&true.into());
    body["model"] = "zai:glm".into();
    let reply = gateway.messages(&body).reply();
    assert_eq!(kinds(&blocks(&reply)), ["server_tool_use", "web_search_tool_result", "text"], "{reply}");
    assert_eq!(upstream.request(1).json()["messages"][2]["content"][0]["tool_use_id"], "toolu_1");
    body["model"] = "real:claude".into();
    assert_eq!(gateway.messages(&body).reply().status(), 200);
    assert_eq!(claude.request(0).json()["tools"], body["tools"]);
    assert_eq!(service.count(), 1);
}

/// Requirement: domains that the client blocks are not shown, whatever the service answers; two lists are an error.
#[test]
fn domains_are_kept() {
    let upstream = Upstream::openai()
        .answering(Answer::events(searching(&["x"])))
        .answering(Answer::events(saying("So.")));
    let service = service(brave(&["https://good.example/", "https://www.bad.example/"]));
    let gateway = gateway(&upstream, &service);
    let mut body = request(&true.into());
    body["tools"][0]["blocked_domains"] = json!(["bad.example"]);
    let shown = blocks(&gateway.messages(&body).reply());
    let urls: Vec<_> = shown[1]["content"].as_array().unwrap().iter().map(|page| &page["url"]).collect();
    assert_eq!(urls, ["https://good.example/"]);
    body["tools"][0]["allowed_domains"] = json!(["good.example"]);
    let reply = gateway.messages(&body).reply();
    assert_eq!(reply.status(), 400, "{reply}");
    assert!(reply.raw().contains("tools.0: has allowed_domains and blocked_domains"), "{reply}");
}

/// Requirement: further searches than `max_uses` are refused with the API's code, and the rounds are bounded.
#[test]
fn searches_are_bounded() {
    let upstream = Upstream::openai().always(Answer::events(searching(&["again"])));
    let service = service(brave(&["https://a.example/"]));
    let gateway = gateway(&upstream, &service);
    let mut body = request(&true.into());
    body["tools"][0]["max_uses"] = 2.into();
    let reply = gateway.messages(&body).reply();
    let blocks = blocks(&reply);
    let codes: Vec<_> = blocks.iter().filter_map(|block| block["content"]["error_code"].as_str()).collect();
    assert_eq!((service.count(), codes), (2, vec!["max_uses_exceeded"]), "{reply}");
    assert_eq!(upstream.count(), 4);
    assert_eq!(upstream.request(3).json()["tool_choice"], "none");
    assert_eq!(reply.events().iter().filter(|event| event.name == "message_start").count(), 1);
}

/// Requirement: a client that leaves during a search closes the call to the service.
#[test]
fn a_client_that_leaves_closes_the_search() {
    let upstream = Upstream::openai().always(Answer::events(searching(&["x"])));
    let service = service(Answer::silence());
    let gateway = gateway(&upstream, &service);
    let call = gateway.messages(&request(&true.into())).send();
    service.request(0);
    call.hang_up();
    service.closed(0);
    assert_eq!(upstream.count(), 1);
    // The first round has cost its tokens: 100 in, 40 of them cached, 20 out.
    gateway.run.await_log("tokens=60+40+0/20");
}

/// Requirement: a client of Chat Completions that asks for a search gets the pages as `annotations`, streamed and whole.
#[test]
fn a_chat_client_gets_annotations() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "web_search", "arguments": "{\"query\":\"x\"}"}});
    let upstream = Upstream::openai()
        .answering(whole(&json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls"))
        .answering(whole(&json!({"role": "assistant", "content": "So\u{3010}1\u{3011}."}), "stop"))
        .answering(Answer::events(searching(&["x"])))
        .answering(Answer::events(saying("So\u{3010}1\u{3011}.")));
    let service = service(brave(&["https://a.example/"]));
    let gateway = gateway(&upstream, &service);
    let mut body =
        json!({"model": MODEL, "web_search_options": {}, "messages": [{"role": "user", "content": "q"}]});
    let whole = gateway.call("POST", "/v1/chat/completions").json(&body).reply();
    assert_eq!(whole.status(), 200, "{whole}");
    let message = whole.json()["choices"][0]["message"].clone();
    assert_eq!((&message["content"], &message["tool_calls"]), (&json!("So."), &Value::Null), "{whole}");
    let cited = &message["annotations"][0]["url_citation"];
    assert_eq!(
        (&cited["url"], &cited["start_index"], &cited["end_index"]),
        (&json!("https://a.example/"), &json!(0), &json!(2)),
        "{whole}"
    );
    body["stream"] = true.into();
    let streamed = gateway.call("POST", "/v1/chat/completions").json(&body).reply();
    assert_eq!(crate::support::chat::text(&streamed), "So.");
    assert!(
        streamed.raw().contains("\"url_citation\"") && streamed.raw().contains("https://a.example/"),
        "{streamed}"
    );
    assert_eq!(service.count(), 2);
}

/// Requirement: all rounds use one permit and one key.
#[test]
fn the_rounds_have_one_permit_and_one_key() {
    let upstream = Upstream::openai()
        .answering(Answer::events(searching(&["x"])))
        .answering(Answer::events(searching(&["y"])))
        .answering(Answer::events(saying("So.")));
    let service = service(brave(&["https://a.example/"]));
    let gateway = Gateway::before(&upstream)
        .keys(["sk-one", "sk-two"])
        .env("BRAVE_API_KEY", KEY)
        .env("BRAVE_BASE_URL", format!("http://{}", service.address()))
        .toml("[web-search]\nby = ['brave']")
        .limit("provider-in-flight", 1)
        .start();
    let reply = gateway.messages(&request(&true.into())).reply();
    assert_eq!(blocks(&reply).len(), 5, "{reply}");
    let keys = upstream.keys_seen();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

/// Requirement: a search beside a call of a client's tool has no result, and the reply ends with `tool_use`; the search is run when the
/// client sends the result of its tool, and its result begins that reply (platform.claude.com, server tools).
#[test]
fn a_search_beside_a_client_call_is_run_in_the_next_request() {
    let mut both = vec![];
    for (at, name, arguments) in [(0, "web_search", "{\"query\":\"x\"}"), (1, "Read", "{}")] {
        both.push(openai::tool(&json!({"index": at, "id": format!("call_{at}"), "type": "function",
            "function": {"name": name, "arguments": arguments}})));
    }
    let upstream = Upstream::openai()
        .answering(Answer::events(openai::stream(both, "tool_calls")))
        .answering(Answer::events(saying("So.")));
    let service = service(brave(&["https://a.example/"]));
    let gateway = gateway(&upstream, &service);
    let mut body = request(&true.into());
    let own = json!({"name": "Read", "input_schema": {"type": "object", "properties": {}}});
    body["tools"].as_array_mut().unwrap().push(own);
    let first = gateway.messages(&body).reply();
    let said = blocks(&first);
    assert_eq!((kinds(&said), service.count()), (vec!["server_tool_use", "tool_use"], 0), "{first}");
    let result = json!({"type": "tool_result", "tool_use_id": said[1]["id"], "content": "file"});
    body["messages"].as_array_mut().unwrap().extend([
        json!({"role": "assistant", "content": said}),
        json!({"role": "user", "content": [result]}),
    ]);
    let second = gateway.messages(&body).reply();
    let then = blocks(&second);
    assert_eq!(kinds(&then), ["web_search_tool_result", "text"], "{second}");
    assert_eq!((&then[0]["tool_use_id"], service.count()), (&said[0]["id"], 1));
    let sent = upstream.request(1).json()["messages"].clone();
    let roles: Vec<_> =
        sent.as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool"], "{sent}");
}
