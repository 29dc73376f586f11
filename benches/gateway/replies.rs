//! The replies of the scripted upstream, built once and sent unchanged.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use vandamme_protocol::cloud::eventstream::EventStreamEncoder;

/// The number of text deltas of a stream in bursts.
pub(crate) const BURST_EVENTS: usize = 200;
/// The number of writes in which they are sent.
const BURSTS: usize = 4;
/// The end of every whole reply.
pub(crate) const LAST_WORDS: &str = "and that was the whole story.";
/// The content of a whole reply.
const STORY: usize = 700;

const EVENTS: &str = "text/event-stream; charset=utf-8";
const FRAMES: &str = "application/vnd.amazon.eventstream";

/// The form of a reply, which the model's name selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// 1 KB of JSON.
    Whole,
    /// A stream, in few writes.
    Burst,
    /// A stream, each event in a write of its own.
    Paced { interval: Duration, events: usize },
    /// A stream that sends one event and then nothing.
    Open,
}

impl Shape {
    pub(crate) fn model(self) -> String {
        match self {
            Self::Whole => "whole".to_owned(),
            Self::Burst => "burst".to_owned(),
            Self::Open => "open".to_owned(),
            Self::Paced { interval, events } => format!("paced-{}-{events}", interval.as_millis()),
        }
    }

    pub(crate) fn of_model(name: &str) -> Option<Self> {
        match name {
            "whole" => Some(Self::Whole),
            "burst" => Some(Self::Burst),
            "open" => Some(Self::Open),
            paced => {
                let (interval, events) = paced.strip_prefix("paced-")?.split_once('-')?;
                let interval = Duration::from_millis(interval.parse().ok()?);
                Some(Self::Paced { interval, events: events.parse().ok()? })
            }
        }
    }
}

/// All replies of an upstream of one API.
pub(crate) struct Replies {
    pub(crate) whole: Bytes,
    pub(crate) bursts: Vec<Bytes>,
    /// The head, and all bytes up to the first event.
    pub(crate) opening: Bytes,
    /// One more event.
    pub(crate) word: Bytes,
    pub(crate) ending: Bytes,
}

impl Replies {
    pub(crate) fn anthropic() -> Self {
        let (opening, word, ending, whole) = Self::messages();
        Self::new(&opening, &word, (&ending, &whole))
    }

    /// The same in the form of Bedrock's InvokeModel: each event is a frame.
    pub(crate) fn bedrock() -> Self {
        let (opening, word, ending, whole) = Self::messages();
        let frame = |event: &str| {
            let mut frame = BytesMut::new();
            EventStreamEncoder::default().push(event.as_bytes(), &mut frame);
            frame.to_vec()
        };
        Self::of_stream(FRAMES, frame, &opening, &word, (&ending, &whole))
    }

