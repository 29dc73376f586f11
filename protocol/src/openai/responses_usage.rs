//! Reads `usage` of the Responses API.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::usage::micro_dollars;
use crate::{
    json::{self, Object},
    vocabulary::Usage,
};

/// `usage`, also in the words of Chat Completions, which some servers keep.
#[derive(Deserialize)]
pub(crate) struct ResponsesUsage<'a> {
    #[serde(borrow)]
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    total_tokens: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    input_tokens_details: Object<InputCounts<'a>>,
    #[serde(borrow, default = "Default::default")]
    output_tokens_details: Object<OutputCounts<'a>>,
    #[serde(borrow, default = "Default::default")]
    server_tool_use: Object<ServerTools<'a>>,
    /// xAI.
    #[serde(borrow, default = "Default::default")]
    server_side_tool_usage_details: Object<ServerTools<'a>>,
    /// OpenRouter: in US dollars.
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
    /// Perplexity: in US dollars.
    #[serde(borrow, default = "Default::default")]
    cost_details: Object<CostParts<'a>>,
}

#[derive(Deserialize)]
struct InputCounts<'a> {
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_write_tokens: Option<&'a RawValue>,
    /// The written tokens by the time that the cache keeps them.
    #[serde(borrow, default = "Default::default")]
    cache_write_tokens_details: Object<WrittenCounts<'a>>,
}

#[derive(Deserialize)]
struct WrittenCounts<'a> {
    #[serde(borrow)]
    ttl_12h_tokens: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OutputCounts<'a> {
    #[serde(borrow)]
    reasoning_tokens: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ServerTools<'a> {
    #[serde(borrow)]
    web_search_requests: Option<&'a RawValue>,
    #[serde(borrow)]
    web_search_calls: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CostParts<'a> {
    #[serde(borrow)]
    total_cost: Option<&'a RawValue>,
}

impl ResponsesUsage<'_> {
    /// Converts the counts to Anthropic's definitions.
    pub(crate) fn usage(&self) -> Usage {
        let details = self.input_tokens_details.0.as_ref();
        let of_input = |read: fn(&InputCounts<'_>) -> Option<u64>| details.and_then(read).unwrap_or(0);
        let read = of_input(|counts| json::read_count(counts.cached_tokens));
        let written = of_input(|counts| json::read_count(counts.cache_write_tokens));
        // The longer of the two times costs more, as one hour does with Anthropic.
        let longer =
            of_input(|counts| json::read_count(counts.cache_write_tokens_details.0.as_ref()?.ttl_12h_tokens));
        let prompt = self.prompt().unwrap_or(0);
        let uncounted = self.uncounted().filter(|uncounted| *uncounted != read.saturating_add(written));
        let output = self.output().unwrap_or(0).saturating_add(uncounted.unwrap_or(0));
        let reasoning = self.reasoning().unwrap_or(0).min(output);
        let usage = Usage::from_prompt_total(prompt, output, read, written);
        Usage { reasoning, cache_creation_1h: longer.min(usage.cache_creation), ..usage }
    }

    /// Returns what the reply has cost, in millionths of a dollar, if reported.
    pub(crate) fn reported_cost(&self) -> Option<u64> {
        micro_dollars(self.cost).or_else(|| micro_dollars(self.cost_details.0.as_ref()?.total_cost))
    }

    /// Returns the number of output tokens that are reasoning, if reported.
    pub(crate) fn reasoning(&self) -> Option<u64> {
        json::read_count(self.output_tokens_details.0.as_ref()?.reasoning_tokens)
    }

    /// Returns the number of web searches that the vendor has run, if reported.
    pub(crate) fn web_searches(&self) -> Option<u64> {
        let tools = [&self.server_tool_use, &self.server_side_tool_usage_details];
        tools.into_iter().filter_map(|tools| tools.0.as_ref()).find_map(|tools| {
            json::read_count(tools.web_search_requests).or_else(|| json::read_count(tools.web_search_calls))
        })
    }

    fn prompt(&self) -> Option<u64> {
        json::read_count(self.input_tokens).or_else(|| json::read_count(self.prompt_tokens))
    }

    fn output(&self) -> Option<u64> {
        json::read_count(self.output_tokens).or_else(|| json::read_count(self.completion_tokens))
    }

    /// Returns the tokens of the total beyond input and output: a vendor may exclude reasoning from the output.
    fn uncounted(&self) -> Option<u64> {
        json::read_count(self.total_tokens)?.checked_sub(self.prompt()?.checked_add(self.output()?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> ResponsesUsage<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_input_includes_what_the_cache_had_and_took() {
        let usage = read(
            r#"{"input_tokens":100,"input_tokens_details":{"cached_tokens":60,"cache_write_tokens":30,
            "cache_write_tokens_details":{"ttl_12h_tokens":20,"ttl_30m_tokens":10}},
            "output_tokens":9,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":109}"#,
        );
        let expected = Usage {
            input: 10,
            output: 9,
            cache_read: 60,
            cache_creation: 30,
            cache_creation_1h: 20,
            reasoning: 4,
        };
        assert_eq!((usage.usage(), usage.reported_cost(), usage.web_searches()), (expected, None, None));
    }

    #[test]
    fn other_vendors_words_are_known() {
        for (json, input, output) in [
            (r#"{"prompt_tokens":7,"completion_tokens":3}"#, 7, 3),
            (r#"{"input_tokens":7,"output_tokens":1,"total_tokens":10}"#, 7, 3),
            (r#"{"input_tokens":7,"output_tokens":3,"total_tokens":0,"input_tokens_details":null}"#, 7, 3),
            (r#"{"input_tokens":"7","output_tokens":3.0,"output_tokens_details":[]}"#, 0, 3),
        ] {
            let usage = read(json).usage();
            assert_eq!((usage.input, usage.output), (input, output), "{json}");
        }
        let cost = r#"{"cost":0.00014,"server_tool_use":{"web_search_requests":2}}"#;
        assert_eq!((read(cost).reported_cost(), read(cost).web_searches()), (Some(140), Some(2)));
        let xai = r#"{"server_side_tool_usage_details":{"web_search_calls":3}}"#;
        assert_eq!(read(xai).web_searches(), Some(3));
    }
}
