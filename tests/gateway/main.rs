//! The gateway as its users meet it: the real binary over real sockets, before an upstream that does what it is
//! told. A file per story.

mod asking_commands;
mod azure;
mod chat_completions;
mod command_line;
mod complaints;
mod configuration;
mod container;
mod count_tokens;
mod cutting;
mod demo;
mod discovery;
mod doors;
mod fallbacks;
mod gemini;
mod healing;
mod hostile_clients;
mod keys;
mod liveness;
mod model_names;
mod models;
mod models_cache;
mod own_keys;
mod passthrough;
mod process_control;
mod recording;
mod routing;
mod running_totals;
mod scripted_upstream;
mod secrets;
mod side_by_side;
mod supervision;
mod support;
mod translation;
mod wrap;
