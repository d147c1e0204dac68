//! strongroom.toml is read, refused with the place of each mistake, put together from several files, and shown.

use std::{path::Path, time::Duration};

use proptest::prelude::*;
use strongroom_config::{
    BackupType, BootKind, ComponentKind, Compression, Config, ConfigError, DatabaseCheck, Kdf, Origin,
};
use strongroom_secret::SecretRef;

const FILE: &str = "/etc/strongroom/strongroom.toml";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new(FILE))
}

fn refusal(text: &str) -> String {
    let shown = parse(text).expect_err("this is wrong").to_string();
    shown.strip_prefix("/etc/strongroom/strongroom.toml:").expect("a refusal begins with its place").to_owned()
}

#[test]
fn every_setting_is_read() {
    let config = parse(
        r#"
        [backup]
        source = "/srv/app"
        name = "app"
        output = "archives"
        encrypt = false
        kdf = "pbkdf2-sha256"
        passphrase_command = "pass show backup"
        compression = "lz4"
        compression_level = 9
        type = "incremental"
        include = ["notes", "*.txt"]
        exclude = ["cache/"]
        label = "nightly"
        verify = false
        checksum = true
        threads = 3
        max_size = "10GiB"
        one_file_system = true
        databases = "listed"
        database_check = "quick"
        database_wait = "1m30s"
        numeric_owner = true

        [backup.retention]
        keep = 3
        keep_daily = 7
        keep_weekly = 4
        keep_monthly = 12
        keep_yearly = 10
        max_age = "30d"
        keep_at_least = 2
        automatic = true

        [[backup.component]]
        name = "notes"
        kind = "sqlite"
        path = "data/notes.db"
        sidecars = [".salt", "data/keys"]
        default = false

        [hooks]
        pre = ["systemctl", "stop", "app"]
        timeout = "90s"
        on_failure = "warn"

        [audit]
        enabled = false
        dir = "/var/log/strongroom"
        required = true

        [vault]
        passphrase_credential = "vault"
        scrypt_log_n = 10

        [migrate]
        vault = "cipher"
        state_dir = "/srv/state"
        backup = false
        backup_to = "/backup"
        recovery_key_file = "key"
        max_downtime = "30s"
        postpone_file = "/run/wait"
        service_timeout = "2m"
        health_timeout = "3m"
        soak = "1d"
        finalize = true
        erase_passes = 3
        prove = true
        scrub = ["free", "journal"]
        accept = ["devices"]

        [migrate.boot]
        kind = "runit"
        passphrase_file = "/root/key"
        "#,
    )
    .unwrap();
    let backup = &config.backup;
    assert_eq!(backup.output.as_deref(), Some(Path::new("/etc/strongroom/archives")));
    assert_eq!(
        (backup.kdf, backup.compression, backup.compression_level),
        (Kdf::Pbkdf2Sha256, Compression::Lz4, Some(9))
    );
    assert_eq!((backup.backup_type, backup.max_size), (BackupType::Incremental, Some(10 << 30)));
    assert_eq!((backup.database_check, backup.database_wait), (DatabaseCheck::Quick, Duration::from_secs(90)));
    assert_eq!(backup.passphrase, Some(SecretRef::Command("pass show backup".into())));
    assert_eq!((backup.retention.last, backup.retention.max_age, backup.automatic_cleanup), (Some(3), Some(30), true));
    let notes = &backup.components[0];
    assert_eq!((notes.kind, notes.default), (ComponentKind::Sqlite, false));
    assert_eq!(notes.sidecar_paths(), [Path::new("data/notes.db.salt"), Path::new("data/keys")]);
    assert_eq!(config.hooks.pre, ["systemctl", "stop", "app"]);
    assert_eq!(config.vault.passphrase, Some(SecretRef::Credential("vault".into())));
    assert!(!config.audit.enabled && config.audit.required);
    let migrate = &config.migrate;
    assert_eq!(migrate.vault.as_deref(), Some(Path::new("/etc/strongroom/cipher")));
    assert_eq!((migrate.max_downtime, migrate.soak), (Some(Duration::from_secs(30)), Duration::from_secs(86_400)));
    assert_eq!((migrate.boot.kind, migrate.erase_passes.get()), (Some(BootKind::Runit), 3));
    // All of it: nothing that can be set has its default.
    let unset: Vec<String> = Config::keys().into_iter().filter(|key| !config.origins.contains_key(key)).collect();
    let others =
        ["passphrase_file", "boot.passphrase_command", "passphrase_credential", "hooks.p", "vault.passphrase_command"];
    assert!(unset.iter().all(|key| others.iter().any(|other| key.contains(other))), "{unset:?}");
}

