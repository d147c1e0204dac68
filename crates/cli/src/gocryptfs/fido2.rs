//! FIDO2 tokens, by the programs of libfido2: `fido2-cred` makes a credential, and `fido2-assert` has the token derive the
//! secret that takes the place of a password.

use std::{
    ffi::{OsStr, OsString},
    io::{Read, Write},
    process::{Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use strongroom_actions::Fido2;
use strongroom_secret::Passphrase;

use super::{
    exit::{Exit, Failure},
    go,
    say::Say,
};

/// Who the credential is for, in the words of the protocol.
const RELYING_PARTY: &str = "gocryptfs";

/// Makes a credential on the token, for a volume of this name.
pub fn register(device: &OsStr, name: &OsStr, options: &[OsString], say: &Say) -> Result<Fido2, Failure> {
    say.info("FIDO2 Register: interact with your device ...");
    let lines = [random_base64()?.into(), RELYING_PARTY.into(), name.to_owned(), random_base64()?.into()];
    let mut command = Command::new("fido2-cred");
    command.args(["-M", "-h"]).arg(device);
    let credential_id = fifth_line(&mut command, &lines)?;
    let assert_options: Vec<_> = options.iter().map(|option| option.to_string_lossy().into_owned()).collect();
    Ok(Fido2 {
        credential_id: credential_id.expose().to_vec(),
        hmac_salt: random()?.to_vec(),
        assert_options: Some(assert_options).filter(|options| !options.is_empty()),
    })
}

/// Has the token derive the secret. Options that are given take the place of those of the volume.
pub fn secret(device: &OsStr, token: &Fido2, options: &[OsString], say: &Say) -> Result<Passphrase, Failure> {
    say.info("FIDO2 Secret: interact with your device ...");
    let lines = [
        random_base64()?,
        RELYING_PARTY.to_owned(),
        STANDARD.encode(&token.credential_id),
        STANDARD.encode(&token.hmac_salt),
    ]
    .map(OsString::from);
    let mut command = Command::new("fido2-assert");
    command.args(["-G", "-h"]);
    let stored = token.assert_options.iter().flatten().map(OsString::from);
    let options: Vec<_> = if options.is_empty() { stored.collect() } else { options.to_vec() };
    options.iter().for_each(|option| {
        command.arg("-t").arg(option);
    });
    let secret = fifth_line(command.arg(device), &lines)?;
    match secret.expose() {
        short if short.len() < 32 => Err(failed(format!("FIDO2 HMACSecret too short ({})!", short.len()))),
        zeros if zeros.iter().all(|&byte| byte == 0) => Err(failed("FIDO2 HMACSecret is all zero!")),
        _ => Ok(secret),
    }
}

fn failed(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::FIDO2_ERROR, message)
}

/// Runs a program with these lines as its input, and reads what its fifth line holds in base64.
fn fifth_line(command: &mut Command, lines: &[OsString]) -> Result<Passphrase, Failure> {
    let program = command.get_program().to_owned();
    let not_run = |why: String| failed(format!("{} failed with {why}", program.display()));
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| not_run(go::not_started(&program, &error)))?;
    let mut stdin = child.stdin.take().expect("stdin was piped just above");
    let mut input = lines.join(OsStr::new("\n"));
    input.push("\n");
    // Far less than a pipe holds. A program that does not read it says itself what it wants.
    let _ = stdin.write_all(input.as_encoded_bytes());
    drop(stdin);
    let mut output = Vec::with_capacity(1 << 16);
    let mut stdout = child.stdout.take().expect("stdout was piped just above");
    let read = stdout.read_to_end(&mut output);
    let output = Passphrase::new(output);
    let status = child.wait().map_err(|error| not_run(go::reason(&error)))?;
    read.map_err(|error| not_run(go::reason(&error)))?;
    if !status.success() {
        return Err(not_run(go::status(status)));
    }
    let line = output.expose().split(|&byte| byte == b'\n').nth(4).unwrap_or_default();
    match STANDARD.decode(line) {
        Ok(decoded) if !decoded.is_empty() => Ok(Passphrase::new(decoded)),
        _ => Err(failed(format!("{}: the fifth line of its output is not base64", program.display()))),
    }
}

fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| failed(go::reason(&errno.into())))?;
    Ok(bytes)
}

fn random_base64() -> Result<String, Failure> {
    Ok(STANDARD.encode(random()?))
}
