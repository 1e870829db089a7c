#![no_main]

#[path = "../promises.rs"]
mod promises;

use std::alloc::System;

use cap::Cap;

/// An allocation beyond the limit ends the process, and libFuzzer reports the input.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

libfuzzer_sys::fuzz_target!(|input: &[u8]| promises::requests_within(input, |bytes_max, read| {
    MEMORY.set_limit(MEMORY.allocated() + bytes_max).expect("the limit is above the memory in use");
    read();
    MEMORY.set_limit(usize::MAX).expect("removing the limit cannot fail");
}));
