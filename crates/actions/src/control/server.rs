//! Serves the control socket from one thread.
//!
//! No client is waited for: what cannot be sent yet is kept until it can be, and until then nothing more is read from that
//! client. When there are too many, the one that was silent for longest is hung up on. So neither other clients nor the end of
//! the mount depend on what one does.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixListener,
    },
    sync::Arc,
    thread::{self, JoinHandle},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{RecvFlags, SendFlags, SocketFlags, recv, send},
    pipe::{PipeFlags, pipe_with},
};

use super::{
    PathTranslator, SocketFile,
    protocol::{REQUEST_LIMIT, answer},
};

/// As many as nobody needs, and few enough to leave descriptors to the files.
const CLIENTS: usize = 64;

/// A control socket that is served. It ends with this value: its name is removed, and who is connected is hung up on.
pub struct ControlServer {
    /// Tells the thread to end by being closed.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    _file: SocketFile,
}

impl ControlServer {
    pub(super) fn start(
        listener: UnixListener,
        file: SocketFile,
        translator: Arc<dyn PathTranslator>,
    ) -> io::Result<Self> {
        let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC)?;
        let serve = move || Service { listener, stopped, translator, clients: Vec::new() }.run();
        let thread = thread::Builder::new().name("control".into()).spawn(serve)?;
        Ok(Self { stop: Some(stop), thread: Some(thread), _file: file })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It is in the middle of one request at most.
            let _ = thread.join();
        }
    }
}

struct Service {
    listener: UnixListener,
    stopped: OwnedFd,
    translator: Arc<dyn PathTranslator>,
    /// Whoever was heard of last comes last.
    clients: Vec<Client>,
}

struct Client {
    socket: OwnedFd,
    unsent: Vec<u8>,
}

impl Service {
    fn run(mut self) {
        while let Some((knocked, ready)) = self.wait() {
            self.attend(&ready);
            if knocked {
                self.welcome();
            }
        }
    }

