//! One rank's process, from its start until nothing of it is left.
//!
//! A rank may run behind wrappers (`sh -c`, `cargo run`): the process we started and the one that
//! joined differ. Invariant: a rank counts as ended only when both have, and its whole process
//! group was killed first, so that no survivor of it can touch shared memory. Deliberately absent:
//! why it ended; `control` classifies.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout};

use mainstay_control::Ending;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::lines::{Line, Lines};
use crate::sys::{Guardian, Spawned, spawn};

/// A pipe of output and its unfinished line.
#[derive(Debug)]
pub(crate) struct Output<P> {
    pipe: Option<P>,
    lines: Lines,
}

impl<P: Read + AsFd> Output<P> {
    fn new(pipe: Option<P>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { pipe, lines: Lines::default() })
    }

    /// The pipe to poll, while it is open.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Takes what is there, at most a few hundred kilobytes so that no rank starves the others.
    pub(crate) fn take(&mut self, mut line: impl FnMut(Line)) {
        let mut bytes = [0; 16 * 1024];
        for _ in 0..16 {
            let Some(pipe) = &mut self.pipe else { return };
            match pipe.read(&mut bytes) {
                Ok(0) => self.close(&mut line),
                Ok(got) => self.lines.push(&bytes[..got], &mut line),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.close(&mut line),
            }
        }
    }

    /// Gives the unended line and closes; what a grandchild writes later goes nowhere.
    pub(crate) fn close(&mut self, mut line: impl FnMut(Line)) {
        self.pipe = None;
        if let Some(last) = self.lines.end() {
            line(last);
        }
    }
}

/// The processes of one incarnation.
#[derive(Debug)]
pub(crate) struct Process {
    spawned: Spawned,
    group: u32,
    joined: Option<(u32, OwnedFd)>,
    own_ended: bool,
    joined_ended: bool,
    /// Where its input goes, for rank 0.
    pub(crate) stdin: Option<ChildStdin>,
    /// Its standard output.
    pub(crate) stdout: Output<ChildStdout>,
    /// Its standard error.
    pub(crate) stderr: Output<ChildStderr>,
}

impl Process {
    /// Starts an incarnation in a process group of its own.
    pub(crate) fn start(
        command: &[OsString],
        environment: &[(&str, String)],
        with_stdin: bool,
        guardian: &Guardian,
    ) -> io::Result<Self> {
        let mut spawned = spawn(command, environment, with_stdin)?;
        let group = spawned.child.id();
        // Without a guardian the ranks still die with the launcher; only their children may not.
        let _guardian_gone = guardian.add(group);
        let stdin = spawned.stdin.take();
        if let Some(stdin) = &stdin {
            rustix::io::ioctl_fionbio(stdin, true)?;
        }
        let stdout = Output::new(spawned.stdout.take())?;
        let stderr = Output::new(spawned.stderr.take())?;
        let (own_ended, joined_ended) = (false, true);
        Ok(Self { spawned, group, joined: None, own_ended, joined_ended, stdin, stdout, stderr })
    }

    /// Takes note of the process that joined, which may be behind a wrapper.
    pub(crate) fn joined_as(&mut self, pid: u32) -> io::Result<()> {
        if pid != self.group {
            let raw = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
            let pidfd = rustix::process::pidfd_open(raw, PidfdFlags::empty())?;
            self.joined = Some((pid, pidfd));
            self.joined_ended = false;
        }
        Ok(())
    }

    /// The process that runs the program, as far as known.
    pub(crate) fn pid(&self) -> u32 {
        self.joined.as_ref().map_or(self.group, |(pid, _)| *pid)
    }

    /// The descriptors that become readable when a process ends.
    pub(crate) fn pidfds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let own = (!self.own_ended).then(|| self.spawned.pidfd.as_fd());
        let joined = self.joined.as_ref().filter(|_| !self.joined_ended);
        own.into_iter().chain(joined.map(|(_, pidfd)| pidfd.as_fd()))
    }

    /// Sends a signal to the process that runs the program.
    pub(crate) fn signal(&self, signal: Signal) {
        let pidfd = self.joined.as_ref().map_or(&self.spawned.pidfd, |(_, pidfd)| pidfd);
        // A process that has just ended cannot be signalled, and needs not be.
        let _gone = rustix::process::pidfd_send_signal(pidfd, signal);
    }

    /// Sends a signal to the whole process group.
    pub(crate) fn signal_group(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.group.cast_signed()) {
            let _gone = rustix::process::kill_process_group(group, signal);
        }
    }

    /// Kills everything of it; [`Process::reap`] tells when it is gone.
    pub(crate) fn kill(&self) {
        self.signal_group(Signal::KILL);
        self.signal(Signal::KILL);
    }

    /// Looks which of its processes have ended and kills what the leader left behind; gives the
    /// ending once nothing is left.
    pub(crate) fn reap(&mut self, guardian: &Guardian) -> Option<Ending> {
        self.joined_ended =
            self.joined.as_ref().is_none_or(|(_, pidfd)| self.joined_ended || readable(pidfd));
        if !self.own_ended {
            if !readable(&self.spawned.pidfd) {
                return None;
            }
            // Before the leader is reaped its group cannot be somebody else's.
            self.kill();
            self.own_ended = true;
        }
        if !self.joined_ended {
            return None;
        }
        let status = self.spawned.child.wait().ok()?;
        let _guardian_gone = guardian.remove(self.group);
        Some(match (status.signal(), status.code()) {
            (Some(signal), _) => Ending::Signal { signal, core: status.core_dumped() },
            // A shell reports the signal that ended its child as 128 and the signal's number.
            (None, Some(code)) if self.joined.is_some() && (129..=159).contains(&code) => {
                Ending::Signal { signal: code - 128, core: false }
            }
            (None, code) => Ending::Exit(code.unwrap_or(0)),
        })
    }

    /// Whether the program runs behind a wrapper.
    pub(crate) fn is_wrapped(&self) -> bool {
        self.joined.is_some()
    }

    /// Whether the process that runs the program has ended, reaped or not.
    pub(crate) fn has_ended(&self) -> bool {
        readable(self.joined.as_ref().map_or(&self.spawned.pidfd, |(_, pidfd)| pidfd))
    }

    /// Waits until nothing of it is left; it has been killed.
    pub(crate) fn wait(mut self, guardian: &Guardian) {
        self.kill();
        while self.reap(guardian).is_none() {
            let mut fds: Vec<_> =
                self.pidfds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            let bound = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            let _interrupted = poll(&mut fds, Some(&bound));
        }
    }

    /// Whether the process that joined has ended while the wrapper around it lives on.
    pub(crate) fn wrapper_lingers(&self) -> bool {
        self.joined.is_some() && self.joined_ended && !self.own_ended
    }

    /// Writes input, as much as fits; `Ok(0)` when the pipe is full.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(stdin) = &mut self.stdin else {
            return Ok(bytes.len());
        };
        match stdin.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }
}

fn readable(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}
