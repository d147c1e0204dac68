//! The tar stream, for any other tool.

use std::{
    collections::VecDeque,
    io::Write,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use super::{
    Archive,
    frames::{Decoded, Direct},
};
use crate::ArchiveError;

type Reply = SyncSender<Decoded>;

/// See [`Archive::export`].
pub fn export(archive: &Archive, out: &mut dyn Write, workers: usize) -> Result<u64, ArchiveError> {
    let workers = workers.max(1);
    let (submit, to_do) = sync_channel::<(usize, Reply)>(workers * 2);
    let to_do = Arc::new(Mutex::new(to_do));
    thread::scope(|scope| {
        for _ in 0..workers {
            let to_do = Arc::clone(&to_do);
            scope.spawn(|| decode(archive, to_do));
        }
        // Those who wait for workers must learn of it if there are none any more.
        drop(to_do);
        // Dropping `submit` on an error is what ends the others.
        write_in_order(archive, out, submit, workers * 2)
    })
}

fn decode(archive: &Archive, to_do: Arc<Mutex<Receiver<(usize, Reply)>>>) {
    let mut direct = Direct::new(archive);
    loop {
        let next = to_do.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, reply)) = next else { return };
        // The writer may have given up.
        let _ = reply.send(direct.take(number));
    }
}

fn write_in_order(
    archive: &Archive,
    out: &mut dyn Write,
    submit: SyncSender<(usize, Reply)>,
    ahead: usize,
) -> Result<u64, ArchiveError> {
    let stopped = || ArchiveError::Io { attempted: "decoding", source: std::io::ErrorKind::BrokenPipe.into() };
    let mut coming = VecDeque::new();
    let mut written = 0;
    let mut numbers = 0..archive.frames.len();
    loop {
        while coming.len() < ahead {
            let Some(number) = numbers.next() else { break };
            let (reply, decoded) = sync_channel(1);
            submit.send((number, reply)).map_err(|_| stopped())?;
            coming.push_back(decoded);
        }
        let Some(decoded) = coming.pop_front() else { break };
        let tar = decoded.recv().map_err(|_| stopped())??;
        out.write_all(&tar).map_err(ArchiveError::io("writing the tar stream"))?;
        written += tar.len() as u64;
    }
    out.flush().map_err(ArchiveError::io("writing the tar stream"))?;
    Ok(written)
}
