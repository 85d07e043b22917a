//! A small process that outlives the launcher by a moment, to end what it leaves behind.
//!
//! The parent-death signal reaches a rank but not its children. The guardian holds the reading end
//! of a pipe whose writing end only the launcher has; when the launcher dies, however it dies, the
//! guardian kills every process group that it was told of and ends. Invariant: it holds no other
//! descriptor and runs no code but this file's. Deliberately absent: groups that were left with
//! `setsid`, which only a cgroup could find.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::process::{Pid, Signal, WaitOptions};

/// Most process groups that the guardian remembers.
const GROUPS_MAX: usize = 2048;

/// The launcher's end.
#[derive(Debug)]
pub struct Guardian {
    pipe: Option<OwnedFd>,
    pid: Pid,
}

impl Guardian {
    /// Starts the guardian. To be called while the process has one thread.
    ///
    /// # Errors
    /// Whatever `pipe` and `fork` say.
    pub fn start() -> io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        // SAFETY: the child runs only `guard`, which makes system calls on its own stack and
        // descriptors and never returns, so no state copied from other threads is used.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => guard(&reader),
            pid => {
                let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
                Ok(Self { pipe: Some(writer), pid })
            }
        }
    }

    /// Adds a process group.
    ///
    /// # Errors
    /// `BrokenPipe` when the guardian was killed.
    pub fn add(&self, group: u32) -> io::Result<()> {
        self.tell(group.cast_signed())
    }

    /// Removes a process group that has ended.
    ///
    /// # Errors
    /// `BrokenPipe` when the guardian was killed.
    pub fn remove(&self, group: u32) -> io::Result<()> {
        self.tell(-group.cast_signed())
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    fn tell(&self, word: i32) -> io::Result<()> {
        if let Some(pipe) = &self.pipe {
            rustix::io::write(pipe, &word.to_le_bytes())?;
        }
        Ok(())
    }
}

impl Drop for Guardian {
    /// Dismisses the guardian.
    fn drop(&mut self) {
        self.pipe = None;
        // Its groups are gone by now; stopped or not, it is not needed any more.
        let _gone = rustix::process::kill_process(self.pid, Signal::KILL);
        let _ended = rustix::process::waitpid(Some(self.pid), WaitOptions::empty());
    }
}

/// The guardian's whole life.
fn guard(pipe: &OwnedFd) -> ! {
    let own = pipe.as_raw_fd();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGTSTP] {
        // SAFETY: setting a disposition to SIG_IGN installs no code and touches no memory.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // SAFETY: closing descriptors below and above the pipe; nothing in this process uses them.
    unsafe { libc::close_range(0, own.cast_unsigned() - 1, 0) };
    // SAFETY: as above.
    unsafe { libc::close_range(own.cast_unsigned() + 1, u32::MAX, 0) };
    let _own_group = rustix::process::setpgid(None, None);
    let _named = rustix::thread::set_name(c"mainstay-guard");
    let mut groups = [0_i32; GROUPS_MAX];
    let mut word = [0; 4];
    loop {
        match rustix::io::read(pipe, &mut word) {
            Ok(4) => remember(&mut groups, i32::from_le_bytes(word)),
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => break,
        }
    }
    for group in groups.into_iter().filter_map(Pid::from_raw) {
        let _gone_already = rustix::process::kill_process_group(group, Signal::KILL);
    }
    // SAFETY: _exit takes any code and does not return.
    unsafe { libc::_exit(0) }
}

fn remember(groups: &mut [i32], word: i32) {
    let (from, to) = if word > 0 { (0, word) } else { (-word, 0) };
    if let Some(place) = groups.iter_mut().find(|group| **group == from) {
        *place = to;
    }
}
