//! Fuzzes what `checks::path` says.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| checks::path(text));