#[test]
fn an_empty_file_has_the_defaults() {
    let config = parse("# nothing").unwrap();
    assert_eq!(config, Config::default());
    assert!(config.backup.encrypt && config.backup.verify && config.audit.enabled);
    assert!(config.backup.retention.is_empty());
}

#[test]
fn a_mistake_is_shown_where_it_is() {
    assert_eq!(
        refusal("[backup]\nkdf = \"bcrypt\""),
        "2:7: `backup.kdf` is \"scrypt\" or \"pbkdf2-sha256\", not \"bcrypt\""
    );
    assert_eq!(
        refusal("[backup]\ncompression_level = 10"),
        "2:21: `backup.compression_level` is a whole number from 1 (fast) to 9 (small), not the number 10"
    );
    assert_eq!(refusal("backup = 3"), "1:10: `backup` is a table, `[backup]`, not the number 3");
}

#[test]
fn of_a_list_the_wrong_part_is_shown() {
    assert_eq!(refusal("[backup]\nexclude = [\"a\", 7]"), "2:17: `backup.exclude` is a text, not the number 7");
}

#[test]
fn a_column_is_counted_in_characters() {
    assert!(refusal("backup = { label = \"äöü\", kdf = 1 }").starts_with("1:33: "));
}

#[test]
fn an_unknown_setting_is_refused_with_what_was_meant() {
    assert_eq!(
        refusal("[backup]\nencrypted = true"),
        "2:1: there is no setting `backup.encrypted`; did you mean `backup.encrypt`?"
    );
    assert_eq!(
        refusal("[backup.retention]\nkeep-daily = 1"),
        "2:1: there is no setting `backup.retention.keep-daily`; did you mean `backup.retention.keep_daily`?"
    );
    assert_eq!(refusal("[bakcup]"), "1:2: there is no setting `bakcup`; did you mean `backup`?");
    assert_eq!(refusal("[backup]\nzzz = 1"), "2:1: there is no setting `backup.zzz`");
}

#[test]
fn what_is_no_toml_is_refused_where_it_stops_being_it() {
    assert!(
        refusal("[backup]\nname = \"app\nlabel = 1").starts_with("2:12: "),
        "{}",
        refusal("[backup]\nname = \"app\nl=1")
    );
}

#[test]
fn a_passphrase_in_the_file_is_refused_and_not_repeated() {
    let shown = refusal("[backup]\npassphrase = \"hunter2\"");
    assert!(shown.starts_with("2:14: `backup.passphrase` does not belong in a file"), "{shown}");
    assert!(shown.contains("passphrase_file") && !shown.contains("hunter2"));
}

#[test]
fn two_sources_of_a_passphrase_are_refused() {
    let shown = refusal("[vault]\npassphrase_file = \"a\"\npassphrase_command = \"b\"");
    assert_eq!(shown, "3:22: `vault.passphrase_command` and `vault.passphrase_file` cannot both be set");
}

#[test]
fn a_component_cannot_lie_outside_of_the_source() {
    for path in ["/etc/passwd", "../x", "a/../../b", "", "."] {
        let text = format!("[[backup.component]]\nname = \"x\"\npath = \"{path}\"");
        assert!(refusal(&text).starts_with("3:8: `backup.component.path` is a path within the source"), "{path}");
    }
}

#[test]
fn a_component_needs_a_name_and_a_path() {
    let shown = refusal("[[backup.component]]\nname = \"x\"");
    assert_eq!(shown, "1:1: a `[[backup.component]]` needs `path`");
}

#[test]
fn a_name_is_one_that_can_be_part_of_a_file_name() {
    for name in ["", "a/b", "..", ".hidden", "-x", "a b"] {
        assert!(refusal(&format!("[backup]\nname = \"{name}\"")).starts_with("2:8: `backup.name` is a name"), "{name}");
    }
}

#[test]
fn a_component_cannot_be_called_what_every_archive_has() {
    for name in ["files", "databases", "config"] {
        let shown = refusal(&format!("[[backup.component]]\nname = \"{name}\"\npath = \"a\""));
        assert!(shown.starts_with("2:8: `backup.component.name` is a name"), "{shown}");
    }
}

