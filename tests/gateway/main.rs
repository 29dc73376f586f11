//! The gateway as its users meet it: the real binary over real sockets, before an upstream that does what it is
//! told. A file per story.

mod chat_completions;
mod complaints;
mod configuration;
mod container;
mod count_tokens;
mod cutting;
mod demo;
mod hostile_clients;
mod keys;
mod liveness;
mod model_names;
mod models;
mod passthrough;
mod recording;
mod routing;
mod running_totals;
mod scripted_upstream;
mod secrets;
mod side_by_side;
mod supervision;
mod support;
mod translation;
