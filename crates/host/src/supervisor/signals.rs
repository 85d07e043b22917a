//! Signals to the launcher, as readable descriptors.
//!
//! Invariant: a signal that arrives is seen by the loop, once or more. Deliberately absent: what
//! follows.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::SigId;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};

use crate::sys;

/// The signals that the launcher acts on.
const WATCHED: [i32; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT];

#[derive(Debug)]
pub(crate) struct Signals {
    pipes: Vec<(i32, UnixStream, SigId)>,
}

impl Signals {
    /// Registers all of them.
    pub(crate) fn register() -> io::Result<Self> {
        let mut pipes = Vec::new();
        // Who started us with a signal ignored, as `nohup` does, wants it ignored.
        for signal in WATCHED.into_iter().filter(|signal| !sys::is_ignored(*signal)) {
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            let id = signal_hook::low_level::pipe::register(signal, writer)?;
            pipes.push((signal, reader, id));
        }
        Ok(Self { pipes })
    }

    /// The descriptors to poll.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().map(|(_, pipe, _)| pipe.as_fd())
    }

    /// The signals that came since the last call, each as often as it can be told apart.
    pub(crate) fn take(&mut self) -> Vec<i32> {
        let mut came = Vec::new();
        for (signal, pipe, _) in &mut self.pipes {
            let mut bytes = [0; 16];
            if let Ok(got) = pipe.read(&mut bytes) {
                came.extend(std::iter::repeat_n(*signal, got));
            }
        }
        came
    }

    /// Whether somebody wanted the end since the last call.
    pub(crate) fn presses_on(&mut self) -> bool {
        self.take().iter().any(|signal| [SIGINT, SIGTERM, SIGHUP].contains(signal))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (_, _, id) in &self.pipes {
            signal_hook::low_level::unregister(*id);
        }
    }
}
