//! What it checks stands at `strongroom_format::fuzz::values`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| strongroom_format::fuzz::values(data));
