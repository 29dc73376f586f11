//! Fuzzes conversations of a client of the Responses API over a WebSocket.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("websocket", bytes));
