//! docs/CONFIGURATION.md says what is so.

use std::{collections::BTreeMap, path::Path};

use strongroom_config::Config;

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CONFIGURATION.md")).unwrap()
}

/// The default of each setting, by its whole key, as the tables have it.
fn documented() -> BTreeMap<String, String> {
    let mut defaults = BTreeMap::new();
    let mut section = String::new();
    for line in document().lines() {
        if let Some(heading) = line.strip_prefix("## `[") {
            section = heading.trim_matches(['[', ']', '`']).to_owned();
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<&str> = row.split(" | ").collect();
            let key = format!("{section}.{}", cells[0].trim_end_matches('`'));
            defaults.insert(key, cells[2].trim_matches('`').to_owned());
        }
    }
    defaults.retain(|key, _| !key.contains("STRONGROOM_") && !key.starts_with("backup.component."));
    defaults
}

#[test]
fn every_setting_is_documented_with_its_default() {
    let shown = Config::default().to_toml();
    let mut lines = shown.lines().filter(|line| line.contains('=')).map(|line| {
        let value = line.trim_start_matches("# ").split_once('=').unwrap().1;
        value.split(" #").next().unwrap().trim()
    });
    let real: BTreeMap<String, String> = Config::keys()
        .into_iter()
        .map(|key| (key, lines.next().map(|value| if value.is_empty() { "–" } else { value }).unwrap().to_owned()))
        .collect();
    assert_eq!(documented(), real);
}

#[test]
fn every_example_can_be_used() {
    let document = document();
    let examples: Vec<&str> =
        document.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 6);
    for example in &examples {
        Config::parse(example, Path::new("/etc/strongroom/strongroom.toml")).unwrap_or_else(|error| panic!("{error}"));
    }
    // All in one file, too, as somebody may put them together.
    Config::parse(&examples.concat(), Path::new("/etc/strongroom/strongroom.toml")).unwrap();
}

#[test]
fn the_refusal_that_is_shown_is_the_one_that_comes() {
    let text = "[backup]\nsource = \"/srv/app\"\nencrypted = true";
    let error = Config::parse(text, Path::new("/etc/strongroom/strongroom.toml")).unwrap_err();
    assert!(document().contains(&error.to_string()));
}
