//! What one request of the load asks for, and how the upstream is to answer it.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;

/// Where a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Messages to a provider of the same API.
    Passthrough,
    /// Messages to a provider of Chat Completions.
    Translated,
    Chat,
    CountTokens,
    Models,
    Health,
    Metrics,
}

/// How the upstream answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    Answers,
    /// With a late first byte.
    Late,
    /// 429 with `retry-after`.
    RateLimits,
    /// 500 to the first call, and a reply to the next one.
    FailsOnce,
    /// Closes the connection in the middle of the reply.
    Cuts,
    /// Stops sending in the middle of a stream.
    Stalls,
}

/// Which requests a load consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// Everything, with streams of at most these seconds.
    Chaos { longest: u64 },
    /// Short requests without a pause.
    Short,
    /// Streams of 5 to 20 seconds.
    Streams,
    /// Whole replies that take 3 seconds.
    Flood,
    /// Everything that succeeds, with short streams.
    Soak,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Stream,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) endpoint: Endpoint,
    pub(crate) form: Form,
    pub(crate) script: Script,
    pub(crate) events: usize,
    pub(crate) pause: Duration,
    /// The client disconnects after so many bytes.
    pub(crate) leaves_after: Option<usize>,
}

impl Endpoint {
    /// Whether the upstream is called, with the id of the request.
    pub(crate) fn reaches_upstream(self) -> bool {
        matches!(self, Self::Passthrough | Self::Translated | Self::Chat | Self::CountTokens)
    }
}

impl Script {
    pub(crate) const ALL: [Self; 6] =
        [Self::Answers, Self::Late, Self::RateLimits, Self::FailsOnce, Self::Cuts, Self::Stalls];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Late => "late",
            Self::RateLimits => "rate-limits",
            Self::FailsOnce => "fails-once",
            Self::Cuts => "cuts",
            Self::Stalls => "stalls",
        }
    }

    /// Whether the reply is complete if nothing else interferes.
    pub(crate) fn succeeds(self) -> bool {
        matches!(self, Self::Answers | Self::Late)
    }
}

impl Order {
    pub(crate) fn draw(rng: &mut Rng, id: u64, mix: Mix) -> Self {
        let (endpoint, form) = (endpoint(rng, mix), form(rng, mix));
        let mut order = Self {
            id,
            endpoint,
            form,
            script: Script::Answers,
            events: rng.usize(1..20),
            pause: Duration::ZERO,
            leaves_after: None,
        };
        match mix {
            Mix::Chaos { longest } => order.complicate(rng, longest),
            Mix::Streams => order.pace(rng.u64(5..20)),
            Mix::Flood => order.pace(3),
            Mix::Short => {}
            Mix::Soak => order.pause = Duration::from_millis(rng.u64(0..40)),
        }
        order
    }

    fn complicate(&mut self, rng: &mut Rng, longest: u64) {
        if self.form == Form::Stream && rng.u8(..100) < 50 {
            self.pace(rng.u64(longest.min(5)..=longest));
        }
        if self.endpoint.reaches_upstream() && self.endpoint != Endpoint::CountTokens {
            self.script = match rng.u8(..100) {
                0..75 => Script::Answers,
                75..85 => Script::Late,
                85..88 => Script::RateLimits,
                88..91 => Script::FailsOnce,
                91..96 => Script::Cuts,
                _ if self.form == Form::Stream => Script::Stalls,
                _ => Script::Answers,
            };
            self.leaves_after = (rng.u8(..100) < 8).then(|| rng.usize(1..4000));
        }
    }

    fn pace(&mut self, seconds: u64) {
        self.pause = Duration::from_millis(100);
        self.events = usize::try_from(seconds * 10).unwrap_or(1);
    }

    /// What the request looks like on the wire.
    pub(crate) fn bytes(&self) -> Bytes {
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
        let head = match self.endpoint {
            Endpoint::Models => get("/v1/models"),
            Endpoint::Health => get("/health?format=json"),
            Endpoint::Metrics => get("/metrics/running-totals?format=json"),
            Endpoint::Passthrough | Endpoint::Translated => self.post("/v1/messages"),
            Endpoint::Chat => self.post("/v1/chat/completions"),
            Endpoint::CountTokens => self.post("/v1/messages/count_tokens"),
        };
        Bytes::from(head)
    }

    fn post(&self, path: &str) -> String {
        let body = format!(
            r#"{{"model":"{}","max_tokens":1024,"stream":{},"messages":[{{"role":"user","content":"{}"}}]}}"#,
            self.model(),
            self.form == Form::Stream,
            self.marker()
        );
        format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
             anthropic-version: 2023-06-01\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Failures have providers of their own, so that they do not change the health of the others.
    fn model(&self) -> String {
        let is_messages = matches!(self.endpoint, Endpoint::Passthrough | Endpoint::CountTokens);
        let provider = match (is_messages, self.script.succeeds()) {
            (true, true) => "anthropic",
            (true, false) => "badmessages",
            (false, true) => "openai",
            (false, false) => "badchat",
        };
        format!("{provider}:{}", self.script.name())
    }

    /// The text of the prompt, which every translation keeps.
    fn marker(&self) -> String {
        let Self { id, events, pause, script, .. } = self;
        format!("<<{id} {events} {} {}>>", pause.as_millis(), script.name())
    }

    /// Reads the marker of a request body.
    pub(crate) fn parse_marker(body: &[u8]) -> Option<(u64, usize, Duration, Script)> {
        let from = memchr::memmem::find(body, b"<<")? + 2;
        let length = memchr::memmem::find(&body[from..], b">>")?;
        let text = std::str::from_utf8(&body[from..from + length]).ok()?;
        let mut words = text.split(' ');
        let (id, events) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let pause = Duration::from_millis(words.next()?.parse().ok()?);
        let name = words.next()?;
        let script = Script::ALL.into_iter().find(|script| script.name() == name)?;
        Some((id, events, pause, script))
    }
}

fn endpoint(rng: &mut Rng, mix: Mix) -> Endpoint {
    let share = match mix {
        Mix::Chaos { .. } | Mix::Soak => rng.u8(..100),
        Mix::Short | Mix::Streams | Mix::Flood => rng.u8(..80),
    };
    match share {
        0..30 => Endpoint::Passthrough,
        30..60 => Endpoint::Translated,
        60..80 => Endpoint::Chat,
        80..85 => Endpoint::CountTokens,
        85..90 => Endpoint::Models,
        90..95 => Endpoint::Health,
        _ => Endpoint::Metrics,
    }
}

fn form(rng: &mut Rng, mix: Mix) -> Form {
    match mix {
        Mix::Flood => Form::Whole,
        Mix::Streams => Form::Stream,
        Mix::Chaos { .. } | Mix::Short | Mix::Soak if rng.bool() => Form::Stream,
        Mix::Chaos { .. } | Mix::Short | Mix::Soak => Form::Whole,
    }
}
