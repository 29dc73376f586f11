//! Converts a Messages request to a Responses request.
//!
//! The body is written in order into one buffer. Text is not decoded: a JSON string is copied with its escapes, and joined strings
//! are concatenated.

mod accepted;
mod assistant;
mod hosted;
mod input;
mod members;
mod outputs;
mod parts;
mod settings;
mod system;
mod tools;

use super::{ResponsesReplyContext, ResponsesRequest, ResponsesUpstream};
use crate::{
    anthropic::request::MessagesRequestBody,
    convert::{
        Dropped,
        upstream::{
            caching::CacheMarks,
            conversation::{ToolUsePairing, read_turns},
            effort::Effort,
            names::{Alphabet, Names},
            settings::{asks_for_judgement, shows_thinking},
            tools::{all_names, tool_list},
        },
    },
    fault::RequestError,
    json::{JsonWord, Write},
    signature,
    tool_id::Maker,
    vocabulary::Delivery,
};
use hosted::HostedSearchTool;
use input::InputWriter;
use settings::{Settings, stop_sequences};
use system::SystemPrompt;
use tools::Toolbox;

/// Members that other files convert.
const ELSEWHERE: [&str; 1] = ["model"];

pub(super) fn convert(body: &[u8], target: &ResponsesUpstream<'_>) -> Result<ResponsesRequest, RequestError> {
    let request = &MessagesRequestBody::parse(body)?;
    let mut dropped = Dropped::default();
    let unknown = request.unknown.iter().map(JsonWord::as_str);
    unknown.filter(|name| !ELSEWHERE.contains(name)).for_each(|name| dropped.note(name));
    let turns = &read_turns(request)?;
    let delivery = if request.stream == Some(true) { Delivery::Streamed } else { Delivery::Whole };

    let tools = tool_list(request.tools.as_deref().unwrap_or_default(), turns, &mut dropped);
    let alphabet = if target.dialect.plain_tool_names { Alphabet::Plain } else { Alphabet::Usual };
    let names = &Names::of(all_names(&tools, turns), alphabet);
    let choice = request.tool_choice.as_ref();
    let hosted = &HostedSearchTool::new(&tools, choice, target)?;

    let mut out = Vec::with_capacity(body.len() + body.len() / 8 + 512);
    out.put(b"{\"model\":");
    out.string(target.model);
    out.raw(match delivery {
        Delivery::Streamed => ",\"store\":false,\"stream\":true",
        Delivery::Whole => ",\"store\":false,\"stream\":false",
    });
    let effort = Effort::for_responses(request, turns, target.model, target.dialect);
    let settings = Settings { request, effort: &effort, target, hosted };
    settings.write(&mut dropped, &mut out)?;
    let marks = &CacheMarks::breakpoints(target.model, target.dialect);
    let system = SystemPrompt::read(request, members::system_form(target.members), marks, &mut dropped)?;
    system.write_instructions(&mut out);
    Toolbox { tools: &tools, choice, turns, names, target, hosted }.write(&mut dropped, &mut out)?;

    // The maker is a hash that every request needs, so it is computed once.
    let maker = Maker::new(target.provider, target.model);
    out.put(b",\"input\":[");
    let start = out.len();
    system.write_message(&mut out);
    let mut pairing = ToolUsePairing::new(turns)?;
    pairing.lead_ids_back(maker);
    pairing.make_ids_unique(maker);
    InputWriter { turns, pairing: &pairing, names, target, marks }.write(&mut dropped, &mut out)?;
    // Every item was written with a comma after it.
    if out.len() > start {
        out.pop();
    }
    out.put(b"]}");
    let reply = ResponsesReplyContext {
        requested_model: target.requested_model.to_owned(),
        signature: shows_thinking(request).then(|| signature::mint(target.provider, target.model)),
        stop_sequences: stop_sequences(request, target.members)?,
        searches: hosted.searches(),
        asks_for_judgement: asks_for_judgement(request),
        maker,
        names: names.back(),
    };
    Ok(ResponsesRequest { body: out, delivery, reply, dropped })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        convert::upstream::{
            dialect::{Dialect, PLAIN},
            hosted_search::HostedSearch,
        },
        openai::members::OpenAiMembers,
    };

    const TARGET: ResponsesUpstream<'_> = ResponsesUpstream {
        provider: "p",
        model: "up/m",
        requested_model: "p:m",
        dialect: &PLAIN,
        session: None,
        members: None,
    };

    fn reply(fields: &str, target: &ResponsesUpstream<'_>) -> ResponsesReplyContext {
        let body = format!(r#"{{"max_tokens":9,"messages":[{{"role":"user","content":"hi"}}]{fields}}}"#);
        convert(body.as_bytes(), target).unwrap().reply
    }

    /// Requirement: the decoder knows of the request what the reply depends on.
    #[test]
    fn the_reply_follows_the_request() {
        let plain = reply("", &TARGET);
        assert_eq!((plain.signature, plain.stop_sequences.len()), (None, 0));
        assert!(!plain.searches && !plain.asks_for_judgement && plain.names.is_empty());
        assert_eq!((&*plain.requested_model, plain.maker), ("p:m", Maker::new("p", "up/m")));
        let dialect = Dialect { web_search: Some(HostedSearch::OpenAi), ..Dialect::default() };
        let mut full = reply(
            r#","thinking":{"type":"adaptive"},"stop_sequences":["","\u0061\n"],"safeguards":[{"type":"dangerous_tool_use"}],
            "tools":[{"name":"a b","input_schema":{}},{"type":"web_search_20250305","name":"web_search"}]"#,
            &ResponsesUpstream { dialect: &dialect, ..TARGET },
        );
        assert_eq!(
            (full.signature, full.stop_sequences),
            (Some(signature::mint("p", "up/m")), vec!["a\n".to_owned()])
        );
        assert!(full.searches && full.asks_for_judgement);
        assert_eq!(full.names.get("a_b").map(String::as_str), Some("a b"));
        full = reply(r#","thinking":{"type":"disabled"}"#, &TARGET);
        assert_eq!(full.signature, None);
        full.asks_for_judgement = true;
        full.leave_verdicts_to_the_gateway();
        assert!(!full.asks_for_judgement);
    }

    /// Requirement: the API has no stop sequences, so the reply is cut at the client's own ones, blank ones included.
    #[test]
    fn stop_sequences_of_a_chat_client_are_its_own() {
        for (stop, expected) in [(r#""\n""#, vec!["\n"]), (r#"["a","",   "b"]"#, vec!["a", "b"])] {
            let members = OpenAiMembers::of_chat(format!(r#"{{"stop":{stop}}}"#).as_bytes());
            let target = ResponsesUpstream { members: Some(&members), ..TARGET };
            assert_eq!(reply(r#","stop_sequences":["hub"]"#, &target).stop_sequences, expected);
        }
        let members = OpenAiMembers::default();
        let target = ResponsesUpstream { members: Some(&members), ..TARGET };
        assert_eq!(reply(r#","stop_sequences":["hub"]"#, &target).stop_sequences, ["hub"]);
    }
}
