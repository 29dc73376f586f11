//! Fuzzes the requests of Responses clients, for upstreams of Messages and of Chat Completions.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("responses_client_request", bytes));
