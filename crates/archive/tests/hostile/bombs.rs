//! Small archives that claim to be, or unpack to, more than a machine has. Each must be refused, and soon.

use serde_json::json;

use crate::forge::{Parts, check, open};

/// A stored index of `times` times the same lines: each decompresses by itself, and all of them as one.
fn repeated(head: &[u8], lines: &[u8], times: usize) -> Vec<u8> {
    let lines = zstd::encode_all(lines, 1).unwrap();
    [zstd::encode_all(head, 1).unwrap(), lines.repeat(times)].concat()
}

/// The most that an index of so many stored bytes may claim to become.
fn most(stored: &[u8]) -> u64 {
    stored.len() as u64 * 1000 + (1 << 20)
}

fn head(parts: &mut Parts) -> Vec<u8> {
    format!("{}\n", parts.line("head")).into_bytes()
}

#[test]
fn a_line_without_end_is_refused() {
    let parts = Parts::good();
    let stored = repeated(b"{\"head\":\"", &vec![b'x'; 64 << 20], 1000);
    assert!(stored.len() < 20 << 20);
    assert!(check(&parts.with_stored_index(&stored, most(&stored))).is_err());
}

#[test]
fn a_table_of_more_frames_than_the_container_can_have_is_refused() {
    let mut parts = Parts::good();
    let frames = format!("{}\n", json!({ "frames": vec![[1, 512]; 500_000] }));
    let stored = repeated(&head(&mut parts), frames.as_bytes(), 2000);
    assert!(stored.len() < 20 << 20);
    assert!(check(&parts.with_stored_index(&stored, most(&stored))).is_err());
}

#[test]
fn an_index_that_unpacks_to_terabytes_is_refused_before_it_is_unpacked() {
    let parts = Parts::good();
    let stored = repeated(b"", &vec![b'\n'; 64 << 20], 1000);
    assert!(open(&parts.with_stored_index(&stored, most(&stored) + 1)).is_err());
    assert!(open(&parts.with_stored_index(&stored, u64::MAX)).is_err());
}

#[test]
fn a_crowd_of_issues_is_not_taken_into_memory() {
    let mut parts = Parts::good();
    parts.line("head")["head"]["metadata"]["issues"] = json!(1);
    parts.lines.pop().unwrap();
    let issue = json!({ "issue": { "what": "vanished", "component": 0, "path": "x" } });
    let begin: String = parts.lines.iter().map(|line| format!("{line}\n")).collect();
    let lines = format!("{issue}\n").repeat(1_000_000);
    let stored = repeated(begin.as_bytes(), lines.as_bytes(), 1000);
    let archive = open(&parts.with_stored_index(&stored, most(&stored))).unwrap();
    let why = archive.issues().unwrap_err().to_string();
    assert!(why.contains("more than it can hold"), "{why}");
}

#[test]
fn a_crowd_of_components_is_refused() {
    let mut parts = Parts::good();
    let components = &mut parts.line("head")["head"]["metadata"]["components"];
    let one = components[0].clone();
    let many = (0..60_000).map(|n| {
        let mut component = one.clone();
        component["prefix"] = json!(format!("p{n}"));
        component["name"] = json!(n.to_string());
        component
    });
    *components = many.collect();
    assert!(open(&parts.bytes()).is_err());
}

#[test]
fn an_index_longer_or_shorter_than_it_claims_is_refused() {
    let good = Parts::good();
    let len = good.lines.iter().map(|line| line.to_string().len() as u64 + 1).sum::<u64>();
    for claim in [0, 1, len - 1, len + 1, len * 2, u64::MAX] {
        let parts = Parts { plain_len: Some(claim), ..good.clone() };
        assert!(check(&parts.bytes()).is_err(), "{claim} for {len}");
    }
    let parts = Parts { plain_len: Some(len), ..good };
    assert!(check(&parts.bytes()).is_ok());
}

#[test]
fn an_index_that_is_no_zstd_or_asks_for_a_huge_window_is_refused() {
    let parts = Parts::good();
    for stored in [&b""[..], b"x", b"{}", &[0x28, 0xB5, 0x2F, 0xFD]] {
        assert!(check(&parts.with_stored_index(stored, 100)).is_err());
    }
    let text: String = parts.lines.iter().map(|line| format!("{line}\n")).collect();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    let stored = encoder.finish().unwrap();
    assert!(check(&parts.with_stored_index(&stored, text.len() as u64)).is_err());
}
