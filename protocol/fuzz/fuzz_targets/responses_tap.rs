//! Fuzzes Responses replies that pass through, and their other forms.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("responses_tap", bytes));
