//! The tools of a Messages request as every upstream codec reads them. The codecs write them in the form of their APIs.

mod client_tools;
mod deferred;
mod support;
mod tool_list;
mod web;

pub(crate) use deferred::deferred;
pub(crate) use support::{ToolSupport, all_names, callable_name, find_chosen, function_schema};
pub(crate) use tool_list::{ToolEntry, tool_list};
pub(crate) use web::{
    EVERY_PLACE, SearchLimits, WebAccess, count, domains, is_web_fetch, is_web_search, set, write_count,
    write_list,
};
