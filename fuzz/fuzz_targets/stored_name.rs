//! What it checks stands at `strongroom_format::fuzz::stored_name`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| strongroom_format::fuzz::stored_name(data));
