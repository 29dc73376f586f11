//! What the requests of OpenAI's APIs have in common on their way to a Messages request: the order of turns, calls and their
//! results, blocks, schemas, and what each generation of Anthropic's models accepts.

pub(super) mod blocks;
pub(super) mod conversation;
pub(super) mod custom_tool;
pub(super) mod model;
pub(super) mod pairing;
pub(super) mod reasoning;
pub(super) mod schema;
pub(super) mod search;
pub(super) mod settings;
pub(super) mod tool_choice;
pub(super) mod user;
