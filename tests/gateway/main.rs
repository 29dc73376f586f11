//! The gateway as its users meet it: the real binary over real sockets, before an upstream that does what it is
//! told. A file per story.

mod configuration;
mod cutting;
mod demo;
mod keys;
mod liveness;
mod model_names;
mod passthrough;
mod routing;
mod scripted_upstream;
mod secrets;
mod supervision;
mod support;
mod translation;
