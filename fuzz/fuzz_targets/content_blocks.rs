//! What it checks stands at `strongroom_format::fuzz::content_blocks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| strongroom_format::fuzz::content_blocks(data));
