//! Reads `usage` of Chat Completions, as every vendor writes it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    json::{self, Object},
    vocabulary::Usage,
};

/// `usage`, with the vendors' names for cached tokens.
#[derive(Deserialize)]
pub(crate) struct ChatUsage<'a> {
    #[serde(borrow)]
    prompt_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    total_tokens: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    prompt_tokens_details: Object<CacheCounts<'a>>,
    #[serde(borrow, default = "Default::default")]
    completion_tokens_details: Object<OutputCounts<'a>>,
    /// DeepSeek.
    #[serde(borrow)]
    prompt_cache_hit_tokens: Option<&'a RawValue>,
    /// Kimi.
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    server_tool_use: Object<ServerTools<'a>>,
    /// Perplexity.
    #[serde(borrow)]
    num_search_queries: Option<&'a RawValue>,
    /// OpenRouter: in US dollars.
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ServerTools<'a> {
    #[serde(borrow)]
    web_search_requests: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CacheCounts<'a> {
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_write_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_creation_tokens: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OutputCounts<'a> {
    #[serde(borrow)]
    reasoning_tokens: Option<&'a RawValue>,
}

impl ChatUsage<'_> {
    /// Returns the number of web searches that the vendor has run, if reported.
    pub(super) fn web_searches(&self) -> Option<u64> {
        let tools = self.server_tool_use.0.as_ref();
        let requests = tools.and_then(|tools| json::read_count(tools.web_search_requests));
        requests.or_else(|| json::read_count(self.num_search_queries))
    }

    /// Returns `cost` in millionths of a dollar. Anything but a number of dollars that is 0 or more counts as absent.
    pub(super) fn reported_cost(&self) -> Option<u64> {
        micro_dollars(self.cost)
    }

    /// Returns the number of output tokens that are reasoning, if reported.
    pub(super) fn thinking(&self) -> Option<u64> {
        json::read_count(self.completion_tokens_details.0.as_ref()?.reasoning_tokens)
    }

    /// Converts the counts to Anthropic's definitions.
    pub(super) fn usage(&self) -> Usage {
        let details = self.prompt_tokens_details.0.as_ref();
        let read = details
            .and_then(|details| json::read_count(details.cached_tokens))
            .or_else(|| json::read_count(self.prompt_cache_hit_tokens))
            .or_else(|| json::read_count(self.cached_tokens));
        let creation = details.and_then(|details| {
            json::read_count(details.cache_write_tokens)
                .or_else(|| json::read_count(details.cache_creation_tokens))
        });
        let (read, creation) = (read.unwrap_or(0), creation.unwrap_or(0));
        let prompt = json::read_count(self.prompt_tokens).unwrap_or(0);
        let output = json::read_count(self.completion_tokens).unwrap_or(0);
        let uncounted = self.uncounted().filter(|uncounted| *uncounted != read.saturating_add(creation));
        let output = output.saturating_add(uncounted.unwrap_or(0));
        let reasoning = self.thinking().unwrap_or(0).min(output);
        Usage { reasoning, ..Usage::from_prompt_total(prompt, output, read, creation) }
    }

    /// Returns the tokens of the total beyond prompt and completion: xAI and Gemini exclude reasoning from the
    /// completion.
    fn uncounted(&self) -> Option<u64> {
        let prompt = json::read_count(self.prompt_tokens)?;
        let completion = json::read_count(self.completion_tokens)?;
        json::read_count(self.total_tokens)?.checked_sub(prompt.checked_add(completion)?)
    }
}

/// Converts a number of dollars, 0 or more, to millionths. Anything else counts as absent.
pub(super) fn micro_dollars(cost: Option<&RawValue>) -> Option<u64> {
    const MOST: f64 = 1e9;
    let dollars: f64 = cost?.get().parse().ok()?;
    (0.0..=MOST).contains(&dollars).then(|| (dollars * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Usage {
        serde_json::from_str::<ChatUsage<'_>>(json).unwrap().usage()
    }

    #[test]
    fn a_reported_cost_is_a_number_of_dollars() {
        let cost = |json: &str| serde_json::from_str::<ChatUsage<'_>>(json).unwrap().reported_cost();
        for (json, micro_dollars) in [
            (r#"{"cost":0.00014}"#, Some(140)),
            (r#"{"cost":0}"#, Some(0)),
            (r#"{"cost":1.5e-7}"#, Some(0)),
            (r#"{"cost":2.0000005}"#, Some(2_000_001)),
            (r#"{"cost":{"total_cost":0.1}}"#, None),
            (r#"{"cost":"0.1"}"#, None),
            (r#"{"cost":-1}"#, None),
            (r#"{"cost":null}"#, None),
            ("{}", None),
        ] {
            assert_eq!(cost(json), micro_dollars, "{json}");
        }
    }

    /// Complaint of gateway users: cached tokens are lost or counted as fresh.
    #[test]
    fn cached_tokens_are_read_from_every_vendors_place() {
        let expected = Usage { input: 60, output: 5, cache_read: 40, cache_creation: 0, ..Usage::default() };
        for cached in [
            r#""prompt_tokens_details":{"cached_tokens":40}"#,
            r#""prompt_cache_hit_tokens":40"#,
            r#""cached_tokens":40.0,"prompt_tokens_details":null"#,
        ] {
            assert_eq!(
                usage(&format!(r#"{{"prompt_tokens":100,"completion_tokens":5,{cached}}}"#)),
                expected
            );
        }
    }
}
