//! Fuzzes what `proxy::checks::framing` says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan::proxy::checks::framing(bytes));
