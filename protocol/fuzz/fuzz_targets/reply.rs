//! Fuzzes the conversion of Chat Completions streams for a Messages client.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("reply", bytes));
