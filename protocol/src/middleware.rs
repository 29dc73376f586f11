//! Middleware: adjustments to upstreams that need more than their API. It acts between the codec and the upstream, on
//! requests and replies of the upstream's API (Chat Completions), and so serves clients of every API.
//!
//! A [`Middleware`] is pure. It names the facts of earlier requests that it needs by keys; its caller fetches them, and
//! stores the facts that its [`ReplyListener`]s learn. The members of a [`Chain`] act in the order of the configuration, on
//! requests and on replies alike.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::sse;

/// Stored facts by their keys. Keys start with the name of the middleware.
pub type Memory = HashMap<String, String>;

/// One adjustment to one kind of upstream.
///
/// ```
/// use bytes::Bytes;
/// use vandamme_protocol::middleware::{Memory, Middleware};
///
/// /// Removes `"seed"` for an upstream that refuses it.
/// #[derive(Debug)]
/// struct NoSeed;
///
/// impl Middleware for NoSeed {
///     fn name(&self) -> &'static str {
///         "no-seed"
///     }
///
///     fn is_for(&self, model: &str) -> bool {
///         model.starts_with("strict-")
///     }
///
///     fn apply(&self, request: Bytes, _known: &Memory) -> Bytes {
///         let Ok(mut body) = serde_json::from_slice::<serde_json::Map<_, _>>(&request) else { return request };
///         body.remove("seed");
///         serde_json::Value::Object(body).to_string().into()
///     }
/// }
///
/// let request = Bytes::from_static(br#"{"model":"strict-1","seed":7}"#);
/// assert_eq!(&NoSeed.apply(request, &Memory::default())[..], br#"{"model":"strict-1"}"#);
/// ```
pub trait Middleware: fmt::Debug + Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &'static str;

    /// Whether it applies to this model of the upstream, unless the configuration says so.
    fn is_for(&self, model: &str) -> bool;

    /// The keys of the facts that it needs for this request.
    fn memory_keys(&self, _request: &[u8]) -> Vec<String> {
        vec![]
    }

    /// The request for the upstream. `known` has those of the wanted facts that are stored.
    fn apply(&self, request: Bytes, known: &Memory) -> Bytes;

    /// A listener for the reply to this request, if one is needed.
    fn reply_listener(&self, _request: &[u8]) -> Option<Box<dyn ReplyListener>> {
        None
    }
}

/// Follows one reply.
pub trait ReplyListener {
    /// Takes the data of an event, or the body of a whole reply. A returned value replaces it.
    fn on_event(&mut self, data: &[u8]) -> Option<Vec<u8>>;

    /// The facts to store that it has learned since the last call, by their keys.
    fn take_facts(&mut self) -> Vec<(String, String)> {
        vec![]
    }
}

/// The models of a provider that a chain applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MiddlewareScope {
    /// Each member decides.
    #[default]
    ByModel,
    /// All models: the configuration names the members.
    Always,
}

/// The middleware of one provider.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    members: Vec<Arc<dyn Middleware>>,
    choice: MiddlewareScope,
}

impl Chain {
    pub fn new(members: Vec<Arc<dyn Middleware>>, choice: MiddlewareScope) -> Self {
        Self { members, choice }
    }

    /// What of it is for this model; `None` if nothing is.
    pub fn for_model(&self, model: &str) -> Option<Applying> {
        let members = self.members.iter().filter(|member| match self.choice {
            MiddlewareScope::ByModel => member.is_for(model),
            MiddlewareScope::Always => true,
        });
        let members: Vec<_> = members.cloned().collect();
        (!members.is_empty()).then_some(Applying(members))
    }

    /// The names of its members, in their order.
    pub fn names(&self) -> Vec<&'static str> {
        self.members.iter().map(|member| member.name()).collect()
    }
}

/// The middleware for one request, never empty.
pub struct Applying(Vec<Arc<dyn Middleware>>);

impl Applying {
    /// See [`Middleware::memory_keys`].
    pub fn memory_keys(&self, request: &[u8]) -> Vec<String> {
        self.0.iter().flat_map(|member| member.memory_keys(request)).collect()
    }

    /// See [`Middleware::apply`].
    pub fn apply(&self, request: Bytes, known: &Memory) -> Bytes {
        self.0.iter().fold(request, |request, member| member.apply(request, known))
    }

    /// See [`Middleware::reply_listener`].
    pub fn reply_listener(&self, request: &[u8]) -> Option<Listeners> {
        let listeners: Vec<_> = self.0.iter().filter_map(|member| member.reply_listener(request)).collect();
        (!listeners.is_empty()).then_some(Listeners(listeners))
    }
}

/// The listeners of one reply, never empty.
pub struct Listeners(Vec<Box<dyn ReplyListener>>);

impl Listeners {
    /// Passes a block of complete events. The block is copied only if a listener changes it.
    pub fn pass(&mut self, block: Bytes) -> Bytes {
        let mut changed: Option<BytesMut> = None;
        let mut at = 0;
        for event in sse::events(&block) {
            let raw = event.raw();
            let data = event.data().filter(|data| data.trim_ascii() != b"[DONE]");
            let new = data.and_then(|data| self.on_event(&data));
            match (new, &mut changed) {
                (None, None) => {}
                (None, Some(changed)) => changed.extend_from_slice(raw),
                (Some(new), changed) => {
                    // Everything up to the first change is copied once there is one.
                    let changed = changed.get_or_insert_with(|| BytesMut::from(&block[..at]));
                    changed.extend_from_slice(&raw[..event.leading_line_ends()]);
                    write_event(event.name(), &new, changed);
                }
            }
            at += raw.len();
        }
        if let Some(changed) = &mut changed {
            // Blank lines behind the last event.
            changed.extend_from_slice(&block[at..]);
        }
        changed.map_or(block, BytesMut::freeze)
    }

