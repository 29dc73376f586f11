//! Fuzzes the reduction of JSON schemas for Gemini.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("schema", bytes));
