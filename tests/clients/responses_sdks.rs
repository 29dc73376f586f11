//! The Responses API of OpenAI's SDKs, with upstreams of all three APIs. `responses_sdk.py` and `responses_sdk.mjs` contain the
//! checks of what the SDKs return. The upstream is scripted here.

use serde_json::{Value, json};

use crate::script::{self, list};
use crate::sdk::{PNG, Sdks, WAYS};
use crate::steps::{Api, CallInput, StepCall, Steps, results, seal, thought};
use crate::support::canned::{anthropic, openai, responses};
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::{Answer, Deaf, Ending, Upstream};
use crate::two_calls;

/// A gateway whose only provider is this upstream.
fn before(api: Api, upstream: &Upstream) -> Setup {
    Gateway::before(upstream).env(&format!("{}_API_FORMAT", api.provider()), api.format())
}

#[test]
fn text_arrives_whole_and_streamed() {
    for api in Api::ALL {
        let upstream = api.upstream();
        let gateway = before(api, &upstream).start();

        Sdks::responses().hold("text", &gateway, &[]);

        assert!(upstream.requests().iter().all(|seen| seen.key() == "sk-test"), "only the provider's key");
        assert!(upstream.requests().iter().all(|seen| Api::of(seen) == api));
    }
}

#[test]
fn two_parallel_calls_survive_the_round_trip() {
    for api in Api::ALL {
        let sdks = Sdks::responses();
        let upstream = two_calls::played_by(api.upstream());
        let gateway = before(api, &upstream).start();

        sdks.hold("two_calls", &gateway, &[&json!(two_calls::inputs()).to_string()]);

        two_calls::expect_second_turns(&upstream, sdks.count() * WAYS);
    }
}

#[test]
fn a_custom_tool_is_called_and_its_result_is_answered() {
    let text = "*** Begin \"Patch\"\n+\tGenève \\ 🌹\n*** End Patch";
    for api in Api::ALL {
        let sdks = Sdks::responses();
        let call = StepCall { tool: "patch", input: CallInput::Text(text.to_owned()) };
        let steps = Steps { calls: vec![call], last_words: "It is applied." };
        let upstream = steps.played_by(api.upstream());
        let gateway = before(api, &upstream).start();

        sdks.hold("custom", &gateway, &[text]);

        let bodies: Vec<Value> = upstream.requests().iter().map(script::body).collect();
        let seconds: Vec<_> = bodies.iter().filter(|body| !results(body).is_empty()).collect();
        assert_eq!(seconds.len(), sdks.count() * WAYS, "{api:?}");
        assert!(seconds.iter().all(|body| results(body)[0].to_string().contains("applied")), "{api:?}");
    }
}

/// The second turn brings the reasoning back: verbatim to an upstream of the same API, and inside a signature of the Messages API.
#[test]
fn reasoning_comes_back_to_the_upstream_that_wrote_it() {
    for api in [Api::Messages, Api::Responses] {
        let sdks = Sdks::responses();
        let input = CallInput::Arguments(json!({"city": "Genève"}));
        let steps =
            Steps { calls: vec![StepCall { tool: "get_weather", input }], last_words: "It is sunny." };
        let upstream = steps.played_by(api.upstream());
        let gateway = before(api, &upstream).start();

        sdks.hold("reasons", &gateway, &[&thought(0)]);

        let bodies: Vec<Value> = upstream.requests().iter().map(script::body).collect();
        let seconds: Vec<_> = bodies.iter().filter(|body| !results(body).is_empty()).collect();
        assert_eq!(seconds.len(), sdks.count() * WAYS, "{api:?}");
        for second in seconds {
            assert!(second.to_string().contains(&seal(0)), "{api:?}: {second}");
        }
    }
}

#[test]
fn structured_output_is_parsed_and_its_schema_reaches_the_upstream() {
    let reply = r#"{"city": "Genève", "degrees": -2.5}"#;
    for api in Api::ALL {
        let sdks = Sdks::responses();
        let (events, whole) = match api {
            Api::Messages => (anthropic::text(&[reply]), anthropic::whole(reply)),
            Api::ChatCompletions => (openai::text(&[reply]), openai::whole(reply)),
            Api::Responses => (responses::text(&[reply]), responses::whole(&[responses::message(reply)])),
        };
        let upstream = script::by_delivery(api.upstream(), Answer::events(events), Answer::json(200, whole));
        let gateway = before(api, &upstream).start();

        sdks.hold("parsed", &gateway, &[reply]);

        for body in upstream.requests().iter().map(script::body) {
            let schema = match api {
                Api::Messages => &body["output_config"]["format"]["schema"],
                Api::ChatCompletions => &body["response_format"]["json_schema"]["schema"],
                Api::Responses => &body["text"]["format"]["schema"],
            };
            assert_eq!(schema["properties"]["degrees"]["type"], "number", "{api:?}: {body}");
        }
    }
}

