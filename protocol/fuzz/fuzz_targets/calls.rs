//! Text, thoughts and tool calls in pieces: all of it arrives.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vandamme_protocol_fuzz::run("calls", bytes));