#[test]
fn a_service_is_managed_by_somebody_or_has_all_three_commands() {
    let managed = Config::parse("[[service]]\nname = \"db\"\nspec = \"systemd:db\"", Path::new("/e/f")).unwrap();
    assert_eq!(managed.services[0].spec.as_deref(), Some("systemd:db"));
    let shown = refusal("[[service]]\nname = \"app\"\nstart = [\"up\"]\nstop = [\"down\"]");
    assert_eq!(shown, "1:1: a `[[service]]` needs `status`");
    assert_eq!(refusal("[[service]]\nspec = \"systemd:db\""), "1:1: a `[[service]]` needs `name`");
    assert_eq!(refusal("[[health]]\nname = \"app\""), "1:1: a `[[health]]` needs `command`");
}

#[test]
fn services_keep_the_order_of_the_file_and_are_shown_where_they_stand() {
    let text = "[[service]]\nname = \"web\"\nspec = \"systemd:web\"\n[[service]]\nname = \"db\"\nspec = \"systemd:db\"\n\
                [[health]]\nname = \"port\"\nspec = \"tcp:localhost:1\"";
    let config = Config::parse(text, Path::new("/e/f")).unwrap();
    assert_eq!(config.services.iter().map(|each| each.name.as_str()).collect::<Vec<_>>(), ["web", "db"]);
    let shown = config.to_toml();
    assert!(shown.contains("[[service]] # /e/f:4\nname = \"db\""), "{shown}");
    let again = Config::parse(&shown, Path::new("/e/f")).unwrap();
    assert_eq!((again.services, again.health), (config.services, config.health));
}

#[test]
fn two_components_of_one_name_are_refused() {
    let one = "[[backup.component]]\nname = \"x\"\npath = \"a\"\n";
    assert_eq!(refusal(&format!("{one}{one}")), "4:1: there is a component called \"x\" already");
}

#[test]
fn a_later_file_overrides_setting_by_setting() {
    let system = "[backup]\nlabel = \"system\"\nthreads = 2\npassphrase_file = \"key\"\n
                  [[backup.component]]\nname = \"x\"\npath = \"a\"\n[[backup.component]]\nname = \"y\"\npath = \"b\"";
    let user = "[backup]\nlabel = \"user\"\npassphrase_command = \"get\"\n
                [[backup.component]]\nname = \"x\"\npath = \"c\"";
    let files = [("/etc/strongroom.toml".into(), system.into()), ("/home/u/strongroom.toml".into(), user.into())];
    let config = Config::layered(&files, None).unwrap();
    assert_eq!((config.backup.label.as_deref(), config.backup.threads.map(u32::from)), (Some("user"), Some(2)));
    assert_eq!(config.backup.passphrase, Some(SecretRef::Command("get".into())));
    let paths: Vec<_> = config.backup.components.iter().map(|each| (each.name.as_str(), each.path.as_str())).collect();
    assert_eq!(paths, [("y", "b"), ("x", "c")]);
    assert_eq!(config.origins["backup.label"].to_string(), "/home/u/strongroom.toml:2");
}

#[test]
fn a_tilde_is_the_home_that_is_handed_in() {
    let files = [("/etc/strongroom.toml".into(), "[backup]\noutput = \"~/archives\"".into())];
    let config = Config::layered(&files, Some(Path::new("/home/u"))).unwrap();
    assert_eq!(config.backup.output.as_deref(), Some(Path::new("/home/u/archives")));
    assert!(Config::layered(&files, None).is_err());
    assert!(parse("[backup]\noutput = \"~other/archives\"").is_err());
}

#[test]
fn a_variable_overrides_the_files() {
    let mut config = parse("[backup]\nthreads = 2\nlabel = \"file\"").unwrap();
    for (name, value) in [
        ("STRONGROOM_BACKUP_THREADS", "5"),
        ("STRONGROOM_BACKUP_LABEL", "a \"quoted\" text"),
        ("STRONGROOM_BACKUP_NAME", "2026"),
        ("STRONGROOM_BACKUP_ENCRYPT", "false"),
        ("STRONGROOM_BACKUP_EXCLUDE", "[\"a\", \"b\"]"),
        ("STRONGROOM_BACKUP_RETENTION_KEEP_DAILY", "7"),
    ] {
        assert!(config.set_variable(name, value, None).unwrap(), "{name}");
    }
    let backup = &config.backup;
    assert_eq!((backup.threads.map(u32::from), backup.label.as_deref()), (Some(5), Some("a \"quoted\" text")));
    assert_eq!((backup.name.as_deref(), backup.encrypt), (Some("2026"), false));
    assert_eq!((backup.exclude.as_slice(), backup.retention.daily), (&["a".to_owned(), "b".to_owned()][..], Some(7)));
    assert_eq!(config.origins["backup.threads"], Origin::Variable("STRONGROOM_BACKUP_THREADS".into()));
}

