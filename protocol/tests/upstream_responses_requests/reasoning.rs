//! Reasoning: what the client asks for, and items that return to the model that made them.

use super::*;

/// A thinking block with the signature of this origin.
fn thought(thinking: &str, (provider, model): (&str, &str), carried: Option<&Value>) -> Value {
    let mut sealed = signature::mint(provider, model);
    if let Some(carried) = carried {
        signature::carry(&mut sealed, carried.to_string().as_bytes());
    }
    json!({"type": "thinking", "thinking": thinking, "signature": sealed})
}

const HERE: (&str, &str) = ("p", "up/m");

fn load(id: &str) -> Value {
    json!({"id": id, "encrypted_content": format!("gAAA=\"{id}")})
}

fn item(id: &str, summary: &[&str]) -> Value {
    let summary: Vec<_> = summary.iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
    json!({"type": "reasoning", "id": id, "summary": summary, "encrypted_content": format!("gAAA=\"{id}")})
}

fn tool_use(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "f", "input": {}})
}

/// Requirement: reasoning items return verbatim, directly before what they led to, an empty summary included.
#[test]
fn reasoning_returns_to_its_model_at_its_place() {
    let sent = input(json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [
            thought("I \"look\".\n\nTwice.", HERE, Some(&load("rs_1"))), tool_use("a"),
            thought("", HERE, Some(&load("rs_2"))), {"type": "text", "text": "and"}, tool_use("b"),
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "1"},
            {"type": "tool_result", "tool_use_id": "b", "content": "2"}]},
    ]));
    check_items(&sent);
    assert_eq!(
        sent,
        json!([
            user("q"),
            {"type": "message", "role": "user", "content": [
                {"type": "input_image", "detail": "auto", "image_url": "https://x/y.png"}]},
            item("rs_1", &["I \"look\".\n\nTwice."]),
            call("a", "f", "{}"),
            item("rs_2", &[]),
            said("and"),
            call("b", "f", "{}"),
            output("a", json!("1")),
            output("b", json!("2")),
        ])
    );
}

/// Requirement: reasoning of vendors that give their items no ids returns, too.
#[test]
fn reasoning_without_an_id_returns_without_one() {
    for carried in [json!({"encrypted_content": "e"}), json!({"id": "", "encrypted_content": "e"})] {
        let block = thought("", HERE, Some(&carried));
        let sent =
            input(json!([{"role": "assistant", "content": [block, tool_use("a"), block, tool_use("b")]}]));
        check_items(&sent);
        let reasoning = json!({"type": "reasoning", "summary": [], "encrypted_content": "e"});
        assert_eq!((&sent[0], &sent[2]), (&reasoning, &reasoning));
    }
}

/// Complaint of gateway users: another provider gets a foreign signature.
#[test]
fn reasoning_of_another_origin_and_a_changed_load_are_dropped() {
    let foreign = json!({"type": "thinking", "thinking": "t", "signature": "EqQBCk"});
    for dropped in [
        thought("t", ("other", "up/m"), Some(&load("rs_1"))),
        thought("t", ("p", "other"), Some(&load("rs_1"))),
        thought("t", HERE, None),
        thought("t", HERE, Some(&json!({"id": "rs_1"}))),
        thought("t", HERE, Some(&json!({"id": 1, "encrypted_content": "e"}))),
        thought("t", HERE, Some(&json!([{"type": "reasoning.text"}]))),
        foreign,
        json!({"type": "redacted_thinking", "data": "x"}),
    ] {
        let turns = json!([{"role": "assistant", "content": [{"type": "text", "text": "a"}, dropped, {"type": "text", "text": "b"}]},
            {"role": "user", "content": "c"}]);
        assert_eq!(input(turns), json!([said("a\n\nb"), user("c")]), "{dropped}");
    }
}

/// Requirement: the API refuses reasoning without the item that it led to, and two items of one id.
#[test]
fn reasoning_that_led_to_nothing_and_a_repeated_item_are_left_out() {
    let text = |text: &str| json!({"type": "text", "text": text});
    let sent = input(json!([
        {"role": "assistant", "content": [thought("t", HERE, Some(&load("rs_1"))), text(" ")]},
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [thought("t", HERE, Some(&load("rs_2"))), text("a")]},
        {"role": "assistant", "content": [thought("t", HERE, Some(&load("rs_2"))), text("b")]},
    ]));
    check_items(&sent);
    assert_eq!(sent, json!([user("x"), item("rs_2", &["t"]), said("a"), said("b")]));
}

/// Requirement: effort incl. `none … max` by model family; a summary and the encrypted content for clients that keep thinking.
#[test]
fn thinking_becomes_an_effort_and_a_summary_for_models_that_reason() {
    let adaptive =
        |effort: &str| json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}});
    let off = json!({"thinking": {"type": "disabled"}});
    let encrypted = json!(["reasoning.encrypted_content"]);
    for (name, fields, reasoning, include) in [
        ("gpt-6.1-sol", adaptive("max"), json!({"effort": "max", "summary": "auto"}), encrypted.clone()),
        ("openai/gpt-5.2", adaptive("max"), json!({"effort": "xhigh", "summary": "auto"}), encrypted.clone()),
        ("gpt-5", adaptive("low"), json!({"effort": "low", "summary": "auto"}), encrypted.clone()),
        (
            "o3",
            json!({"thinking": {"type": "enabled", "budget_tokens": 20000}}),
            json!({"effort": "high", "summary": "auto"}),
            encrypted.clone(),
        ),
        ("gpt-6.1-sol", json!({"output_config": {"effort": "low"}}), json!({"effort": "low"}), json!(null)),
        ("gpt-6.1-sol", off.clone(), json!({"effort": "none"}), json!(null)),
        ("gpt-5", off.clone(), json!({"effort": "minimal"}), json!(null)),
        ("gpt-6.1-sol", json!({}), json!(null), json!(null)),
        ("gpt-4.1", adaptive("high"), json!(null), json!(null)),
        ("m", adaptive("high"), json!(null), json!(null)),
        // It reasons and has no parameter.
        ("o1-mini", json!({"thinking": {"type": "adaptive"}}), json!({"summary": "auto"}), encrypted.clone()),
    ] {
        let sent = model(name, fields.clone());
        assert_eq!((&sent["reasoning"], &sent["include"]), (&reasoning, &include), "{name} {fields}");
    }
    assert_eq!(dropped(&TARGET, adaptive("high")), "thinking");
    let listed =
        Dialect { reasoning_models: ReasoningModels::Listed(vec!["m".into()]), ..Dialect::default() };
    let sent = through(&listed, adaptive("max"));
    assert_eq!(sent["reasoning"], json!({"effort": "high", "summary": "auto"}), "a deployment of any name");
    assert_eq!(sent["include"], encrypted);
}
