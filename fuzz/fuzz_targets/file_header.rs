//! What it checks stands at `strongroom_format::fuzz::file_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| strongroom_format::fuzz::file_header(data));
