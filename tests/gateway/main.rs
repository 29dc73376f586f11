//! The gateway as its users meet it: the real binary over real sockets, before an upstream that does what it is
//! told. A file per story.

mod routing;
mod scripted_upstream;
mod support;
