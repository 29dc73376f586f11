//! Fuzzes text, reasoning and tool calls in pieces: nothing may be lost.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("calls", bytes));