    /// The body of a whole reply.
    pub fn whole(&mut self, body: Bytes) -> Bytes {
        self.on_event(&body).map_or(body, Bytes::from)
    }

    /// See [`ReplyListener::take_facts`].
    pub fn take_facts(&mut self) -> Vec<(String, String)> {
        self.0.iter_mut().flat_map(|listener| listener.take_facts()).collect()
    }

    fn on_event(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        self.0.iter_mut().fold(None, |new, listener| {
            let heard = listener.on_event(new.as_deref().unwrap_or(data));
            heard.or(new)
        })
    }
}

fn write_event(name: Option<&[u8]>, data: &[u8], out: &mut BytesMut) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name);
        out.extend_from_slice(b"\n");
    }
    for line in data.split(|&byte| byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.extend_from_slice(b"\n");
    }
    out.extend_from_slice(b"\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends its letter to every request and every event, and counts the events.
    #[derive(Debug)]
    struct Marker(&'static str);

    struct Marking(&'static str, usize);

    impl Middleware for Marker {
        fn name(&self) -> &'static str {
            self.0
        }

        fn is_for(&self, model: &str) -> bool {
            model.contains(self.0)
        }

        fn memory_keys(&self, _: &[u8]) -> Vec<String> {
            vec![format!("{}:heard", self.0)]
        }

        fn apply(&self, request: Bytes, known: &Memory) -> Bytes {
            let known = known.get(&format!("{}:heard", self.0)).map_or("", String::as_str);
            [&request[..], self.0.as_bytes(), known.as_bytes()].concat().into()
        }

        fn reply_listener(&self, _: &[u8]) -> Option<Box<dyn ReplyListener>> {
            Some(Box::new(Marking(self.0, 0)))
        }
    }

    impl ReplyListener for Marking {
        fn on_event(&mut self, data: &[u8]) -> Option<Vec<u8>> {
            self.1 += 1;
            (!data.starts_with(b"-")).then(|| [data, self.0.as_bytes()].concat())
        }

        fn take_facts(&mut self) -> Vec<(String, String)> {
            vec![(format!("{}:heard", self.0), self.1.to_string())]
        }
    }

    fn chain(choice: MiddlewareScope) -> Chain {
        Chain::new(vec![Arc::new(Marker("a")), Arc::new(Marker("b"))], choice)
    }

    /// Deviates from the original ("Chain order, skip rules, error propagation and reverse cleanup as the
    /// specification"): hooks are pure, so that none can fail and none is set up or torn down; order and skipping
    /// hold.
    #[test]
    fn members_act_in_the_order_of_the_configuration_on_requests_and_on_replies() {
        let applying = chain(MiddlewareScope::ByModel).for_model("xaxbx").unwrap();
        assert_eq!(applying.memory_keys(b""), ["a:heard", "b:heard"]);
        let known = Memory::from([("b:heard".to_owned(), "7".to_owned())]);
        assert_eq!(applying.apply(Bytes::from_static(b"q"), &known), &b"qab7"[..]);

        let mut listeners = applying.reply_listener(b"q").unwrap();
        let block = Bytes::from_static(b": c\n\ndata: -\n\nevent: n\ndata: 1\ndata: 2\n\ndata: [DONE]\n\n");
        let passed = listeners.pass(block);
        assert_eq!(passed, &b": c\n\ndata: -\n\nevent: n\ndata: 1\ndata: 2ab\n\ndata: [DONE]\n\n"[..]);
        assert_eq!(listeners.whole(Bytes::from_static(b"{}")), &b"{}ab"[..]);
        assert_eq!(listeners.take_facts().concat_values(), "33");
    }

    trait ConcatValues {
        fn concat_values(&self) -> String;
    }

    impl ConcatValues for Vec<(String, String)> {
        fn concat_values(&self) -> String {
            self.iter().map(|(_, value)| value.as_str()).collect()
        }
    }

    /// Deviates from the original ("Chain order, skip rules, error propagation and reverse cleanup as the
    /// specification"): hooks are pure, so that none can fail and none is set up or torn down; order and skipping
    /// hold.
    #[test]
    fn only_members_for_the_model_apply_unless_the_configuration_names_them() {
        let names = |choice, model: &str| {
            chain(choice).for_model(model).map(|applying| applying.memory_keys(b"").concat())
        };
        assert_eq!(names(MiddlewareScope::ByModel, "b"), Some("b:heard".to_owned()));
        assert_eq!(names(MiddlewareScope::ByModel, "x"), None);
        assert_eq!(names(MiddlewareScope::Always, "x"), Some("a:heardb:heard".to_owned()));
        assert!(Chain::new(vec![], MiddlewareScope::Always).for_model("a").is_none());
    }

    #[test]
    fn a_block_in_which_nothing_changes_is_passed_on_itself() {
        let mut listeners =
            chain(MiddlewareScope::Always).for_model("").unwrap().reply_listener(b"").unwrap();
        let block = Bytes::from("data: -\r\n\r\n: comment\n\n".to_owned());
        assert_eq!(listeners.pass(block.clone()).as_ptr(), block.as_ptr());
    }
}
