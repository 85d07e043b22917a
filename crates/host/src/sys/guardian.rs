//! A small process that outlives the launcher by a moment, to end what it leaves behind.
//!
//! The parent-death signal reaches a rank but not its children. The guardian holds the reading end
//! of a pipe whose writing end only the launcher has; when the launcher dies, however it dies, the
//! guardian kills every process group that it was told of and ends. It is started again if somebody
//! kills it, so it may be a fork of a process with several threads. Invariants: it holds no other
//! descriptor and runs no code but this file's, which allocates nothing and takes no lock; telling
//! it never blocks. Deliberately absent: groups that were left with `setsid`, which only a cgroup
//! could find.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mainstay_types::limits::RANKS_MAX;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

/// Most process groups that the guardian remembers: each rank's and as many whose memory the kernel
/// still takes down.
const GROUPS_MAX: usize = 2 * RANKS_MAX as usize;
/// Whoever kills it more often than this wants none.
const STARTS_MAX: u32 = 16;
/// A killed guardian is waited for this long; it sleeps in a pipe, so it takes no time at all.
const REAPED_WITHIN: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// The launcher's end.
#[derive(Debug)]
pub struct Guardian {
    process: Option<Process>,
    groups: Vec<u32>,
    starts: u32,
}

#[derive(Debug)]
struct Process {
    pipe: OwnedFd,
    pid: Pid,
    pidfd: OwnedFd,
}

impl Guardian {
    /// Starts the guardian.
    ///
    /// # Errors
    /// Whatever `pipe`, `fork` and `pidfd_open` say.
    pub fn start() -> io::Result<Self> {
        Ok(Self { process: Some(Process::start()?), groups: Vec::new(), starts: 1 })
    }

    /// Adds a process group.
    ///
    /// # Errors
    /// More groups than it remembers.
    pub fn add(&mut self, group: u32) -> io::Result<()> {
        if self.groups.len() >= GROUPS_MAX {
            let why = format!("{GROUPS_MAX} process groups of this job are there already");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
        }
        self.groups.push(group);
        self.tell(group.cast_signed());
        Ok(())
    }

    /// Removes a process group that has ended.
    pub fn remove(&mut self, group: u32) {
        self.groups.retain(|known| *known != group);
        self.tell(-group.cast_signed());
    }

    /// Readable once the guardian has ended.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref().map(|process| process.pidfd.as_fd())
    }

    /// Starts another one in the place of one that has ended, and tells it all groups.
    ///
    /// # Errors
    /// As [`Guardian::start`]; or it was killed too often. There is none any more then.
    pub fn replace(&mut self) -> io::Result<()> {
        self.process = None;
        if self.starts >= STARTS_MAX {
            return Err(io::Error::other(format!("it was killed {STARTS_MAX} times")));
        }
        self.starts += 1;
        self.process = Some(Process::start()?);
        for group in self.groups.clone() {
            self.tell(group.cast_signed());
        }
        Ok(())
    }

    /// Whether it is this process.
    #[must_use]
    pub fn is(&self, pid: u32) -> bool {
        let own = self.process.as_ref().map(|process| process.pid.as_raw_nonzero().get());
        own == Some(pid.cast_signed())
    }

    fn tell(&self, word: i32) {
        let Some(process) = &self.process else { return };
        if rustix::io::write(&process.pipe, &word.to_le_bytes()).is_err() {
            // It is gone, or stopped for so long that its pipe is full. The next one is told all.
            process.kill();
        }
    }

    #[cfg(test)]
    fn pid(&self) -> Option<Pid> {
        self.process.as_ref().map(|process| process.pid)
    }
}

