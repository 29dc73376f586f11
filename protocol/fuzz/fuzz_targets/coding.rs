//! Fuzzes bodies in content codings.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("coding", bytes));
