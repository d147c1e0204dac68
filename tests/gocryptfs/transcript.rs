//! Masks what differs from run to run, whoever ran: paths, random values, process ids, times, versions.

use std::path::Path;

/// The transcript without accidents. `root` is the directory of the run.
pub fn masked(text: &str, root: &Path) -> String {
    let text = text.replace(&root.to_string_lossy().into_owned(), "@");
    let mut masked = String::new();
    for line in without_go_traces(&text).filter(|line| !is_about_the_machine(line)) {
        let line = mask_versions(&mask_tokens(&mask_sizes(&mask_secrets(mask_json_errors(&without_time(line))))));
        // Newer versions of gocryptfs write in lower case what older ones do not.
        masked.push_str(&line.to_ascii_lowercase());
        masked.push('\n');
    }
    masked
}

/// A Go program that panics shows its stack, to which this one has nothing to say.
fn without_go_traces(text: &str) -> impl Iterator<Item = &str> {
    let mut in_trace = false;
    text.lines().filter(move |line| {
        match line.strip_prefix("2 ") {
            Some(said) if said.starts_with("panic: ") || said.starts_with("goroutine ") => in_trace = true,
            None => in_trace = false,
            Some(_) => {}
        }
        !in_trace
    })
}

/// A machine without a syslog daemon is complained of by the real one alone.
fn is_about_the_machine(line: &str) -> bool {
    line.contains("Unix syslog delivery error")
}

/// Go's logger puts the time in front of some lines.
fn without_time(line: &str) -> String {
    let is_time = |word: &str| {
        word.len() == 15
            && word.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'))
            && word.contains(':')
    };
    match line.split_once(' ').and_then(|(stream, said)| Some((stream, said.split_once(' ')?))) {
        Some((stream, (time, said))) if is_time(time) => format!("{stream} {said}"),
        _ => line.to_owned(),
    }
}

/// What is random in a configuration, which is base64 with slashes.
fn mask_secrets(line: String) -> String {
    match ["\"EncryptedKey\": \"", "\"Salt\": \""]
        .iter()
        .find_map(|field| line.split_once(field).map(|(before, _)| (before, field)))
    {
        Some((before, field)) => format!("{before}{field}RANDOM\","),
        None => line,
    }
}

/// Each has its own words for what is no JSON.
fn mask_json_errors(line: &str) -> String {
    match line.split_once("JSON Unmarshal error: ") {
        Some((before, after)) => {
            let rest = after.rfind("\",\"WarnText").map_or("", |at| &after[at..]);
            format!("{before}JSON Unmarshal error: REASON{rest}")
        }
        None => line.to_owned(),
    }
}

/// The kernel's answers about sizes, which are no promise: how much is read at once.
fn mask_sizes(line: &str) -> String {
    match line.split_once(",max_read=") {
        Some((before, after)) => format!("{before}{}", after.trim_start_matches(|char: char| char.is_ascii_digit())),
        None => line.to_owned(),
    }
}

/// Random values: base64 and hex of 16 bytes and more, groups of a master key, process ids in names.
fn mask_tokens(line: &str) -> String {
    let mut masked = String::new();
    let mut token = String::new();
    for char in line.chars().chain(['\n']) {
        if char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '+') {
            token.push(char);
            continue;
        }
        masked.push_str(&masked_token(&token));
        token.clear();
        masked.push(char);
    }
    masked.trim_end_matches('\n').to_owned()
}

fn masked_token(token: &str) -> String {
    if token.starts_with("GODEBUG") {
        return token.to_owned();
    }
    let is_random = token.len() >= 22
        && token.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-'))
        && token.bytes().filter(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()).count() >= 3;
    if is_random { "RANDOM".to_owned() } else { token.to_owned() }
}

/// What the programs say of themselves.
fn mask_versions(line: &str) -> String {
    for (label, masked) in
        [("1 Creator:", "1 Creator: VERSION"), ("1 gocryptfs 2.", "1 VERSION"), ("1 gocryptfs-xray 2.", "1 VERSION")]
    {
        if line.starts_with(label) {
            return masked.to_owned();
        }
    }
    line.to_owned()
}
