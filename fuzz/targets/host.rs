//! Fuzzes what `checks::host` says.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| checks::host(text));