    /// Waits until there is something to do: whether somebody knocks, and which clients are ready. `None` at the end.
    fn wait(&self) -> Option<(bool, Vec<bool>)> {
        let mut watched = vec![PollFd::new(&self.stopped, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        watched.extend(self.clients.iter().map(|client| PollFd::new(&client.socket, client.interest())));
        match poll(&mut watched, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
        let is_ready = |at: &PollFd<'_>| !at.revents().is_empty();
        match is_ready(&watched[0]) {
            true => None,
            false => Some((is_ready(&watched[1]), watched[2..].iter().map(is_ready).collect())),
        }
    }

    fn attend(&mut self, ready: &[bool]) {
        let mut heard = Vec::new();
        let mut ready = ready.iter();
        let clients = std::mem::take(&mut self.clients);
        for mut client in clients {
            match ready.next() {
                Some(true) if client.attend(&*self.translator) => heard.push(client),
                Some(true) => {}
                _ => self.clients.push(client),
            }
        }
        self.clients.append(&mut heard);
    }

    fn welcome(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = match rustix::net::accept_with(&self.listener, flags) {
            Ok(socket) => socket,
            // Out of descriptors: there is one again when somebody is hung up on.
            Err(Errno::MFILE | Errno::NFILE) if !self.clients.is_empty() => return drop(self.clients.remove(0)),
            // Who knocked is gone already.
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return,
            // Nobody can be hung up on, and to try again at once would be in vain.
            Err(_) => return self.pause(),
        };
        if self.clients.len() == CLIENTS {
            self.clients.remove(0);
        }
        self.clients.push(Client { socket, unsent: Vec::new() });
    }

    /// Waits for a moment, unless it is the end.
    fn pause(&self) {
        let moment = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let _ = poll(&mut [PollFd::new(&self.stopped, PollFlags::IN)], Some(&moment));
    }
}

impl Client {
    fn interest(&self) -> PollFlags {
        if self.unsent.is_empty() { PollFlags::IN } else { PollFlags::OUT }
    }

    /// Does what can be done without waiting; answers whether the client stays.
    fn attend(&mut self, translator: &dyn PathTranslator) -> bool {
        if self.unsent.is_empty() {
            let mut request = [0; REQUEST_LIMIT + 1];
            match recv(&self.socket, &mut request, RecvFlags::empty()) {
                Ok((1..=REQUEST_LIMIT, len)) => self.unsent = answer(&request[..len], translator),
                Err(Errno::AGAIN | Errno::INTR) => return true,
                // The end, a request that is too long, or an error.
                _ => return false,
            }
        }
        match send(self.socket.as_fd(), &self.unsent, SendFlags::NOSIGNAL) {
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        os::unix::net::UnixStream,
        time::Duration,
    };

    use super::*;
    use crate::control::{ControlPlace, ControlSocket};

    struct Shout;

    impl PathTranslator for Shout {
        fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, Errno> {
            Ok(plain.to_ascii_uppercase())
        }

        fn decrypt(&self, cipher: &[u8]) -> Result<Vec<u8>, Errno> {
            Ok(cipher.to_ascii_lowercase())
        }
    }

    struct Fixture {
        dir: tempfile::TempDir,
        server: ControlServer,
    }

    impl Fixture {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let place = ControlPlace { path: dir.path().join("socket"), permissions: 0o600 };
            let server = ControlSocket::bind(&place).unwrap().serve(Arc::new(Shout)).unwrap();
            Self { dir, server }
        }

        fn client(&self) -> UnixStream {
            let client = UnixStream::connect(self.dir.path().join("socket")).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            client
        }
    }

    const ASKS: &[u8] = br#"{"EncryptPath":"abc"}"#;

    #[track_caller]
    fn is_answered(mut client: &UnixStream) {
        client.write_all(ASKS).unwrap();
        let mut line = String::new();
        BufReader::new(client).read_line(&mut line).unwrap();
        assert!(line.contains("ABC"), "{line:?}");
    }

    #[track_caller]
    fn is_hung_up_on(mut client: &UnixStream) {
        let mut rest = Vec::new();
        let read = client.read_to_end(&mut rest);
        let is_reset = read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
        assert!(is_reset || read.is_ok_and(|len| len == 0), "{rest:?}");
    }

    #[test]
    fn a_connection_serves_for_many_requests_and_there_may_be_many() {
        let fixture = Fixture::new();
        let clients: Vec<_> = (0..8).map(|_| fixture.client()).collect();
        for _ in 0..3 {
            clients.iter().for_each(is_answered);
        }
    }

    #[test]
    fn a_request_that_is_too_long_ends_the_connection_and_no_other() {
        let fixture = Fixture::new();
        let (mut long, other) = (fixture.client(), fixture.client());
        let mut request = ASKS.to_vec();
        request.resize(REQUEST_LIMIT, b' ');
        long.write_all(&request).unwrap();
        let mut line = String::new();
        BufReader::new(&long).read_line(&mut line).unwrap();
        assert!(line.contains("ABC"), "{line:?}");
        request.push(b' ');
        long.write_all(&request).unwrap();
        is_hung_up_on(&long);
        is_answered(&other);
    }

    #[test]
    fn who_never_reads_the_replies_keeps_nobody_waiting() {
        let fixture = Fixture::new();
        let deaf = fixture.client();
        let request = [br#"{"EncryptPath":""#, [b'x'; 2000].as_slice(), br#""}"#].concat();
        let other = fixture.client();
        // Until both directions are full.
        let full = loop {
            match send(&deaf, &request, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(_) => is_answered(&other),
                Err(errno) => break errno,
            }
        };
        assert_eq!(full, Errno::AGAIN);
        is_answered(&other);
        is_answered(&fixture.client());
        let Fixture { server, .. } = fixture;
        drop(server);
    }

    #[test]
    fn who_connects_and_is_silent_makes_room_for_others() {
        let fixture = Fixture::new();
        let silent: Vec<_> = (0..3 * CLIENTS).map(|_| fixture.client()).collect();
        is_answered(&fixture.client());
        is_hung_up_on(&silent[0]);
    }

    #[test]
    fn the_end_hangs_up_on_everybody_and_removes_the_name() {
        let Fixture { dir, server } = Fixture::new();
        let client = UnixStream::connect(dir.path().join("socket")).unwrap();
        is_answered(&client);
        drop(server);
        is_hung_up_on(&client);
        assert!(!dir.path().join("socket").exists());
    }
}
