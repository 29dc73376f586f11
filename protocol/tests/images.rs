//! Images of random requests: each is found, and a text in its place changes no other byte.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use vandamme_protocol::request::{head, images, may_have_images, with_image_texts};

/// A part of a request, and the same part with texts in the place of its images.
#[derive(Clone, Debug)]
struct Part {
    original: String,
    described: String,
}

const TEXT: &str = "a \"text\" with\nan end: }]";

fn same(text: &str) -> Part {
    Part { original: text.to_owned(), described: text.to_owned() }
}

fn image(block: &str) -> Part {
    let text = serde_json::to_string(TEXT).expect("a string has a JSON form");
    let mark = if block.contains("cache_control") { r#","cache_control" :{"type":"ephemeral"}"# } else { "" };
    Part { original: block.to_owned(), described: format!(r#"{{"type":"text","text":{text}{mark}}}"#) }
}

fn leaf() -> impl Strategy<Value = Part> {
    const IMAGES: &[&str] = &[
        r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}"#,
        r#"{ "source" : {"data":"a\/\\\"}]","type":"base64"} ,"type":"im\u0061ge"}"#,
        r#"{"type":"image","cache_control" :{"type":"ephemeral"},"source":{"type":"url","url":"u"}}"#,
        r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk=","detail":"low"}}"#,
        r#"{"type":"text","type":"image_url" , "image_url":"u"}"#,
    ];
    const OTHERS: &[&str] = &[
        r#"{"type":"text","text":"{\"type\":\"image\"}"}"#,
        r#"{"type":"tool_use","id":"t","input":{"type":"image","content":[{"type":"image"}]}}"#,
        r#"{"type":"search_result","source":"image","content":[{"type":"text","text":"\\"}]}"#,
        r#"{"type":"image_url_2","image_url":{"url":"u"}}"#,
        r#"["image"]"#,
        "null",
        r#""\\\"image\\""#,
    ];
    prop_oneof![
        2 => select(IMAGES).prop_map(image),
        1 => select(OTHERS).prop_map(same),
        1 => any::<String>().prop_map(|text| same(&serde_json::json!({"type": "text", "text": text}).to_string())),
    ]
}

/// A list with random space between its elements.
fn list(parts: &[Part], space: &str) -> Part {
    let joined = |one: fn(&Part) -> &str| {
        let parts: Vec<&str> = parts.iter().map(one).collect();
        format!("[{space}{}{space}]", parts.join(&format!("{space},{space}")))
    };
    Part { original: joined(|part| &part.original), described: joined(|part| &part.described) }
}

fn around(before: &str, inner: &Part, after: &str) -> Part {
    Part {
        original: format!("{before}{}{after}", inner.original),
        described: format!("{before}{}{after}", inner.described),
    }
}

fn block() -> impl Strategy<Value = Part> {
    let lists = |of: BoxedStrategy<Part>| {
        (vec(of, 0..4), "[ \t\r\n]{0,2}").prop_map(|(parts, space)| list(&parts, &space))
    };
    let document = lists(leaf().boxed()).prop_map(|content| {
        around(
            r#"{"type":"document","source":{"type":"content","content":"#,
            &content,
            r#"},"title":"image"}"#,
        )
    });
    let results = prop_oneof![3 => leaf(), 1 => document.clone()].boxed();
    let result = lists(results).prop_map(|content| {
        around(r#"{"tool_use_id":"t","content" : "#, &content, r#","type":"tool_result"}"#)
    });
    prop_oneof![2 => leaf(), 1 => document, 1 => result]
}

fn request() -> impl Strategy<Value = Part> {
    let message = (vec(block(), 0..4), "[ \n]{0,2}")
        .prop_map(|(blocks, space)| around(r#"{"role":"user","content":"#, &list(&blocks, &space), "}"));
    (vec(message, 0..4), "[ \n]{0,2}").prop_map(|(messages, space)| {
        around(
            r#"{"model":"m","messages": "#,
            &list(&messages, &space),
            r#" ,"system":[{"type":"text","text":"s"}]}"#,
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Requirement: only the blocks of images change, wherever they are and however they are written.
    #[test]
    fn only_the_images_change(request in request()) {
        let body = Bytes::from(request.original);
        let found = images(&body);
        let edited = with_image_texts(&body, &found, found.iter().map(|_| TEXT));
        prop_assert_eq!(&edited, &request.described);
        prop_assert!(found.is_empty() || may_have_images(&body));
        prop_assert!(head(&edited).is_ok());
        prop_assert_eq!(images(&edited).len(), 0);
    }

    /// Requirement: a body that is cut has no images.
    #[test]
    fn a_cut_request_has_no_images(request in request(), cut in 1..4000_usize) {
        let kept = request.original.len().saturating_sub(cut % request.original.len().max(1)).saturating_sub(1);
        prop_assert_eq!(images(&request.original.as_bytes()[..kept]).len(), 0);
    }
}
