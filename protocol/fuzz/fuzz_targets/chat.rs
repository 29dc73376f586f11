//! Fuzzes a Chat Completions client over the Messages API: its request, and the reply in every form.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("chat", bytes));
