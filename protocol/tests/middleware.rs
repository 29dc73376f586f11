//! Compiles and tests the example of a middleware in ARCHITECTURE.md.

use bytes::Bytes;
use vandamme_protocol::middleware::{Memory, Middleware};

// The page contains the lines from here on.
/// Adds our team's name to every request.
#[derive(Debug)]
pub struct Team;

impl Middleware for Team {
    fn name(&self) -> &'static str {
        "team"
    }

    /// Used only with `middleware = ["team"]`.
    fn is_for(&self, _model: &str) -> bool {
        false
    }

    fn apply(&self, request: Bytes, _known: &Memory) -> Bytes {
        match serde_json::from_slice::<serde_json::Map<_, _>>(&request) {
            Ok(mut body) => {
                body.insert("team".to_owned(), "platform".into());
                serde_json::Value::Object(body).to_string().into()
            }
            Err(_) => request,
        }
    }
}
// The page contains the lines up to here.

#[test]
fn the_example_adds_the_name() {
    let request = Bytes::from_static(br#"{"model":"m"}"#);
    assert_eq!(Team.apply(request, &Memory::new()), &br#"{"model":"m","team":"platform"}"#[..]);
    assert_eq!((Team.name(), Team.is_for("team")), ("team", false));
}

#[test]
fn the_page_contains_exactly_this_example() {
    let (_, rest) = include_str!("middleware.rs").split_once("from here on.\n").expect("it begins");
    let (example, _) = rest.split_once("// The page contains the lines up to here.").expect("it ends");
    assert!(include_str!("../../ARCHITECTURE.md").contains(example));
}
