//! Fuzzes refusals, and the requests that are edited for them.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("compat", bytes));
