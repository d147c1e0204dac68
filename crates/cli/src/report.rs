//! What a long command tells while it works: a bar for people, a stream of records for programs, from the same events.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use serde::Serialize;
use strongroom_event::{Event, Moment, Observer, Operation, Stream};

use crate::{
    exit::{Exit, Failure},
    face::{Face, Style, failure_json, warn},
    progress::{Progress, Unit},
    surroundings::moment,
};

type Records = Stream<Box<dyn Write + Send>, fn() -> Moment>;

/// Who is told what a long command does.
pub struct Report {
    face: Face,
    progress: Progress,
    records: Option<Records>,
    /// Whether the records go to standard output, where nothing else may stand between them.
    fills_stdout: bool,
}

impl Report {
    /// For `operation`, with records to `events`, if that is named: a file, or `-` for standard output.
    pub fn new(operation: Operation, events: Option<&Path>, face: Face) -> Result<Arc<Self>, Failure> {
        let fills_stdout = events.is_some_and(|path| path.as_os_str() == "-");
        if fills_stdout && face.json {
            return Err(Failure::new(Exit::USAGE, "--json and --events - would both write to standard output")
                .hint("The last record holds what --json would print; or give --events a file."));
        }
        let records = match events {
            Some(path) => Some(Stream::new(operation, sink(path)?, moment as fn() -> Moment)),
            None => None,
        };
        Ok(Arc::new(Self { face, progress: Progress::new(Unit::Bytes, face.json), records, fills_stdout }))
    }

    /// Does `act` between the record that it begins and the one that says how it ended.
    pub fn around<T: Serialize>(
        &self,
        begins: &impl Serialize,
        act: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Some(records) = &self.records {
            records.started(begins);
        }
        let result = act();
        self.progress.finish();
        match (&self.records, &result) {
            (Some(records), Ok(result)) => records.completed(result),
            (Some(records), Err(failure)) => records.failed(&failure_json(failure)),
            (None, _) => {}
        }
        result
    }

    /// Prints the result, unless the last record has said it on standard output already.
    pub fn tell(&self, result: &impl Serialize, text: impl FnOnce(Style) -> String) -> Result<(), Failure> {
        if self.fills_stdout { Ok(()) } else { self.face.tell(result, text) }
    }

    /// Tells a person something beside the result.
    pub fn remark(&self, text: &str) {
        if !self.face.json {
            warn(text);
        }
    }

    /// Does something to the terminal without the bar in the way.
    pub fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        self.progress.aside(act)
    }
}

impl Observer for Report {
    fn observe(&self, event: &Event) {
        self.progress.observe(event);
        if let Some(records) = &self.records {
            records.observe(event);
        }
    }
}

fn sink(path: &Path) -> Result<Box<dyn Write + Send>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdout()));
    }
    let opened = File::options().append(true).create(true).mode(0o600).open(path);
    let file = opened.map_err(|error| {
        Failure::new(Exit::FAILURE, format_args!("cannot write events to {}: {error}", path.display()))
    })?;
    Ok(Box::new(file))
}
