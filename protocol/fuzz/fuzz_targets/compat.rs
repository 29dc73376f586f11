//! A refusal, and the request that is edited for it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("compat", bytes));
