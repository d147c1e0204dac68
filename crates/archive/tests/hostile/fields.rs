//! Every field of the index, changed in every way.

use serde_json::{Value, json};

use crate::forge::{Parts, check};

/// Fields that only the index tells: nothing in the tar stream could contradict it.
const ONLY_HERE: [&str; 4] = ["stamp", "changed", "damaged", "renamed_from"];

#[test]
fn a_good_archive_put_together_again_is_good() {
    let parts = Parts::good();
    let report = check(&parts.bytes()).unwrap();
    assert_eq!((report.entries, report.files), (10, 4));
    let mut told = parts.clone();
    told.tell_frames();
    assert_eq!(told.lines, parts.lines);
}

#[test]
fn no_field_of_the_index_can_be_changed_unnoticed() {
    let parts = Parts::good();
    let mut accepted = Vec::new();
    for n in 0..parts.lines.len() {
        for pointer in pointers(&parts.lines[n]) {
            for changed in changes(parts.lines[n].pointer(&pointer).unwrap()) {
                let mut parts = parts.clone();
                *parts.lines[n].pointer_mut(&pointer).unwrap() = changed.clone();
                if check(&parts.bytes()).is_ok() {
                    accepted.push(format!("line {n} {pointer} = {changed}"));
                }
            }
        }
    }
    accepted.retain(|what| !ONLY_HERE.iter().any(|field| what.contains(&format!("/{field}"))));
    assert!(accepted.is_empty(), "{accepted:#?}");
}

#[test]
fn no_field_of_the_index_can_be_left_out_unnoticed() {
    let parts = Parts::good();
    let mut accepted = Vec::new();
    for n in 0..parts.lines.len() {
        for pointer in pointers(&parts.lines[n]).into_iter().filter(|pointer| !pointer.is_empty()) {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            let mut parts = parts.clone();
            let Some(Value::Object(fields)) = parts.lines[n].pointer_mut(parent) else { continue };
            fields.remove(field).unwrap();
            if check(&parts.bytes()).is_ok() {
                accepted.push(format!("line {n} {pointer}"));
            }
        }
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
}

#[test]
fn no_line_of_the_index_can_be_left_out_repeated_or_moved() {
    let parts = Parts::good();
    for n in 0..parts.lines.len() {
        let mut without = parts.clone();
        without.lines.remove(n);
        assert!(check(&without.bytes()).is_err(), "without {n}");
        let mut twice = parts.clone();
        twice.lines.insert(n, parts.lines[n].clone());
        assert!(check(&twice.bytes()).is_err(), "{n} twice");
        if n > 0 {
            let mut swapped = parts.clone();
            swapped.lines.swap(n - 1, n);
            assert!(check(&swapped.bytes()).is_err(), "{n} swapped");
        }
    }
}

/// Where all values are, the whole first.
fn pointers(value: &Value) -> Vec<String> {
    let below = |key: &str, value| pointers(value).into_iter().map(move |rest| format!("/{key}{rest}")).collect();
    let mut all = vec![String::new()];
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let deeper: Vec<String> = below(&key.replace('~', "~0").replace('/', "~1"), value);
                all.extend(deeper);
            }
        }
        Value::Array(values) => {
            for (n, value) in values.iter().enumerate() {
                let deeper: Vec<String> = below(&n.to_string(), value);
                all.extend(deeper);
            }
        }
        _ => {}
    }
    all
}

/// Other values for a place that holds this one.
fn changes(value: &Value) -> Vec<Value> {
    let mut changes = vec![json!(null), json!(-1), json!(1.5), json!("x"), json!([]), json!({}), json!(u64::MAX)];
    match value {
        Value::Number(number) => {
            let number = number.as_u64().unwrap_or(0);
            for other in [0, 1, 512, 1 << 32, 1 << 63, u64::MAX - 511] {
                changes.extend([json!(other), json!(number.wrapping_add(other)), json!(number.wrapping_sub(other))]);
            }
        }
        Value::String(text) => {
            for other in ["..", "/", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/", "a\0b", "", ".", "a-file"] {
                changes.push(json!(other));
            }
            changes.extend([json!(format!("{text}x")), json!(format!("x{text}")), json!(text.to_uppercase())]);
            let words = ["file", "directory", "link", "symlink", "fifo", "socket", "char-device", "block-device"];
            changes.extend(words.map(|word| json!(word)));
            changes.extend(["zstd", "gzip", "none", "incremental"].map(|word| json!(word)));
        }
        Value::Array(values) => {
            let mut longer = values.clone();
            longer.extend(values.last().cloned());
            changes.extend([json!(longer), json!(values[..values.len().saturating_sub(1)])]);
        }
        Value::Bool(mark) => changes.push(json!(!mark)),
        _ => {}
    }
    changes.retain(|change| change != value);
    changes
}
