use std::{fs, process::Stdio};

use crate::support::{Place, finish, without_terminal};

#[test]
fn help_and_version_go_to_standard_output_and_mistakes_to_standard_error() {
    let place = Place::new();
    for arguments in [&["--help"][..], &["--version"], &["help"], &["help", "mount"], &["mount", "--help"]] {
        let ran = place.run(arguments).expect(0);
        assert!(ran.out.contains("strongroom") && ran.err.is_empty(), "{ran:?}");
    }
    for arguments in [&[][..], &["imfo", "vault"], &["info"], &["info", "a", "b"], &["init", "v", "--passphrase", "x"]]
    {
        let ran = place.run(arguments).expect(2);
        assert!(ran.out.is_empty() && ran.err.contains("Usage") || ran.err.contains("help"), "{ran:?}");
    }
    place.run(&["help", "nothing"]).expect(2);
}

#[test]
fn the_exit_codes_are_listed() {
    let table = Place::new().run(&["help", "exit-codes"]).expect(0).out;
    assert!(table.contains("\n    3  wrong-secret"), "{table}");
}

#[test]
fn manual_pages_and_completions_are_printed() {
    let place = Place::new();
    assert!(place.run(&["man"]).expect(0).out.contains(".TH strongroom 1"));
    assert!(place.run(&["man", "mount"]).expect(0).out.contains("allow"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(place.run(&["completions", shell]).expect(0).out.contains("umount"));
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let place = Place::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = without_terminal(place.command(&["help"]));
    let child = command.stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let ran = finish(child, "").expect(0);
    assert_eq!(ran.err, "");
}

#[test]
fn a_full_disk_under_standard_output_is_a_failure() {
    let place = Place::new();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = without_terminal(place.command(&["help"]));
    let child = command.stdin(Stdio::piped()).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    assert!(finish(child, "").expect(1).err.contains("standard output"));
}

#[test]
fn what_is_no_vault_is_told_apart_from_what_is_a_broken_one() {
    let place = Place::new();
    let ran = place.run(&["info", "nowhere"]).expect(4);
    assert!(ran.err.starts_with("strongroom: ") && ran.err.contains("nowhere"), "{}", ran.err);
    place.run(&["info", "pass"]).expect(4);
    fs::create_dir(place.path("vault")).unwrap();
    assert!(place.run(&["info", "vault"]).expect(4).err.contains("strongroom init"));
    for broken in ["", "{}", "not json", "{\"Version\": 3}"] {
        fs::write(place.path("vault/gocryptfs.conf"), broken).unwrap();
        place.run(&["info", "vault"]).expect(5);
        place.run(&["check", "vault", "--passphrase-file", "pass"]).expect(5);
        place.run(&["passwd", "vault", "--passphrase-file", "pass"]).expect(5);
    }
}

#[test]
fn failures_in_json_are_objects_on_standard_output() {
    let place = Place::new();
    let ran = place.run(&["info", "nowhere", "--json"]).expect(4);
    let error = &ran.json()["error"];
    assert_eq!((error["code"].as_u64(), error["name"].as_str()), (Some(4), Some("no-vault")));
    assert!(error["message"].as_str().unwrap().contains("nowhere"));
    assert_eq!(ran.err, "");
    assert_eq!(place.run(&["info", "--json"]).expect(2).json()["error"]["name"], "usage");
}

#[test]
fn info_tells_what_a_vault_is_made_of() {
    let place = Place::with_vault();
    let info = place.run(&["info", "vault", "--json"]).expect(0).json();
    let flags: Vec<_> = info["feature_flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap()).collect();
    assert_eq!(flags, ["HKDF", "GCMIV128", "DirIV", "EMENames", "LongNames", "Raw64"]);
    assert_eq!(info["format_version"], 2);
    assert!(info["in_use"].is_null());
    let text = place.run(&["info", "vault"]).expect(0).out;
    assert!(text.contains("AES-256-GCM") && text.contains("In use      no"), "{text}");
}

#[test]
fn colours_are_for_terminals() {
    let place = Place::new();
    let ran = place.run(&["info", "nowhere"]).expect(4);
    assert!(!ran.err.contains('\x1b'), "{}", ran.err);
}

#[test]
fn speed_names_every_cipher() {
    let speed = Place::new().run(&["speed", "--json"]).expect(0).json();
    let ciphers: Vec<_> = speed["ciphers"].as_array().unwrap().iter().map(|c| c["cipher"].as_str().unwrap()).collect();
    for cipher in ["aes-gcm", "aes-siv", "xchacha20-poly1305"] {
        assert!(ciphers.contains(&cipher));
    }
    assert!(speed["unlock_milliseconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn words_are_json_where_json_is_asked_for() {
    let place = Place::new();
    for arguments in [&["help", "exit-codes"][..], &["man"], &["completions", "bash"]] {
        let told = place.run(&[&["--json"], arguments].concat()).expect(0).json();
        assert!(told["text"].as_str().unwrap().contains("strongroom") || arguments[0] == "help", "{arguments:?}");
    }
}
