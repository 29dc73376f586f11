//! W3C Trace Context (w3.org/TR/trace-context): the headers `traceparent` and `tracestate`, by which one request is traced through
//! several programs.

use std::fmt;

/// The longest `tracestate` that is kept, in bytes. The recommendation requires 512 at least.
const LONGEST_STATE: usize = 2048;
/// The most members of a `tracestate`.
const MOST_MEMBERS: usize = 32;
/// The flag `sampled`.
const SAMPLED: u8 = 1;

/// The id of a trace. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

/// The id of a span. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(u64);

/// What a client's headers say: the trace, and the span that called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteContext {
    pub trace: TraceId,
    pub parent: SpanId,
    pub sampled: bool,
    /// The client's `tracestate`; empty if there is none, or if it is invalid.
    pub state: String,
}

impl TraceId {
    /// `None` for zero, which is no id.
    pub fn new(bits: u128) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    /// The low half, which is as random as the whole.
    pub fn low(self) -> u64 {
        self.0 as u64
    }
}

impl SpanId {
    /// `None` for zero, which is no id.
    pub fn new(bits: u64) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    /// The id of the child with this number, counted from 0. All children of a span have different ids, none of which is its own.
    #[must_use]
    pub fn child(self, number: u32) -> Self {
        // An odd factor maps different numbers to different ids. That one of them is zero has a chance of 1 in 2^64.
        let offset = (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(self.0.wrapping_add(offset).max(1))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A request's span in this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSpan {
    pub trace: TraceId,
    pub id: SpanId,
    /// The client's span, if it has sent one.
    pub parent: Option<SpanId>,
    /// Whether the span is exported.
    pub sampled: bool,
    /// Passed on unchanged; empty if there is none.
    pub state: String,
}

impl RequestSpan {
    /// The `traceparent` of the upstream call with this number, counted from 0: its span is a child of this one.
    pub fn traceparent_of_call(&self, number: u32) -> String {
        traceparent(self.trace, self.id.child(number), if self.sampled { SAMPLED } else { 0 })
    }
}

impl RemoteContext {
    /// Reads the headers; `None` if `parent` is not valid. `states` are the values of all headers `tracestate`, in order.
    pub fn parse(parent: &[u8], states: &[&[u8]]) -> Option<Self> {
        let text = std::str::from_utf8(parent).ok()?.trim();
        let mut parts = text.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = hex(version, 2)?;
        // Later versions may have further fields.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let flags = u8::try_from(hex(flags, 2)?).ok()?;
        Some(Self {
            trace: TraceId::new(hex(trace, 32)?)?,
            parent: SpanId::new(u64::try_from(hex(parent, 16)?).ok()?)?,
            sampled: flags & SAMPLED != 0,
            state: state(states).unwrap_or_default(),
        })
    }
}

/// The value of a header `traceparent`.
fn traceparent(trace: TraceId, span: SpanId, flags: u8) -> String {
    format!("00-{trace}-{span}-{flags:02x}")
}

/// A number of exactly this many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_valid = text.len() == digits && text.bytes().all(is_digit);
    is_valid.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// The members of all headers in one value; `None` if they are not valid.
fn state(states: &[&[u8]]) -> Option<String> {
    let joined =
        states.iter().map(|value| std::str::from_utf8(value).ok()).collect::<Option<Vec<_>>>()?.join(",");
    let members = || joined.split(',').map(str::trim).filter(|member| !member.is_empty());
    let is_valid = |member: &str| {
        let visible = member.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        visible && member.split_once('=').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty())
    };
    let is_bounded = joined.len() <= LONGEST_STATE && members().count() <= MOST_MEMBERS;
    (is_bounded && members().all(is_valid)).then(|| members().collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn parse(parent: &str, state: &[&str]) -> Option<RemoteContext> {
        let states: Vec<&[u8]> = state.iter().map(|value| value.as_bytes()).collect();
        RemoteContext::parse(parent.as_bytes(), &states)
    }

    /// Requirement: the examples of the recommendation, sections 3.2.2 to 3.3.1.
    #[test]
    fn valid_headers_are_read() {
        let context =
            parse(&format!("00-{TRACE}-{SPAN}-01"), &["rojo=00f067aa0ba902b7", " congo=t61rcWkgMzE "])
                .unwrap();
        assert_eq!((context.trace.to_string(), context.parent.to_string()), (TRACE.into(), SPAN.into()));
        assert!(context.sampled);
        assert_eq!(context.state, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
        assert_eq!(traceparent(context.trace, context.parent, SAMPLED), format!("00-{TRACE}-{SPAN}-01"));
        assert!(!parse(&format!("00-{TRACE}-{SPAN}-00"), &[]).unwrap().sampled);
        assert!(parse(&format!("cc-{TRACE}-{SPAN}-03-later"), &[]).unwrap().sampled, "a later version");
    }

    /// Requirement: an invalid `traceparent` is ignored, and so is an invalid `tracestate`, without the other.
    #[test]
    fn invalid_headers_are_ignored() {
        let zeros = "0".repeat(32);
        for wrong in [
            "".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}é-{SPAN}-01"),
        ] {
            assert_eq!(parse(&wrong, &["a=b"]), None, "{wrong}");
        }
        let valid = format!("00-{TRACE}-{SPAN}-01");
        for state in ["novalue", "a=b\u{e9}", &"a=b,".repeat(33), &format!("a={}", "x".repeat(3000))] {
            assert_eq!(parse(&valid, &[state]).unwrap().state, "", "{state}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace in 1u128.., span in 1u64.., sampled in any::<bool>()) {
            let (trace, span) = (TraceId::new(trace).unwrap(), SpanId::new(span).unwrap());
            let written = traceparent(trace, span, u8::from(sampled));
            let read = RemoteContext::parse(written.as_bytes(), &[]);
            prop_assert_eq!(read, Some(RemoteContext { trace, parent: span, sampled, state: String::new() }));
        }

        #[test]
        fn any_bytes_are_read_or_ignored(parent: Vec<u8>, state: Vec<u8>) {
            let context = RemoteContext::parse(&parent, &[&state]);
            prop_assert!(context.is_none_or(|context| context.state.len() <= LONGEST_STATE));
        }

        #[test]
        fn children_have_different_ids_which_are_not_their_parents(span in 1u64.., one in 0u32..64, other in 0u32..64) {
            let span = SpanId::new(span).unwrap();
            prop_assert_ne!(span.child(one), span);
            prop_assert_eq!(span.child(one) == span.child(other), one == other);
        }
    }
}
