//! Starting a rank's process so that it cannot outlive its launcher.
//!
//! Invariants: the child leads a process group of its own and is sent SIGKILL when the thread that
//! started it ends (so it is always started by the launcher's main thread). Deliberately absent:
//! reaping; the supervisor does that when the pidfd says so.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal};

/// A started process.
#[derive(Debug)]
pub struct Spawned {
    /// For reaping.
    pub child: Child,
    /// Readable once the process has ended.
    pub pidfd: OwnedFd,
    /// Its standard input, if it was asked to be a pipe.
    pub stdin: Option<ChildStdin>,
    /// Its standard output.
    pub stdout: Option<ChildStdout>,
    /// Its standard error.
    pub stderr: Option<ChildStderr>,
}

/// Starts `command` with `environment` added.
///
/// # Errors
/// Whatever `exec` says: `NotFound`, `PermissionDenied`, or no resources.
pub fn spawn(
    command: &[OsString],
    environment: &[(&str, String)],
    with_stdin: bool,
) -> io::Result<Spawned> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .stdin(if with_stdin { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    start(command)
}

/// Starts a process of the launcher's own, with a line as its standard input and what it says on
/// standard error told as the launcher's.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_with_line(command: &[OsString], line: OwnedFd) -> io::Result<Spawned> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(line).stdout(Stdio::null()).stderr(Stdio::inherit());
    start(command)
}

fn start(mut command: Command) -> io::Result<Spawned> {
    let parent = rustix::process::getpid();
    command.process_group(0);
    let prepare = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // SAFETY: restoring the default disposition installs no code.
        unsafe { libc::signal(libc::SIGTTIN, libc::SIG_DFL) };
        // SAFETY: as above.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_DFL) };
        if rustix::process::getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec and makes only async-signal-safe system
    // calls: it allocates nothing and takes no lock.
    unsafe { command.pre_exec(prepare) };
    let mut child = command.spawn()?;
    let pid = Pid::from_child(&child);
    let opened = rustix::process::pidfd_open(pid, PidfdFlags::empty());
    let pidfd = opened.inspect_err(|_| {
        // Nobody would watch it. It is no zombie for long: the job ends for this.
        let _gone = child.kill();
    })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    Ok(Spawned { child, pidfd, stdin, stdout, stderr })
}
