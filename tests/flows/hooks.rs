//! The operator's commands before and after.

use std::fs;

use strongroom_tests::output_of;

use crate::{Flow, ok, words};

impl Flow {
    /// Configures hooks; `$D` in a script is the scratch directory.
    fn hooks(&self, more: &str, hooks: &[(&str, &str)]) -> String {
        let mut config = format!("[hooks]\n{more}\n");
        for (name, script) in hooks {
            let script = script.replace("$D", self.scratch.path("").to_str().unwrap().trim_end_matches('/'));
            config.push_str(&format!("{name} = ['sh', '-c', '''{script}''']\n"));
        }
        let path = self.scratch.path("hooks.toml");
        fs::write(&path, config).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn noted(&self) -> String {
        fs::read_to_string(self.scratch.path("noted")).unwrap_or_default()
    }
}

const NOTE: &str = r#"echo "$STRONGROOM_HOOK $STRONGROOM_OPERATION $STRONGROOM_OUTCOME" >> $D/noted"#;

#[test]
fn hooks_run_before_and_after_and_are_told_what_happens() {
    let flow = Flow::with_files();
    let script = r#"echo "$STRONGROOM_HOOK $STRONGROOM_OPERATION $STRONGROOM_SOURCE $STRONGROOM_OUTCOME $STRONGROOM_ARCHIVE" >> $D/noted"#;
    let config = flow.hooks("", &[("pre", script), ("post", script)]);
    let archive = flow.create(&["--config", &config]);
    let (source, archive) = (flow.source.display(), archive.display());
    assert_eq!(flow.noted(), format!("pre backup {source}  \npost backup {source} ok {archive}\n"));
}

#[test]
fn a_hook_that_fails_before_stops_the_backup_and_the_one_after_still_runs() {
    let flow = Flow::with_files();
    let config = flow.hooks("", &[("pre", "echo no; exit 3"), ("post", NOTE)]);
    let output = output_of(flow.backup("create", &["--config", &config]).arg(&flow.source));
    assert!(!output.status.success());
    assert_eq!(flow.files().len(), 0, "{}", words(&output));
    assert_eq!(flow.noted(), "post backup failed\n");
}

#[test]
fn a_hook_that_fails_after_the_backup_fails_the_command_and_the_archive_stays() {
    let flow = Flow::with_files();
    let config = flow.hooks("", &[("post", "exit 3")]);
    let output = output_of(flow.backup("create", &["--config", &config]).arg(&flow.source));
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert_eq!(flow.archives().len(), 1);
}

#[test]
fn where_hooks_only_warn_the_backup_is_made() {
    let flow = Flow::with_files();
    let config = flow.hooks("on_failure = 'warn'", &[("pre", "exit 3"), ("post", "exit 4")]);
    let output = output_of(flow.backup("create", &["--config", &config]).arg(&flow.source));
    assert!(output.status.success(), "{}", words(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("warning"), "{}", words(&output));
}

#[test]
fn a_hook_that_hangs_is_ended() {
    let flow = Flow::with_files();
    let config = flow.hooks("timeout = '1s'", &[("pre", "sleep 1000")]);
    let output = output_of(flow.backup("create", &["--config", &config]).arg(&flow.source));
    assert!(!output.status.success());
    assert_eq!(flow.files().len(), 0, "{}", words(&output));
}

#[test]
fn a_restore_has_hooks_of_its_own() {
    let flow = Flow::with_files();
    let config = flow.hooks("", &[("pre", "exit 1"), ("pre_restore", NOTE), ("post_restore", NOTE)]);
    let archive = flow.create(&[]);
    ok(flow.backup("restore", &["--config", &config, "--force", "--yes"]).arg(&archive));
    assert_eq!(flow.noted(), "pre restore \npost restore ok\n");
}

#[test]
fn hooks_can_be_left_out() {
    let flow = Flow::with_files();
    let config = flow.hooks("", &[("pre", "exit 3")]);
    flow.create(&["--config", &config, "--no-hooks"]);
}
