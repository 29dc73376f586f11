//! Fuzzes the replies of Messages and Chat Completions upstreams for a client of the Responses API, in every form.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("responses_client", bytes));
