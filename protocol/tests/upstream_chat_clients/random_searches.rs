//! Random replies with pages, citations and marks, in every form.

use proptest::prelude::*;

use super::*;

/// One chunk: text, annotations as (page, start, end), and the length of a list of pages.
type Piece = (String, Vec<(u8, u64, u64)>, Option<u8>);

fn piece() -> impl Strategy<Value = Piece> {
    let text = "[a-c\u{e9}\u{1f600}\n \\[\\]1-4]{0,6}";
    let annotation = (0u8..5, 0u64..24, 0u64..24);
    (text, prop::collection::vec(annotation, 0..3), prop::option::weighted(0.2, 0u8..5))
}

fn url(page: u8) -> String {
    format!("https://{page}.example")
}

fn annotated((text, annotations, _): &Piece) -> Value {
    let annotations: Vec<Value> = annotations
        .iter()
        .map(|(page, start, end)| {
            json!({"type": "url_citation", "url_citation": {"url": url(*page), "start_index": start, "end_index": end}})
        })
        .collect();
    json!({"content": text, "annotations": annotations})
}

fn chunks(pieces: &[Piece]) -> Vec<String> {
    let mut chunks: Vec<String> = pieces
        .iter()
        .map(|piece| {
            let mut chunk = json!({"choices": [{"index": 0, "delta": annotated(piece)}]});
            if let Some(length) = piece.2 {
                chunk["search_results"] = (0..length).map(|page| json!({"url": url(page)})).collect();
            }
            chunk.to_string()
        })
        .collect();
    chunks.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).to_string());
    chunks.push("[DONE]".to_owned());
    chunks
}

/// The text, and the pages that are shown and cited.
fn told(message: &Value) -> (String, Vec<String>, Vec<String>) {
    let content = message["content"].as_array().unwrap();
    let text = content.iter().filter_map(|block| block["text"].as_str()).collect();
    let of = |member: &str| -> Vec<String> {
        let lists = content.iter().filter_map(|block| block[member].as_array()).flatten();
        lists.filter_map(|page| page["url"].as_str()).map(str::to_owned).collect()
    };
    (text, of("content"), of("citations"))
}

fn check_pages(message: &Value) {
    let (_, shown, cited) = told(message);
    let unique: std::collections::BTreeSet<_> = shown.iter().collect();
    assert_eq!(unique.len(), shown.len(), "a page is shown once: {message}");
    assert!(cited.iter().all(|page| shown.contains(page)), "what is cited is shown: {message}");
}

proptest! {
    /// Requirement: streamed = whole. No text is lost or repeated, however citations divide it.
    #[test]
    fn citations_divide_a_text_and_change_nothing_of_it(pieces in prop::collection::vec(piece(), 0..8)) {
        let dialect = Dialect { web_search: Some(HostedSearch::Perplexity), ..Dialect::default() };
        let target = ChatUpstream { dialect: &dialect, ..TARGET };
        let context = reply(&target, json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}));
        let text: String = pieces.iter().map(|piece| &*piece.0).collect();
        let expected = if text.trim().is_empty() { "" } else { &text };

        let chunks = chunks(&pieces);
        let (message, _) = streamed(context.clone(), &chunks);
        check_pages(&message);
        prop_assert_eq!(&told(&message).0, expected);
        let mut collector = transcoder(context.clone()).collector();
        chunks.iter().take_while(|chunk| collector.push(chunk.as_bytes()) != CodecStep::End).count();
        let collected: Value = serde_json::from_slice(&collector.finish().unwrap().body).unwrap();
        prop_assert_eq!(&collected["content"], &message["content"]);

        let annotations: Vec<Value> = pieces
            .iter()
            .flat_map(|piece| annotated(piece)["annotations"].as_array().unwrap().clone())
            .collect();
        let [wholly, as_events, _] =
            in_every_form(&context, json!({"content": text, "annotations": annotations}), "stop");
        check_pages(&wholly);
        prop_assert_eq!(&told(&wholly).0, expected);
        prop_assert_eq!(&wholly["content"], &as_events["content"]);
    }
}
