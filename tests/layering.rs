//! Imports go down the levels that docs/ARCHITECTURE.md describes; each crate names its own in
//! `[package.metadata.strongroom]`. The build fails here, with a reason, when one does not.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[test]
fn every_import_goes_down() {
    let broken = violations(&workspace());
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn fuser_is_named_only_by_the_transport() {
    let transport = Path::new("mount/src/transport");
    let named: Vec<_> = rust_sources(&root())
        .into_iter()
        .filter(|file| !is_under(file, transport) && !file.ends_with("tests/layering.rs"))
        .filter(|file| names_crate(&std::fs::read_to_string(file).unwrap(), "fuser"))
        .collect();
    assert!(named.is_empty(), "fuser may be named only under {}, but is in {named:?}", transport.display());
}

#[test]
fn clap_is_named_only_by_the_command_line() {
    let named: Vec<_> = rust_sources(&root())
        .into_iter()
        .filter(|file| !is_under(file, Path::new("crates/cli")) && !file.ends_with("tests/layering.rs"))
        .filter(|file| names_crate(&std::fs::read_to_string(file).unwrap(), "clap"))
        .collect();
    assert!(named.is_empty(), "clap may be named only in crates/cli, but is in {named:?}");
}

#[test]
fn an_upward_import_is_refused_with_the_reason() {
    let graph = [package("low", "1", &["high"]), package("high", "3", &[])];
    assert_eq!(violations(&graph), ["strongroom-low (level 1) imports strongroom-high (level 3): imports go down"]);
}

#[test]
fn a_sideways_import_is_refused() {
    let graph = [package("left", "2", &["right"]), package("right", "2", &[])];
    assert_eq!(violations(&graph), ["strongroom-left (level 2) imports strongroom-right (level 2): imports go down"]);
}

#[test]
fn a_product_crate_may_not_import_a_test_double() {
    let graph = [package("vault", "3", &["testkit"]), package("testkit", "tests", &[])];
    assert_eq!(
        violations(&graph),
        ["strongroom-vault (level 3) imports strongroom-testkit (tests): doubles are for [dev-dependencies]"]
    );
}

#[test]
fn a_double_may_be_a_dev_dependency() {
    let mut vault = package("vault", "3", &[]);
    vault.imports.push(Import { name: "strongroom-testkit".into(), for_tests: true });
    assert!(violations(&[vault, package("testkit", "tests", &[])]).is_empty());
}

#[test]
fn a_dev_dependency_may_not_go_up_either() {
    let mut low = package("low", "1", &[]);
    low.imports.push(Import { name: "strongroom-high".into(), for_tests: true });
    let broken = violations(&[low, package("high", "3", &[])]);
    assert_eq!(broken, ["strongroom-low (level 1) imports strongroom-high (level 3): imports go down"]);
}

#[test]
fn the_test_kit_stays_below_composition() {
    let graph = [package("testkit", "tests", &["actions"]), package("actions", "5", &[])];
    let broken = violations(&graph);
    assert_eq!(
        broken,
        ["strongroom-testkit (tests) imports strongroom-actions (level 5): doubles stand on level 4 or below"]
    );
}

#[test]
fn a_crate_without_a_level_is_refused() {
    let mut stray = package("stray", "1", &[]);
    stray.level = None;
    let broken = violations(&[stray]);
    assert_eq!(broken, ["strongroom-stray names no level in [package.metadata.strongroom]"]);
}

#[test]
fn a_confined_library_is_refused_elsewhere() {
    let mut vault = package("vault", "3", &[]);
    vault.imports.push(Import { name: "fuser".into(), for_tests: false });
    vault.imports.push(Import { name: "clap_complete".into(), for_tests: false });
    let broken = violations(&[vault]);
    assert_eq!(
        broken,
        [
            "strongroom-vault imports fuser: only strongroom-mount may",
            "strongroom-vault imports clap_complete: only strongroom-cli may"
        ]
    );
}

/// Libraries that one crate alone may import, by the beginning of their names.
const CONFINED: [(&str, &str); 2] = [("fuser", "strongroom-mount"), ("clap", "strongroom-cli")];

struct Package {
    name: String,
    level: Option<Level>,
    imports: Vec<Import>,
}

struct Import {
    name: String,
    for_tests: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Product(u8),
    Tests,
}

/// One sentence for each import that breaks a rule, in the order of the packages.
fn violations(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(|package| package_violations(package, packages)).collect()
}

fn package_violations(package: &Package, all: &[Package]) -> Vec<String> {
    let Some(level) = package.level else {
        return vec![format!("{} names no level in [package.metadata.strongroom]", package.name)];
    };
    package.imports.iter().filter_map(|import| import_violation(package, level, import, all)).collect()
}

fn import_violation(package: &Package, level: Level, import: &Import, all: &[Package]) -> Option<String> {
    if let Some((_, owner)) = CONFINED.iter().find(|(prefix, _)| import.name.starts_with(prefix)) {
        let allowed = package.name == *owner;
        return (!allowed).then(|| format!("{} imports {}: only {owner} may", package.name, import.name));
    }
    let other = all.iter().find(|other| other.name == import.name)?;
    let rule = broken_rule(package, level, import, other.level?)?;
    Some(format!("{} imports {}: {rule}", described(package), described(other)))
}

fn broken_rule(package: &Package, level: Level, import: &Import, other: Level) -> Option<&'static str> {
    match (level, other) {
        (Level::Product(own), Level::Product(other)) if other >= own => Some("imports go down"),
        (Level::Product(_), Level::Tests) if !import.for_tests => Some("doubles are for [dev-dependencies]"),
        (Level::Tests, Level::Product(other)) if package.name == "strongroom-testkit" && other > 4 => {
            Some("doubles stand on level 4 or below")
        }
        _ => None,
    }
}

