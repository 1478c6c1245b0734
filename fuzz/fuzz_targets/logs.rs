#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../invariants.rs"]
mod invariants;

// The first two bytes say where the rest is cut.
fuzz_target!(|input: &[u8]| {
    if let Some((cut, page)) = input.split_first_chunk() {
        invariants::check(page, usize::from(u16::from_le_bytes(*cut)));
    }
});
