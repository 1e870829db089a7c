#![no_main]

#[path = "../promises.rs"]
mod promises;

libfuzzer_sys::fuzz_target!(init: promises::pass_over_known_panics(), |input: &[u8]| promises::html(input));
