//! How fast archives are made and read: `speed create DIR FILE [PASSPHRASE]`, `speed verify FILE`, `speed extract FILE DIR`,
//! `speed list FILE`, `speed cat FILE PATH`. For measurements by hand; `scripts/bench` measures the product.
#![allow(clippy::print_stdout)]

use std::{error::Error, fs::File, io::Write, path::Path};

use strongroom_archive::{
    Archive, ArchiveError, ArchiveId, ArchiveKind, Body, Component, Compression, Ending, Facts, Item, Job, Kdf,
    Metadata, Record, Seal, Settings, Totals, write,
};
use strongroom_crypto::OsRandom;
use strongroom_event::Silent;
use strongroom_secret::Passphrase;
use strongroom_tree::{Content, Entry, Filter, Kind, LocalSink, LocalTree, Planting, Sink, Source, Timestamp};

type Anyhow<T> = Result<T, Box<dyn Error>>;

fn main() -> Anyhow<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["create", dir, file] => create(dir, file, None)?,
        ["create", dir, file, passphrase] => create(dir, file, Some(Passphrase::new(passphrase.into())))?,
        ["verify", file] => println!("{:?}", open(file)?.verify(2, &Silent)?),
        ["extract", file, dir] => extract(file, dir)?,
        ["list", file] => println!("{} records", open(file)?.records()?.count()),
        ["cat", file, path] => cat(file, path)?,
        _ => return Err("see the first lines of the source".into()),
    }
    Ok(())
}

fn open(file: &str) -> Result<Archive, ArchiveError> {
    let file = File::open(file).map_err(|source| ArchiveError::Io { attempted: "opening", source })?;
    Archive::open(file, &mut |_| Ok(Passphrase::new(b"x".to_vec())))
}

fn create(dir: &str, file: &str, passphrase: Option<Passphrase>) -> Anyhow<()> {
    let facts = Facts {
        id: ArchiveId::generate(&OsRandom),
        created: "2026-01-01T00:00:00Z".into(),
        name: "speed".into(),
        kind: ArchiveKind::Full,
        parents: vec![],
        label: None,
        compression: Compression::default().algorithm,
    };
    let seal = passphrase.as_ref().map(|passphrase| Seal { passphrase, kdf: Kdf::Scrypt { log_n: 10 } });
    let component = Component { name: "files".into(), kind: "files".into(), path: dir.into(), prefix: "files".into() };
    let job = Job {
        facts: &facts,
        seal: seal.as_ref(),
        settings: Settings::default(),
        components: vec![component],
        archives: vec![],
        keys: None,
        time: Timestamp::default(),
        observer: &Silent,
        random: &OsRandom,
    };
    let tree = LocalTree::open(Path::new(dir))?;
    let filter = Filter::everything();
    let item = |entry: Entry| {
        let is_file = matches!(entry.kind, Kind::File { .. });
        let body = if is_file { Body::Read(&tree, entry.path.clone()) } else { Body::Nothing };
        Item { component: 0, entry, body, renamed_from: None }
    };
    let mut items = tree.entries(&filter).map(|entry| entry.map(item));
    let ending = |totals: &Totals| Ending { metadata: metadata(&facts, totals), gone: vec![], issues: vec![] };
    let (_, written) = write(File::create(file)?, &job, &mut items, ending)?;
    println!("{} bytes, {:?}", written.bytes, written.metadata.counts);
    Ok(())
}

fn metadata(facts: &Facts, totals: &Totals) -> Metadata {
    Metadata {
        format_version: Metadata::FORMAT_VERSION,
        tool: "speed".into(),
        tool_version: String::new(),
        host: String::new(),
        platform: String::new(),
        created: facts.created.clone(),
        started: facts.created.clone(),
        finished: facts.created.clone(),
        id: facts.id,
        name: facts.name.clone(),
        kind: facts.kind,
        base: None,
        label: None,
        tags: vec![],
        source: String::new(),
        source_kind: "directory".into(),
        compression: facts.compression,
        compression_level: 3,
        encryption: None,
        kdf: None,
        components: totals.components.clone(),
        counts: totals.counts,
        content_sha256: totals.content_sha256,
        keys: None,
        complete: true,
        issues: 0,
    }
}

fn extract(file: &str, dir: &str) -> Anyhow<()> {
    let archive = open(file)?;
    std::fs::create_dir(dir)?;
    let sink = LocalSink::open(Path::new(dir), Planting::exact(), &Silent)?;
    let put = |record: &Record, content: Option<&mut dyn Content>| {
        sink.put(&record.entry, content).map_err(|error| ArchiveError::Io { attempted: "making", source: error.source })
    };
    for record in archive.records()? {
        let record = record?;
        if record.entry.is_dir() {
            put(&record, None)?;
        }
    }
    archive.extract(&mut archive.records()?.filter(|it| it.as_ref().is_ok_and(|it| it.sha256.is_some())), 2, &put)?;
    for record in archive.records()? {
        let record = record?;
        if !record.entry.is_dir() && record.sha256.is_none() {
            put(&record, None)?;
        }
    }
    sink.seal()?;
    Ok(())
}

fn cat(file: &str, path: &str) -> Anyhow<()> {
    let archive = open(file)?;
    for record in archive.records()? {
        let record = record?;
        if record.entry.path.as_bytes() == path.as_bytes() {
            let mut bytes = vec![0; record.entry.len() as usize];
            archive.content(&record)?.read_at(0, &mut bytes)?;
            std::io::stdout().write_all(&bytes)?;
        }
    }
    Ok(())
}
