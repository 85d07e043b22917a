//! One rank's process, from its start until nothing of it is left.
//!
//! A rank may run behind wrappers (`sh -c`, `cargo run`): the process we started and the one that
//! joined differ. Invariants: a rank counts as ended only when both have, and its whole process
//! group was killed first, so that no survivor of it can touch shared memory; nothing here waits.
//! Deliberately absent: why it ended; `control` classifies.

use std::cell::Cell;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout, ExitStatus};
use std::time::Duration;

use mainstay_control::{Ending, Endings, Program};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::lines::{Line, Lines};
use crate::sys::{self, Guardian, Spawned, spawn};

/// A pipe of output and its unfinished line.
#[derive(Debug)]
pub(crate) struct Output<P> {
    pipe: Option<P>,
    lines: Lines,
}

impl<P: Read + AsFd> Output<P> {
    /// A pipe whose reads do not block.
    fn new(pipe: Option<P>) -> Self {
        Self { pipe, lines: Lines::default() }
    }

    /// The pipe to poll, while it is open.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Whether there is anything to take.
    fn has_bytes(&self) -> bool {
        let waiting = self.pipe.as_ref().map(rustix::io::ioctl_fionread);
        waiting.is_some_and(|waiting| waiting.is_ok_and(|bytes| bytes > 0))
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

/// The process that joined from behind a wrapper.
#[derive(Debug)]
struct Joined {
    pid: u32,
    pidfd: OwnedFd,
    ended: bool,
    /// How, as far as could be learnt yet.
    status: Option<ExitStatus>,
    /// Whether the wrapper was seen to end first.
    outlived_wrapper: bool,
}

impl Joined {
    /// Looks whether it has ended, and how.
    fn look(&mut self) {
        self.ended = self.ended || readable(&self.pidfd);
        if self.ended && self.status.is_none() {
            self.status = sys::ended(self.pidfd.as_fd(), self.pid);
        }
    }
}

/// The processes of one incarnation.
#[derive(Debug)]
pub(crate) struct Process {
    spawned: Spawned,
    group: u32,
    own_ended: bool,
    joined: Option<Joined>,
    /// When it was first killed.
    killed: Cell<Option<Duration>>,
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
        guardian: &mut Guardian,
    ) -> io::Result<Self> {
        let mut spawned = spawn(command, environment, with_stdin)?;
        let group = spawned.child.id();
        let stdin = spawned.stdin.take();
        let stdout = Output::new(spawned.stdout.take());
        let stderr = Output::new(spawned.stderr.take());
        let (own_ended, joined, killed) = (false, None, Cell::new(None));
        let process = Self { spawned, group, own_ended, joined, killed, stdin, stdout, stderr };
        if let Err(error) = process.prepare().and_then(|()| guardian.add(group)) {
            process.kill();
            return Err(error);
        }
        Ok(process)
    }

    fn prepare(&self) -> io::Result<()> {
        let (stdout, stderr) = (self.stdout.fd(), self.stderr.fd());
        for pipe in [self.stdin.as_ref().map(AsFd::as_fd), stdout, stderr].into_iter().flatten() {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(())
    }

    /// Takes note of the process that joined, which may be behind a wrapper.
    pub(crate) fn joined_as(&mut self, pid: u32) -> io::Result<()> {
        if pid != self.group {
            let raw = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
            let pidfd = rustix::process::pidfd_open(raw, PidfdFlags::empty())?;
            let (ended, status, outlived_wrapper) = (false, None, false);
            self.joined = Some(Joined { pid, pidfd, ended, status, outlived_wrapper });
        }
        Ok(())
    }

    /// The process that runs the program, as far as known.
    pub(crate) fn pid(&self) -> u32 {
        self.joined.as_ref().map_or(self.group, |joined| joined.pid)
    }

    /// The process that was started, a wrapper perhaps.
    pub(crate) fn started_pid(&self) -> u32 {
        self.group
    }

    /// The process that has not ended, if only one has.
    pub(crate) fn lasting_pid(&self) -> u32 {
        if self.own_ended { self.pid() } else { self.group }
    }

    fn pidfd(&self) -> BorrowedFd<'_> {
        self.joined.as_ref().map_or(&self.spawned.pidfd, |joined| &joined.pidfd).as_fd()
    }

    /// The descriptors that become readable when a process ends.
    pub(crate) fn pidfds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let own = (!self.own_ended).then(|| self.spawned.pidfd.as_fd());
        let joined = self.joined.as_ref().filter(|joined| !joined.ended);
        own.into_iter().chain(joined.map(|joined| joined.pidfd.as_fd()))
    }

    /// Sends a signal to the process that runs the program.
    pub(crate) fn signal(&self, signal: Signal) {
        // A process that has just ended cannot be signalled, and needs not be.
        let _gone = rustix::process::pidfd_send_signal(self.pidfd(), signal);
    }

    /// Sends a signal to the whole process group.
    pub(crate) fn signal_group(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.group.cast_signed()) {
            let _gone = rustix::process::kill_process_group(group, signal);
        }
    }

    /// Kills everything of it; [`Process::reap`] tells when it is gone.
    pub(crate) fn kill(&self) {
        self.killed.set(self.killed.get().or_else(|| Some(sys::now())));
        self.signal_group(Signal::KILL);
        self.signal(Signal::KILL);
    }

    /// When it was killed, if it was.
    pub(crate) fn killed(&self) -> Option<Duration> {
        self.killed.get()
    }

    /// Looks which of its processes have ended and kills what the leader left behind; gives the
    /// endings once nothing is left.
    pub(crate) fn reap(&mut self, guardian: &mut Guardian) -> Option<Endings> {
        self.joined.iter_mut().for_each(Joined::look);
        if !self.own_ended {
            if !readable(&self.spawned.pidfd) {
                return None;
            }
            if let Some(joined) = &mut self.joined {
                // Looked at before and after the wrapper: what lives now has outlived it.
                joined.look();
                joined.outlived_wrapper = !joined.ended;
            }
            // Before the leader is reaped its group cannot be somebody else's.
            self.kill();
            self.own_ended = true;
        }
        if self.joined.as_ref().is_some_and(|joined| !joined.ended) {
            return None;
        }
        // A debugger may hold what has ended: then it is there at a later look.
        let started = match self.spawned.child.try_wait() {
            Ok(status) => ending(status?),
            // Somebody else has reaped it, so how it ended is not known.
            Err(_) => Ending::Signal { signal: libc::SIGKILL, core: false },
        };
        guardian.remove(self.group);
        let program = self.joined.as_mut().map(|joined| {
            // If the wrapper had not reaped it, it is our child by now.
            joined.look();
            let (ending, outlived_wrapper) = (joined.status.map(ending), joined.outlived_wrapper);
            Program { ending, outlived_wrapper }
        });
        Some(Endings { started, program })
    }

    /// Whether it has written what was not taken yet.
    pub(crate) fn has_output(&self) -> bool {
        self.stdout.has_bytes() || self.stderr.has_bytes()
    }

    /// Whether the process that runs the program has ended, reaped or not.
    pub(crate) fn has_ended(&self) -> bool {
        readable(self.pidfd())
    }

    /// Whether the process that joined has ended while the wrapper around it lives on.
    pub(crate) fn wrapper_lingers(&self) -> bool {
        !self.own_ended && self.joined.as_ref().is_some_and(|joined| joined.ended)
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

fn ending(status: ExitStatus) -> Ending {
    match status.signal() {
        Some(signal) => Ending::Signal { signal, core: status.core_dumped() },
        None => Ending::Exit(status.code().unwrap_or(0)),
    }
}

fn readable(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}
