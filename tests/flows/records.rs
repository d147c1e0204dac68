//! What is told while it happens, and what is written down of it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use strongroom_tests::{PASSPHRASE, Random, output_of};

use crate::{Flow, code, ends, ok};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn names(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["event"].as_str().unwrap()).collect()
}

#[test]
fn the_events_of_a_backup_go_from_started_to_completed() {
    let flow = Flow::with_files();
    flow.write("large", &Random::seeded(1).bytes(8 << 20));
    let events = flow.scratch.path("events");
    let archive = flow.create(&["--events", events.to_str().unwrap()]);
    let records = lines(&fs::read_to_string(&events).unwrap());
    let names = names(&records);
    assert_eq!((names[0], *names.last().unwrap()), ("backup.started", "backup.completed"));
    assert!(names.contains(&"backup.progress"), "{names:?}");
    assert!(records.iter().all(|record| record["time"].as_str().unwrap().ends_with('Z')));
    let read: Vec<_> = records.iter().filter(|record| record["phase"] == "reading").collect();
    assert!(read.iter().any(|record| record["bytes"].as_u64().unwrap() >= 8 << 20), "{read:?}");
    assert_eq!(records.last().unwrap()["path"].as_str(), archive.to_str());
}

#[test]
fn events_on_standard_output_are_alone_there() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    let mut verify = flow.command(&["backup", "verify", "--events", "-", "--passphrase-file"]);
    let output = output_of(verify.arg(flow.scratch.passphrase_file()).arg(&archive));
    let records = lines(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(names(&records).first(), Some(&"verify.started"));
    assert_eq!(names(&records).last(), Some(&"verify.completed"));
    assert_eq!(records.last().unwrap()["ok"], true);
}

#[test]
fn a_failure_is_the_last_event() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    flow.scratch.write_passphrase("passphrase", "not this one");
    let events = flow.scratch.path("events");
    let arguments = ["--force", "--yes", "--events", events.to_str().unwrap()];
    ends(flow.backup("restore", &arguments).arg(&archive), code::WRONG_SECRET);
    let records = lines(&fs::read_to_string(&events).unwrap());
    let last = records.last().unwrap();
    assert_eq!((last["event"].as_str(), last["error"]["code"].as_i64()), (Some("restore.failed"), Some(3)));
}

/// The only file of the audit log.
fn audit_file(flow: &Flow) -> PathBuf {
    let mut files = fs::read_dir(flow.scratch.path("audit")).unwrap();
    files.next().unwrap().unwrap().path()
}

#[test]
fn what_is_done_is_in_the_audit_log_with_how_it_ended() {
    let flow = Flow::with_files();
    let first = flow.create(&[]);
    flow.create(&[]);
    ok(flow.backup("delete", &["--yes"]).arg(&first));
    ends(flow.backup("restore", &[]).arg("latest"), code::REFUSED);
    let records = ok(&mut flow.command(&["--json", "audit", "list"]));
    let told: Vec<_> = records
        .as_array()
        .unwrap()
        .iter()
        .map(|record| format!("{} {}", record["operation"].as_str().unwrap(), record["outcome"].as_str().unwrap()))
        .collect();
    let wanted = [
        "backup.create begun",
        "backup.create ok",
        "backup.create begun",
        "backup.create ok",
        "backup.delete begun",
        "backup.delete ok",
        "backup.restore begun",
        "backup.restore failed",
    ];
    assert_eq!(told, wanted);
    assert_eq!(records[1]["details"]["archive"].as_str(), first.to_str());
    let failed = ok(&mut flow.command(&["--json", "audit", "list", "--operation", "backup", "--outcome", "failed"]));
    assert_eq!(failed.as_array().unwrap().len(), 1);
    let summary = ok(&mut flow.command(&["--json", "audit", "summary"]));
    assert_eq!(summary["operations"]["backup.create"]["ok"], 2);
}

#[test]
fn a_record_that_was_removed_shows() {
    let flow = Flow::with_files();
    flow.create(&[]);
    flow.create(&[]);
    let found = ok(&mut flow.command(&["--json", "audit", "verify"]));
    assert_eq!(found["records"], 4);
    let file = audit_file(&flow);
    let text = fs::read_to_string(&file).unwrap();
    let kept: Vec<_> =
        text.lines().enumerate().filter(|(at, _)| *at != 1).map(|(_, line)| format!("{line}\n")).collect();
    fs::write(&file, kept.concat()).unwrap();
    let found = ends(&mut flow.command(&["--json", "audit", "verify"]), code::DAMAGED);
    assert_eq!((&found["faults"][0]["kind"], &found["faults"][0]["line"]), (&"removed".into(), &2.into()));
}

#[test]
fn a_log_that_was_cut_off_shows_against_the_hash_that_was_noted() {
    let flow = Flow::with_files();
    flow.create(&[]);
    let head = ok(&mut flow.command(&["--json", "audit", "verify"]))["head"]["hash"].as_str().unwrap().to_owned();
    ok(&mut flow.command(&["--json", "audit", "verify", "--noted", &head]));
    let file = audit_file(&flow);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{}\n", text.lines().next().unwrap())).unwrap();
    ok(&mut flow.command(&["--json", "audit", "verify"]));
    ends(&mut flow.command(&["--json", "audit", "verify", "--noted", &head]), code::DAMAGED);
}

#[test]
fn where_the_log_is_required_nothing_is_done_without_it() {
    let flow = Flow::with_files();
    fs::write(flow.scratch.path("audit"), "in the way").unwrap();
    let mut strict = flow.backup("create", &[]);
    strict.env("STRONGROOM_AUDIT_REQUIRED", "true").arg(&flow.source);
    assert!(!output_of(&mut strict).status.success());
    assert_eq!(flow.files().len(), 0);
    flow.create(&[]); // Where it is not, there is a warning.
}

#[test]
fn no_secret_is_in_anything_that_is_written() {
    let flow = Flow::with_files();
    let events = flow.scratch.path("events");
    let hook = flow.scratch.path("environment");
    let config = flow.scratch.path("strongroom.toml");
    let script = format!("env > {0}; cat /proc/$PPID/cmdline /proc/$PPID/environ >> {0}", hook.display());
    fs::write(&config, format!("[hooks]\npost = ['sh', '-c', '{script}']\n")).unwrap();
    let mut said = String::new();
    let command = format!("echo {PASSPHRASE}");
    for way in
        [["--passphrase-file", flow.scratch.passphrase_file().to_str().unwrap()], ["--passphrase-command", &command]]
    {
        let mut create = flow.command(&["backup", "create", "--config"]);
        create.arg(&config).args(way).arg("--place").arg(&flow.place).arg("--events").arg(&events);
        let output = output_of(create.arg(&flow.source));
        assert!(output.status.success(), "{}", crate::words(&output));
        if way[0] == "--passphrase-file" {
            said.push_str(&fs::read_to_string(&hook).unwrap());
        }
        said.push_str(&crate::words(&output));
    }
    said.push_str(&fs::read_to_string(&events).unwrap());
    said.push_str(&fs::read_to_string(audit_file(&flow)).unwrap());
    assert!(said.contains("STRONGROOM_OUTCOME=ok") && said.contains("backup.completed"));
    assert!(!said.contains(PASSPHRASE), "the passphrase is in: {said}");
}
