//! Fuzzes HTTP/1.1 replies in pieces of any size.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("http1", bytes));
