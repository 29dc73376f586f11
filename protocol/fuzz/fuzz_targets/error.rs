//! Fuzzes upstream errors of any shape.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("error", bytes));
