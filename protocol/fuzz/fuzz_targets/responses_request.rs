//! Fuzzes the conversion of Messages requests for a Responses upstream.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("responses_request", bytes));
