//! A prompt cache that was lost, and why.

use std::fmt;
use std::time::Duration;

/// A cached prompt that was paid for again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheLoss {
    pub cause: CacheLossCause,
    /// Whether the provider itself reported the cause.
    pub by_provider: bool,
    /// The tokens that the cache held and that were not read from it.
    pub tokens: u64,
    /// What they cost more than from the cache; `None` if the price is not known.
    pub micro_dollars: Option<u64>,
}

/// Why a cached prompt was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheLossCause {
    /// Another provider or model served the request, for example as a fallback.
    Target,
    /// The request had another key of the provider. Caches belong to accounts.
    Key,
    /// The time since the previous request was longer than the cache keeps a prompt.
    Expired {
        gap: Duration,
        kept: Duration,
    },
    Tools,
    System,
    /// A message of the history changed, was inserted or was removed; counted from 1, `None` if only the provider saw it.
    Message(Option<u32>),
    /// The request begins with the same prompt: the vendor no longer had it.
    Vendor,
}

impl CacheLossCause {
    /// One word for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Key => "key",
            Self::Expired { .. } => "expired",
            Self::Tools => "tools",
            Self::System => "system",
            Self::Message(_) => "message",
            Self::Vendor => "vendor",
        }
    }
}

impl fmt::Display for CacheLossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target => f.write_str("another provider or model served the request"),
            Self::Key => f.write_str("the request had another key, and caches belong to accounts"),
            Self::Expired { gap, kept } => {
                let (gap, kept) = (gap.as_secs(), kept.as_secs() / 60);
                write!(f, "it expired: {gap} s since the previous request, kept for {kept} min")
            }
            Self::Tools => f.write_str("the tools changed"),
            Self::System => f.write_str("the system prompt changed"),
            Self::Message(Some(number)) => write!(f, "message {number} changed"),
            Self::Message(None) => f.write_str("the messages changed"),
            Self::Vendor => f.write_str("the prompt is the same, but the provider no longer had it"),
        }
    }
}
