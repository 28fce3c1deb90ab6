//! Fuzzes what `proxy::checks::forwarded` says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan::proxy::checks::forwarded(bytes));
