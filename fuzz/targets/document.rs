//! Fuzzes what `checks::document` says.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| checks::document(text));
