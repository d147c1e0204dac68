//! What the documents point at is there.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_link_leads_somewhere() {
    let broken: Vec<_> = documents().iter().flat_map(|document| broken_links(document)).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn every_source_file_that_the_architecture_names_is_there() {
    let document = root().join("docs/ARCHITECTURE.md");
    let text = fs::read_to_string(&document).unwrap();
    let missing: Vec<_> = named_sources(&text).filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "docs/ARCHITECTURE.md names files that are not there: {missing:?}");
}

fn documents() -> Vec<PathBuf> {
    let folders = [root(), root().join("docs"), root().join("docs/design")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let documents: Vec<_> = files.filter(|file| file.extension().is_some_and(|extension| extension == "md")).collect();
    assert!(documents.len() > 8, "the documents are found");
    documents
}

/// Relative links of a Markdown file whose target does not exist.
fn broken_links(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).unwrap();
    let folder = document.parent().expect("a file lies in a folder");
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let local = targets.map(|target| target.split('#').next().unwrap_or_default());
    let missing = local.filter(|target| !target.is_empty() && !target.contains("://") && !folder.join(target).exists());
    missing.map(|target| format!("{} links to {target}, which is not there", document.display())).collect()
}

/// Words in backquotes or indented text such as `vault/src/write.rs`.
fn named_sources(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '`' | '(' | ')' | ','));
    words.filter(|word| word.ends_with(".rs") && word.contains('/'))
}

fn exists(name: &str) -> bool {
    root().join(name).exists() || root().join("crates").join(name).exists()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the workspace").to_owned()
}