#[test]
fn instructions_and_images_reach_the_upstream() {
    let sent = json!({
        "instructions": "You are terse.",
        "input": [{"role": "user", "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": format!("data:image/png;base64,{PNG}"), "detail": "low"}]}],
    });
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}});
    let text = json!({"type": "text", "text": "What is this?"});
    for api in Api::ALL {
        let sdks = Sdks::responses();
        let upstream = api.upstream();
        let gateway = before(api, &upstream).start();

        sdks.hold("carries", &gateway, &[&sent.to_string()]);

        for body in upstream.requests().iter().map(script::body) {
            match api {
                Api::Messages => {
                    assert!(body["system"].to_string().contains("You are terse."), "{body}");
                    let content = list(&body["messages"][0]["content"]);
                    let plain: Vec<Value> = content.iter().map(without_caching).collect();
                    assert_eq!(plain, [text.clone(), image.clone()], "{body}");
                }
                Api::ChatCompletions => {
                    assert_eq!(body["messages"][0]["content"], "You are terse.", "{body}");
                    let content = &body["messages"][1]["content"];
                    assert_eq!(content[0]["text"], "What is this?", "{body}");
                    let url = content[1]["image_url"]["url"].as_str().unwrap_or_default();
                    assert!(url.starts_with("data:image/png;base64,"), "{body}");
                }
                Api::Responses => {
                    assert_eq!(
                        (&body["instructions"], &body["input"]),
                        (&sent["instructions"], &sent["input"])
                    );
                }
            }
        }
    }
}

/// A block without the gateway's own cache breakpoint.
fn without_caching(block: &Value) -> Value {
    let mut block = block.clone();
    if let Some(members) = block.as_object_mut() {
        members.remove("cache_control");
    }
    block
}

#[test]
fn the_usage_includes_cached_tokens() {
    // Input, of which cached, output, total.
    for (api, expected) in
        [(Api::ChatCompletions, json!([100, 40, 20, 120])), (Api::Responses, json!([100, 40, 20, 120]))]
    {
        let upstream = api.upstream();
        let gateway = before(api, &upstream).start();

        Sdks::responses().hold("usage", &gateway, &[&expected.to_string()]);
    }
}

#[test]
fn errors_of_the_upstream_raise_the_sdks_classes() {
    for api in Api::ALL {
        Sdks::responses().know_the_errors_of_setup(|| api.upstream(), |upstream| before(api, upstream));
    }
}

#[test]
fn what_needs_a_memory_is_refused_with_the_reason() {
    let upstream = Upstream::anthropic();
    let gateway = before(Api::Messages, &upstream).start();
    for (body, part) in [
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"conversation": "conv_1"}), "conversation"),
        (json!({"store": true}), "store"),
        (json!({"background": true}), "background"),
    ] {
        Sdks::responses().hold("refused", &gateway, &["400", part, &body.to_string()]);
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_unknown_provider_is_a_not_found_error() {
    let upstream = Upstream::openai();
    let gateway = before(Api::ChatCompletions, &upstream).start();
    let body = json!({"model": "nowhere:some-model"}).to_string();

    Sdks::responses().hold("refused", &gateway, &["404", "nowhere", &body]);
}

#[test]
fn a_truncated_reply_is_never_complete() {
    for api in Api::ALL {
        let sdks = Sdks::responses();
        // The body ends properly, but the stream does not.
        for ending in [Ending::Cut, Ending::Close] {
            let upstream = match api {
                Api::Messages | Api::ChatCompletions => script::breaking_off(api.upstream(), ending),
                Api::Responses => breaking_off(api.upstream(), ending),
            };
            let gateway = before(api, &upstream).env("MAX_RETRIES", "0").start();

            sdks.hold("cut", &gateway, &[]);
        }
    }
}

/// Truncates a stream behind the first of two words, and a whole response in its middle.
fn breaking_off(upstream: Upstream, ending: Ending) -> Upstream {
    let events = responses::text(&["Hello ", "there!"]);
    let is_word = |event: &Vec<u8>| String::from_utf8_lossy(event).contains("output_text.delta");
    let kept = events.iter().position(is_word).map_or(0, |first| first + 1);
    let begun = events[..kept].concat().len();
    let whole = responses::whole(&[responses::message("Hello there!")]);
    let half = whole.len() / 2;
    let streamed = Answer::events(events).broken_after(begun, ending);
    script::by_delivery(upstream, streamed, Answer::json(200, whole).broken_after(half, Ending::Cut))
}

#[test]
fn a_client_that_disconnects_frees_the_upstream() {
    for api in Api::ALL {
        let sdks = Sdks::responses();
        let upstream = api.upstream().always(Answer::silence());
        let gateway = before(api, &upstream).start();

        sdks.hold("impatient", &gateway, &[]);

        for request in 0..sdks.count() {
            upstream.closed(request);
        }
    }
}

#[test]
fn an_unreachable_upstream_is_a_server_error() {
    let deaf = Deaf::new();
    let gateway = Setup::default()
        .env("OPENAI_API_KEY", "sk-test")
        .env("OPENAI_BASE_URL", format!("http://{}/v1", deaf.address))
        .env("MAX_RETRIES", "0")
        .start();

    Sdks::responses().hold("unreachable", &gateway, &[]);
}