fn described(package: &Package) -> String {
    match package.level {
        Some(Level::Product(level)) => format!("{} (level {level})", package.name),
        _ => format!("{} (tests)", package.name),
    }
}

fn package(name: &str, level: &str, imports: &[&str]) -> Package {
    let import = |name: &&str| Import { name: format!("strongroom-{name}"), for_tests: false };
    Package {
        name: format!("strongroom-{name}"),
        level: parse_level(level),
        imports: imports.iter().map(import).collect(),
    }
}

fn parse_level(level: &str) -> Option<Level> {
    match level {
        "tests" => Some(Level::Tests),
        number => number.parse().ok().filter(|level| *level <= 6).map(Level::Product),
    }
}

/// The packages of this workspace, as Cargo sees them.
fn workspace() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages: Vec<_> = metadata["packages"].as_array().unwrap().iter().map(read_package).collect();
    assert!(packages.len() > 5, "cargo metadata lists the whole workspace");
    packages
}

fn read_package(package: &Value) -> Package {
    let import = |dependency: &Value| Import {
        name: dependency["name"].as_str().unwrap().to_owned(),
        for_tests: dependency["kind"] == "dev",
    };
    Package {
        name: package["name"].as_str().unwrap().to_owned(),
        level: package["metadata"]["strongroom"]["level"].as_str().and_then(parse_level),
        imports: package["dependencies"].as_array().unwrap().iter().map(import).collect(),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the workspace").to_owned()
}

fn is_under(file: &Path, folder: &Path) -> bool {
    file.strip_prefix(root()).is_ok_and(|relative| relative.starts_with(folder))
}

fn rust_sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            if name != "target" && !name.as_encoded_bytes().starts_with(b".") {
                found.extend(rust_sources(&entry.path()));
            }
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            found.push(entry.path());
        }
    }
    found
}

/// Whether code (not a comment) names `library` as the beginning of a path or in a `use`.
fn names_crate(source: &str, library: &str) -> bool {
    let path = format!("{library}::");
    let import = format!("use {library}");
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.into_iter().any(|line| {
        line.match_indices(&path).any(|(at, _)| begins_a_path(&line[..at]))
            || line.trim_start().trim_start_matches("pub ").starts_with(&import)
    })
}

/// Not the end of a longer word, and not a module of our own, as in `transport::fuser::`.
fn begins_a_path(before: &str) -> bool {
    !before.ends_with(|last: char| last.is_alphanumeric() || last == '_' || last == ':')
}

#[test]
fn a_module_of_our_own_is_not_the_library_of_its_name() {
    assert!(names_crate("let session = fuser::Session::new();", "fuser"));
    assert!(names_crate("use fuser::{Filesystem, Request};", "fuser"));
    assert!(!names_crate("let session = transport::fuser::serve();", "fuser"));
    assert!(!names_crate("// fuser::Session is not named here", "fuser"));
}