impl Process {
    fn start() -> io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        let blocked = Blocked::all();
        // SAFETY: the child runs only `guard`, which makes system calls on its own stack and
        // descriptors and never returns, so no state copied from other threads is used. No handler
        // of ours runs in it, as all signals are blocked until it ignores those that have one.
        let forked = unsafe { libc::fork() };
        if forked == 0 {
            guard(&reader);
        }
        let failed = io::Error::last_os_error();
        drop(blocked);
        let pid = Pid::from_raw(forked).filter(|_| forked > 0).ok_or(failed)?;
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self { pipe: writer, pid, pidfd }),
            Err(error) => {
                // It has no groups, and ends by itself once nobody holds the other end.
                drop(writer);
                rustix::process::waitpid(Some(pid), WaitOptions::empty())?;
                Err(error.into())
            }
        }
    }

    fn kill(&self) {
        let _gone = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

impl Drop for Process {
    /// Dismisses the guardian.
    fn drop(&mut self) {
        // Before the pipe closes: it must not end groups. Stopped or not, it is not needed.
        self.kill();
        let mut ended = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let _in_time = poll(&mut ended, Some(&REAPED_WITHIN));
        let _ended = rustix::process::waitpid(Some(self.pid), WaitOptions::NOHANG);
    }
}

/// All signals blocked for this thread, until it is dropped.
struct Blocked(libc::sigset_t);

impl Blocked {
    fn all() -> Self {
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
        let mut before = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: fills the local and touches nothing else.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        // SAFETY: reads one local set and fills the other; a mask changes no memory.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
        // SAFETY: the local was zeroed, which is a valid set, and perhaps filled.
        Self(unsafe { before.assume_init() })
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: reads the set that `all` has filled; a mask changes no memory.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut())
        };
    }
}

/// The guardian's whole life.
fn guard(pipe: &OwnedFd) -> ! {
    let own = pipe.as_raw_fd().cast_unsigned();
    // All that the launcher may have a handler for; SIGCONT continues also if ignored.
    let ours = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGTSTP];
    for signal in ours.into_iter().chain([libc::SIGCONT, libc::SIGPIPE]) {
        // SAFETY: setting a disposition to SIG_IGN installs no code and touches no memory.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    if own > 0 {
        // SAFETY: closing descriptors below the pipe; nothing in this process uses them.
        unsafe { libc::close_range(0, own - 1, 0) };
    }
    // SAFETY: as above, for those above the pipe.
    unsafe { libc::close_range(own + 1, u32::MAX, 0) };
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

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("1000").process_group(0).spawn().unwrap()
    }

    /// The launcher dies, as far as this guardian can tell.
    fn orphan(guardian: &mut Guardian) {
        let process = guardian.process.as_mut().unwrap();
        let other = std::fs::File::open("/dev/null").unwrap();
        rustix::io::dup2(&other, &mut process.pipe).unwrap();
        poll(&mut [PollFd::new(&process.pidfd, PollFlags::IN)], None).unwrap();
    }

    #[test]
    fn a_guardian_that_was_killed_has_a_successor_that_knows_all_groups() {
        let (mut one, mut two, mut three) = (sleeper(), sleeper(), sleeper());
        let mut guardian = Guardian::start().unwrap();
        guardian.add(one.id()).unwrap();
        guardian.add(two.id()).unwrap();
        let first = guardian.pid().unwrap();
        rustix::process::kill_process(first, Signal::KILL).unwrap();
        poll(&mut [PollFd::new(&guardian.fd().unwrap(), PollFlags::IN)], None).unwrap();
        // What is told meanwhile is not lost.
        guardian.remove(one.id());
        guardian.add(three.id()).unwrap();
        guardian.replace().unwrap();
        assert_ne!(guardian.pid().unwrap(), first);
        orphan(&mut guardian);
        assert_eq!(two.wait().unwrap().signal(), Some(9));
        assert_eq!(three.wait().unwrap().signal(), Some(9));
        assert_eq!(one.try_wait().unwrap(), None, "it was taken from the guardian");
        one.kill().unwrap();
        one.wait().unwrap();
    }

    #[test]
    fn a_stopped_guardian_holds_nobody_up() {
        let mut guardian = Guardian::start().unwrap();
        rustix::process::kill_process(guardian.pid().unwrap(), Signal::STOP).unwrap();
        for _ in 0..20_000 {
            guardian.remove(i32::MAX.cast_unsigned());
        }
        poll(&mut [PollFd::new(&guardian.fd().unwrap(), PollFlags::IN)], None).unwrap();
        guardian.replace().unwrap();
    }

    #[test]
    fn more_groups_than_it_remembers_are_refused() {
        let mut guardian = Guardian::start().unwrap();
        guardian.groups = vec![u32::MAX; GROUPS_MAX];
        assert_eq!(guardian.add(7).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    }
}
