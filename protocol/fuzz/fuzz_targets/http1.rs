//! HTTP/1.1 replies in any slicing.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("http1", bytes));
