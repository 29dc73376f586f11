//! Fuzzes the scan and the edits of forms.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("form", bytes));