#[test]
fn a_variable_sets_one_setting_and_no_other() {
    let mut config = Config::default();
    config.set_variable("STRONGROOM_BACKUP_THREADS", "1\nbackup.encrypt = false", None).unwrap_err();
    config.set_variable("STRONGROOM_BACKUP_LABEL", "\"a\"\nbackup.encrypt = false", None).unwrap_err();
    assert_eq!(config, Config::default());
    assert!(!config.set_variable("STRONGROOM_NONSENSE", "1", None).unwrap());
}

#[test]
fn a_wrong_variable_is_named() {
    let error = Config::default().set_variable("STRONGROOM_BACKUP_KDF", "md5", None).unwrap_err();
    assert!(error.to_string().starts_with("STRONGROOM_BACKUP_KDF:1:"), "{error}");
}

#[test]
fn variables_are_named_after_their_settings_and_differ() {
    let variables = Config::variables();
    assert!(variables.contains(&("STRONGROOM_HOOKS_ON_FAILURE".into(), "hooks.on_failure".into())));
    let names: std::collections::BTreeSet<_> = variables.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), variables.len());
}

#[test]
fn what_is_shown_says_where_it_was_set() {
    let shown = parse("[backup]\nthreads = 2").unwrap().to_toml();
    let line = |key: &str| {
        shown.lines().find(|line| line.contains(key)).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("threads"), "threads = 2 # /etc/strongroom/strongroom.toml:2");
    assert_eq!(line("kdf"), "kdf = \"scrypt\" # default");
    assert_eq!(line("source"), "# source = # not set");
}

/// The settings without where they were set.
fn values(config: &Config) -> Config {
    Config { origins: Default::default(), ..config.clone() }
}

fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "source",
        "name",
        "kdf",
        "encrypt",
        "threads",
        "max_size",
        "exclude",
        "pre",
        "timeout",
        "dir",
        "keep",
        "max_age",
        "path",
        "passphrase",
        "passphrase_file",
        "compression_level",
        "type",
        "sidecars",
    ]);
    let value = prop::sample::select(vec![
        "1",
        "true",
        "\"x\"",
        "\"scrypt\"",
        "\"1d\"",
        "\"~/x\"",
        "[\"a\"]",
        "{}",
        "[",
        "\"\\u0000\"",
        "-1",
        "0x7",
        "1e9",
        "2026-01-01",
        "\"\"",
        "99999999999999999999",
    ]);
    let table = prop::sample::select(vec![
        "[backup]",
        "[backup.retention]",
        "[[backup.component]]",
        "[hooks]",
        "[audit]",
        "[vault]",
        "[backup",
        "[other]",
    ]);
    prop_oneof![3 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")), 1 => table.prop_map(str::to_owned)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_is_read_or_refused(text in any::<String>()) {
        let _ = parse(&text).map_err(|error| error.to_string());
    }

    #[test]
    fn arbitrary_settings_are_read_or_refused_and_shown_they_read_the_same(lines in prop::collection::vec(line(), 0..8)) {
        match parse(&lines.join("\n")) {
            Ok(config) => prop_assert_eq!(values(&parse(&config.to_toml()).unwrap()), values(&config)),
            Err(error) => prop_assert!(error.place().line <= lines.len().max(1), "{}", error),
        }
    }

    #[test]
    fn arbitrary_texts_are_shown_as_they_were(label in "[^\\p{Cc}]*", pattern in "[^\\p{Cc}]+") {
        let mut config = Config::default();
        config.backup.label = Some(label);
        config.backup.exclude = vec![pattern];
        prop_assert_eq!(values(&parse(&config.to_toml()).unwrap()), values(&config));
    }

    #[test]
    fn an_arbitrary_variable_sets_its_setting_or_is_refused(value in any::<String>()) {
        let mut config = Config::default();
        let is_text = !value.chars().any(char::is_control);
        match config.set_variable("STRONGROOM_BACKUP_LABEL", &value, None) {
            Ok(_) => prop_assert!(is_text && config.backup.encrypt && config.backup.label.is_some()),
            Err(_) => prop_assert!(!is_text),
        }
    }
}