    /// The first events of a reply, a text delta, the last events, and a whole reply.
    fn messages() -> (Vec<String>, String, Vec<String>, String) {
        let event =
            |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n");
        let usage = r#"{"input_tokens":2095,"cache_creation_input_tokens":0,"cache_read_input_tokens":1024,"output_tokens":1}"#;
        let opening = [
            event(
                "message_start",
                &format!(
                    r#","message":{{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[],"stop_reason":null,"stop_sequence":null,"usage":{usage}}}"#
                ),
            ),
            event("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#),
            event("ping", ""),
        ];
        let word =
            event("content_block_delta", r#","index":0,"delta":{"type":"text_delta","text":" a few words"}"#);
        let ending = [
            event("content_block_stop", r#","index":0"#),
            event(
                "message_delta",
                r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":403}"#,
            ),
            event("message_stop", ""),
        ];
        let whole = format!(
            r#"{{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[{{"type":"text","text":"{}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{usage}}}"#,
            story()
        );
        (opening.into(), word, ending.into(), whole)
    }

    pub(crate) fn openai() -> Self {
        let chunk = |choices: &str, usage: &str| {
            format!(
                "data: {{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":\"chat.completion.chunk\",\"created\":1741570283,\"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_fc9f1d7035\",\"choices\":{choices},\"usage\":{usage}}}\n\n"
            )
        };
        let delta = |delta: &str| {
            chunk(&format!(r#"[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":null}}]"#), "null")
        };
        let usage = r#"{"prompt_tokens":2095,"completion_tokens":403,"total_tokens":2498,"prompt_tokens_details":{"cached_tokens":1024,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}"#;
        let opening = [delta(r#"{"role":"assistant","content":"","refusal":null}"#)];
        let word = delta(r#"{"content":" a few words"}"#);
        let ending = [
            chunk(r#"[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]"#, "null"),
            chunk("[]", usage),
            "data: [DONE]\n\n".to_owned(),
        ];
        let whole = format!(
            r#"{{"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion","created":1741570283,"model":"gpt-4o-2024-08-06","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{usage}}}"#,
            story()
        );
        Self::new(&opening, &word, (&ending, &whole))
    }

    pub(crate) fn responses() -> Self {
        let event = |name: &str, rest: &str| {
            format!(
                "event: response.{name}\ndata: {{\"type\":\"response.{name}\",\"sequence_number\":7,{rest}}}\n\n"
            )
        };
        let response = |status: &str, output: &str, usage: &str| {
            format!(
                r#"{{"id":"resp_68af4030baa48193b0b43b4c2a176a1a0e6967589f080e78","object":"response","created_at":1756315696,"status":"{status}","background":false,"error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":1024,"model":"gpt-5-2025-08-07","output":{output},"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{{"effort":"medium","summary":null}},"store":false,"temperature":1.0,"text":{{"format":{{"type":"text"}},"verbosity":"medium"}},"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":{usage},"metadata":{{}}}}"#
            )
        };
        let usage = r#"{"input_tokens":2095,"input_tokens_details":{"cached_tokens":1024},"output_tokens":403,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":2498}"#;
        let place = r#""item_id":"msg_68af40337e58819392e935fb404414d00e6967589f080e78","output_index":0"#;
        let item = |status: &str, content: &str| {
            format!(
                r#"{{"id":"msg_68af40337e58819392e935fb404414d00e6967589f080e78","type":"message","status":"{status}","content":{content},"role":"assistant"}}"#
            )
        };
        let part = |text: &str| {
            format!(r#"{{"type":"output_text","annotations":[],"logprobs":[],"text":"{text}"}}"#)
        };
        let begun = response("in_progress", "[]", "null");
        let opening = [
            event("created", &format!(r#""response":{begun}"#)),
            event("in_progress", &format!(r#""response":{begun}"#)),
            event("output_item.added", &format!(r#""output_index":0,"item":{}"#, item("in_progress", "[]"))),
            event("content_part.added", &format!(r#"{place},"content_index":0,"part":{}"#, part(""))),
        ];
        let word = event(
            "output_text.delta",
            &format!(
                r#"{place},"content_index":0,"delta":" a few words","logprobs":[],"obfuscation":"a1b2c3d4""#
            ),
        );
        let text = " a few words".repeat(BURST_EVENTS);
        let done = item("completed", &format!("[{}]", part(&text)));
        let ending = [
            event("output_text.done", &format!(r#"{place},"content_index":0,"text":"{text}","logprobs":[]"#)),
            event("content_part.done", &format!(r#"{place},"content_index":0,"part":{}"#, part(&text))),
            event("output_item.done", &format!(r#""output_index":0,"item":{done}"#)),
            event(
                "completed",
                &format!(r#""response":{}"#, response("completed", &format!("[{done}]"), usage)),
            ),
        ];
        let story = item("completed", &format!("[{}]", part(&story())));
        let whole = response("completed", &format!("[{story}]"), usage);
        Self::new(&opening, &word, (&ending, &whole))
    }

    fn new(opening: &[String], word: &str, last: (&[String], &str)) -> Self {
        Self::of_stream(EVENTS, |event| event.as_bytes().to_vec(), opening, word, last)
    }

    /// `form` makes the bytes of an event.
    fn of_stream(
        content_type: &str,
        form: impl Fn(&str) -> Vec<u8>,
        opening: &[String],
        word: &str,
        (ending, whole): (&[String], &str),
    ) -> Self {
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunks =
            |events: &[String]| events.iter().flat_map(|event| chunk(&form(event))).collect::<Vec<_>>();
        let first = [head.into_bytes(), chunks(opening)].concat();
        let word = chunk(&form(word));
        let ending = [chunks(ending), b"0\r\n\r\n".to_vec()].concat();
        Self {
            whole: format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{whole}",
                whole.len()
            )
            .into(),
            bursts: bursts(&first, &word, &ending),
            opening: [first, word.clone()].concat().into(),
            word: word.into(),
            ending: ending.into(),
        }
    }
}

fn bursts(first: &[u8], word: &[u8], ending: &[u8]) -> Vec<Bytes> {
    let words = word.repeat(BURST_EVENTS / BURSTS);
    let mut bursts = vec![words; BURSTS];
    bursts[0].splice(..0, first.iter().copied());
    bursts[BURSTS - 1].extend_from_slice(ending);
    bursts.into_iter().map(Bytes::from).collect()
}

/// An event in its own HTTP chunk, as vendors send them.
fn chunk(event: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", event.len()).as_bytes(), event, b"\r\n"].concat()
}

fn story() -> String {
    let mut story = String::new();
    for line in 1.. {
        if story.len() >= STORY {
            break;
        }
        let _written = write!(story, "Line {line} of what the model has to say.\\n");
    }
    story + LAST_WORDS
}
