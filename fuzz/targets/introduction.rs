//! Fuzzes what `proxy::checks::introduction` says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan::proxy::checks::introduction(bytes));
