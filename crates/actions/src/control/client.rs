//! Asks at a control socket what paths are called on the other side.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::protocol::request;
use crate::ActionError;

/// How long a mount may think about one path.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to the control socket of a mount.
pub struct ControlClient {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

/// Which way a path is to be translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// From plaintext to ciphertext.
    Encrypt,
    /// From ciphertext to plaintext.
    Decrypt,
}

/// What the mount says of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What it is called on the other side.
    Translated {
        /// That path.
        path: String,
        /// What was odd about the question; empty if nothing was.
        warning: String,
    },
    /// It cannot be translated.
    Refused {
        /// A number as in errno(3), or -1.
        number: i32,
        /// Why not.
        why: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Reply {
    result: String,
    err_no: i32,
    err_text: String,
    warn_text: String,
}

impl ControlClient {
    /// Connects to the socket at `path`.
    pub fn connect(path: &Path) -> Result<Self, ActionError> {
        let connected = UnixStream::connect(path).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        let stream = connected.map_err(|source| ActionError::ControlSocket { path: path.to_owned(), source })?;
        Ok(Self { stream: BufReader::new(stream), path: path.to_owned() })
    }

    /// Asks about a path.
    pub fn ask(&mut self, translation: Translation, path: &[u8]) -> Result<Answer, ActionError> {
        let reply = self
            .exchange(&request(translation, path))
            .map_err(|source| ActionError::ControlSocket { path: self.path.clone(), source })?;
        Ok(match reply {
            Reply { err_no: 0, err_text, result, warn_text } if err_text.is_empty() => {
                Answer::Translated { path: result, warning: warn_text }
            }
            Reply { err_no, err_text, .. } => Answer::Refused { number: err_no, why: err_text },
        })
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<Reply> {
        self.stream.get_mut().write_all(request)?;
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_slice(&line)?)
    }
}
