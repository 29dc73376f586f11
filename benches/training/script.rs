//! How the upstream answers a request. The request says so in its last message, in a text that every translation keeps.

/// The behaviour of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// A reply that is generated from this number.
    Story(u64),
    /// The reply of a vendor with this number, as recorded in `tests/fixtures`.
    Recorded(usize),
    /// A story, but every second call fails with status 500.
    Fails(u64),
    /// A story, but every third call fails with status 429.
    Limits(u64),
}

impl Script {
    /// The text in the request.
    pub(crate) fn marker(self) -> String {
        match self {
            Self::Story(number) => format!("<<story {number}>>"),
            Self::Recorded(number) => format!("<<recorded {number}>>"),
            Self::Fails(number) => format!("<<fails {number}>>"),
            Self::Limits(number) => format!("<<limits {number}>>"),
        }
    }

    /// Reads the marker of a request body. A body without one is of a command, such as `vdm test connection`.
    pub(crate) fn of_body(body: &[u8]) -> Self {
        Self::parse(body).unwrap_or(Self::Story(0))
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let from = memchr::memmem::rfind(body, b"<<")? + 2;
        let length = memchr::memmem::find(&body[from..], b">>")?;
        let text = std::str::from_utf8(&body[from..from + length]).ok()?;
        let (word, number) = text.split_once(' ')?;
        match word {
            "story" => Some(Self::Story(number.parse().ok()?)),
            "recorded" => Some(Self::Recorded(number.parse().ok()?)),
            "fails" => Some(Self::Fails(number.parse().ok()?)),
            "limits" => Some(Self::Limits(number.parse().ok()?)),
            _ => None,
        }
    }
}
