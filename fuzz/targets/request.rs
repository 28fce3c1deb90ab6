//! Fuzzes what `proxy::checks::request` says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan::proxy::checks::request(bytes));
