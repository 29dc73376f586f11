//! JSON schemas on their way to Gemini.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("schema", bytes));
