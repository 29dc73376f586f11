//! Fuzzes what clouds change: frames, bodies, errors and ids of models.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("cloud", bytes));
