//! Request bodies looked at and edited without being parsed.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("scan", bytes));
