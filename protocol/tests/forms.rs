//! Random forms: the model is found and replaced, wherever the form is cut and whatever its files contain.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use vandamme_protocol::request::{Streaming, form_head};

#[path = "properties/form.rs"]
mod form;

/// One part: its name, whether it is a file, and its content.
#[derive(Debug, Clone)]
struct Field {
    header: &'static str,
    name: &'static str,
    content: Vec<u8>,
}

fn field() -> impl Strategy<Value = Field> {
    const HEADERS: &[&str] = &[
        "Content-Disposition: form-data; name=\"NAME\"",
        "content-type: text/plain\r\ncontent-disposition:form-data ;x=y; NAME=NAME",
        "CONTENT-DISPOSITION: Form-Data; name=NAME\r\nX-Other: name=\"model\"",
    ];
    const NAMES: &[&str] = &["model", "model", "stream", "file", "models", "prompt"];
    // Pieces of boundaries, line ends and headers.
    let pieces = select(&["\r\n", "--", "bound", "-", "\n", "m", "name=\"model\"", "\r", "true", "é"][..]);
    let text = vec(pieces, 0..8).prop_map(|pieces| pieces.concat().into_bytes());
    let content = prop_oneof![text, vec(any::<u8>(), 0..20)];
    let has_boundary = |content: &[u8]| {
        let framed = [b"\r\n", content, b"\r\n"].concat();
        framed.windows(9).any(|window| window == b"\r\n--bound")
    };
    (select(HEADERS), select(NAMES), content)
        .prop_map(|(header, name, content)| Field { header, name, content })
        .prop_filter("the content has a boundary", move |field| !has_boundary(&field.content))
}

fn written(fields: &[Field], model: Option<&[u8]>) -> Vec<u8> {
    let mut form = b"ignored\r\n".to_vec();
    for field in fields {
        form.extend_from_slice(b"--bound\r\n");
        // The name of the parameter has the case of its header.
        let header = field.header.replace("; NAME=NAME", "; Name=NAME").replace("NAME", field.name);
        form.extend_from_slice(header.as_bytes());
        form.extend_from_slice(b"\r\n\r\n");
        let replaced = model.filter(|_| field.name == "model");
        form.extend_from_slice(replaced.unwrap_or(&field.content));
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"--bound--\r\nepilogue");
    form
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_model_of_a_random_form_is_found_and_replaced(fields in vec(field(), 0..6)) {
        let body = Bytes::from(written(&fields, None));
        let last = |name: &str| fields.iter().rev().find(|field| field.name == name).map(|field| &field.content[..]);
        let model = last("model").and_then(|content| std::str::from_utf8(content).ok()).filter(|model| !model.is_empty());
        let found = form_head(&body, "bound");
        match (model, found) {
            (Some(model), Ok(head)) => {
                prop_assert_eq!(&*head.model, model);
                let streams = last("stream").is_some_and(|content| content.eq_ignore_ascii_case(b"true") || content == b"1");
                prop_assert_eq!(head.delivery == Streaming::Yes, streams);
                let edited = head.with_model(&body, "a \"new\" one").joined();
                prop_assert_eq!(edited, written(&fields, Some(b"a \"new\" one")));
            }
            (None, Err(_)) => {}
            (model, found) => prop_assert!(false, "{model:?} {found:?}"),
        }
        for cut in 0..=body.len() {
            form::check("bound", &body, cut);
        }
    }

    #[test]
    fn any_bytes_satisfy_the_properties_of_forms(bytes in vec(any::<u8>(), 0..60), cut in 0..60_usize) {
        form::check_any(&bytes, cut);
    }
}
