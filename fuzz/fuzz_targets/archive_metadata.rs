//! What it checks stands at `strongroom_archive::fuzz::archive_metadata`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| strongroom_archive::fuzz::archive_metadata(data));
