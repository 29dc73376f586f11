//! Fuzzes the conversion of Messages requests for a Chat Completions upstream.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("request", bytes));
