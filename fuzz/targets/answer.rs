//! Fuzzes what `proxy::checks::answer` says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan::proxy::checks::answer(bytes));
