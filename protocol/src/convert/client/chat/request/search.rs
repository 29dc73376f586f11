//! The web search of a Chat Completions client: `web_search_options` (OpenAI's search models), or a tool.

use crate::{
    convert::{
        Dropped,
        client::request::search::{NAME, OBJECT, SearchOptions, SearchRequest, is_search, parsed},
    },
    fault::RequestError,
    json::{JsonWord, Literal},
    openai::request::{ChatRequestBody, ChatTool},
};

fn options<'a>(tool: &ChatTool<'a>) -> SearchOptions<'a> {
    SearchOptions {
        user_location: tool.user_location,
        search_context_size: tool.search_context_size,
        filters: tool.filters,
        allowed_domains: tool.allowed_domains,
        blocked_domains: tool.blocked_domains,
        max_uses: tool.max_uses,
    }
}

/// Reads the client's search: the first tool, otherwise the options. Names what is dropped, among it tools of other types that
/// run at a vendor, and the search if a function has its name. `functions` are the names of the client's own tools.
pub(super) fn read<'a>(
    request: &ChatRequestBody<'a>,
    functions: &[Literal<'_>],
    dropped: &mut Dropped,
) -> Result<Option<SearchRequest<'a>>, RequestError> {
    let is_taken = functions.iter().any(|name| name.is(NAME));
    let mut search = None;
    for (at, tool) in request.tools.iter().flatten().enumerate() {
        let kind = tool.r#type.as_ref().map_or("function", JsonWord::as_str);
        if matches!(kind, "function" | "custom") {
            continue;
        }
        let path = format!("tools.{at}");
        if is_search(kind) && search.is_none() && !is_taken {
            search = Some(SearchRequest::new(kind, options(tool), &path, dropped)?);
        } else {
            dropped.note(format_args!("{path} ({kind})"));
        }
    }
    let options = request.web_search_options.filter(|options| options.get() != "null");
    match (options, &search) {
        (Some(raw), None) if !is_taken => {
            let path = "web_search_options";
            let options = parsed(Some(raw), path, OBJECT)?.unwrap_or_default();
            search = Some(SearchRequest::new(NAME, options, path, dropped)?);
        }
        (Some(_), _) => dropped.note("web_search_options"),
        (None, _) => {}
    }
    Ok(search)
}
