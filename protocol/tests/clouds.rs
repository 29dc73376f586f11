//! Random requests, events and frames, in the forms of clouds.

#[path = "properties/cloud.rs"]
mod properties;

use proptest::collection::vec;
use proptest::prelude::*;

/// Bodies of the members that clouds move, and of others.
fn body() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("model"),
        Just("mod\\u0065l"),
        Just("stream"),
        Just("anthropic_version"),
        Just("anthropic_beta"),
        Just("max_tokens"),
        Just("speed"),
        Just("messages"),
        Just("é"),
    ];
    let value = prop_oneof![
        Just("1"),
        Just("true"),
        Just("\"x\""),
        Just("[\"a\",\"b\"]"),
        Just("[{\"model\":\"inner\",\"stream\":true}]"),
        Just("{ \"anthropic_beta\" : [] }"),
    ];
    let space = prop_oneof![Just(""), Just(" "), Just("\n\t")];
    vec((name, value, space), 0..7).prop_map(|members| {
        let member = |(name, value, space): &(&str, &str, &str)| {
            format!("{space}\"{name}\"{space}:{space}{value}{space}")
        };
        format!(" {{{}}} ", members.iter().map(member).collect::<Vec<_>>().join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_body_keeps_every_member_that_is_not_the_clouds(body in body()) {
        properties::check(body.as_bytes());
    }

    #[test]
    fn any_bytes_satisfy_the_properties_of_clouds(bytes in vec(any::<u8>(), 0..200)) {
        properties::check(&bytes);
    }

    #[test]
    fn any_event_passes_encoder_and_decoder(kind in "[a-z_]{1,12}", text in "\\PC{0,20}") {
        let event = serde_json::json!({"type": kind, "text": text});
        properties::check(event.to_string().as_bytes());
    }

    #[test]
    fn any_model_has_an_id(model in "(us\\.|eu\\.|)(anthropic\\.|)(claude-|x-)[a-z0-9-]{0,12}(-v[0-9]:0|@2025|:0|)") {
        properties::check(model.as_bytes());
    }
}
