//! Fuzzes the conversion of Responses replies for a Messages client.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("responses_reply", bytes));
