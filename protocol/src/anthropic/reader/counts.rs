//! The tokens that an event or a message reports.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    anthropic::event::ReportedUsage,
    json::{self, List, Object},
    vocabulary::Usage,
};

/// `usage`.
#[derive(Deserialize)]
pub(crate) struct WireCounts<'a> {
    #[serde(borrow)]
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_read_input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_creation_input_tokens: Option<&'a RawValue>,
    /// Every run of a model for this reply. The tokens of a compaction, an advisor or a model that declined are counted here
    /// alone.
    #[serde(borrow, default = "Default::default")]
    iterations: List<Object<Self>>,
    #[serde(borrow, default = "Default::default")]
    output_tokens_details: Object<WireOutputCounts<'a>>,
    #[serde(borrow, default = "Default::default")]
    cache_creation: Object<WireCacheWrites<'a>>,
    #[serde(borrow, default = "Default::default")]
    server_tool_use: Object<WireServerTools<'a>>,
}

/// The uses of server tools.
#[derive(Deserialize)]
struct WireServerTools<'a> {
    #[serde(borrow)]
    web_search_requests: Option<&'a RawValue>,
}

/// What was written to the cache, by how long it is kept.
#[derive(Deserialize)]
struct WireCacheWrites<'a> {
    #[serde(borrow)]
    ephemeral_1h_input_tokens: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireOutputCounts<'a> {
    #[serde(borrow)]
    thinking_tokens: Option<&'a RawValue>,
}

impl WireCounts<'_> {
    pub(crate) fn counts(&self) -> ReportedUsage {
        let own = self.own();
        let mut iterations = self.iterations.0.iter().filter_map(|counts| counts.0.as_ref()).peekable();
        if iterations.peek().is_none() {
            return own;
        }
        let sum = iterations.fold(Usage::default(), |sum, run| sum.plus(run.own().after(Usage::default())));
        // A run may lack the details, which the total has.
        let detail = |sum: u64, own: Option<u64>| if sum > 0 { Some(sum) } else { own };
        ReportedUsage {
            thinking: detail(sum.reasoning, own.thinking),
            cache_creation_1h: detail(sum.cache_creation_1h, own.cache_creation_1h),
            searches: own.searches,
            ..ReportedUsage::from(sum)
        }
    }

    fn own(&self) -> ReportedUsage {
        ReportedUsage {
            input: json::read_count(self.input_tokens),
            output: json::read_count(self.output_tokens),
            cache_read: json::read_count(self.cache_read_input_tokens),
            cache_creation: json::read_count(self.cache_creation_input_tokens),
            cache_creation_1h: self
                .cache_creation
                .0
                .as_ref()
                .and_then(|of| json::read_count(of.ephemeral_1h_input_tokens)),
            thinking: self
                .output_tokens_details
                .0
                .as_ref()
                .and_then(|of| json::read_count(of.thinking_tokens)),
            searches: self.server_tool_use.0.as_ref().and_then(|of| json::read_count(of.web_search_requests)),
        }
    }
}
