//! Fuzzes the chunks of a Chat Completions upstream and whole messages, read by hand and by serde.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("plain", bytes));
