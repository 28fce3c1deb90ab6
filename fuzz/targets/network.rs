//! Fuzzes what `checks::network` says.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| checks::network(text));
