//! The few calls of the operating system that safe libraries do not offer.
//!
//! Invariant: every `unsafe` block of `host` outside [`crate::shm`] is here. Deliberately absent:
//! any decision; each function does one thing to one process.

mod guardian;
mod pidfd;
mod spawn;
mod writes;

pub use guardian::Guardian;
pub use pidfd::ended;
pub use spawn::{Spawned, spawn, spawn_with_line};
pub use writes::{Unwatchable, Watcher, pinned};

use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Ignores the signals that a background process gets for reading its terminal and that a process
/// gets for a file beyond its limit: the launcher sees an error instead. Children are to be waited
/// for, whatever whoever started the launcher thought of its own.
pub fn ignore_limits_and_stops() {
    // SAFETY: setting a disposition to SIG_IGN installs no code and touches no memory.
    unsafe { libc::signal(libc::SIGTTIN, libc::SIG_IGN) };
    // SAFETY: as above, for the default.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    // A file size limit is then an error with a name instead of an end without a word.
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Whether a signal is ignored by this process, perhaps since before it was started.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asking for a disposition changes none and fills the local.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: the local was zeroed, which is a valid value, and perhaps filled.
    let action = unsafe { action.assume_init() };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// What to do when the system refuses a process, a thread, a descriptor or memory.
#[must_use]
pub fn mend(error: &std::io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => "raise `ulimit -n`, or run fewer ranks",
        Some(libc::ENFILE) => "the machine is out of open files, `sysctl fs.file-max`",
        Some(libc::EAGAIN) => "raise `ulimit -u`, or run fewer ranks",
        Some(libc::ENOMEM) => "the machine is out of memory: run fewer ranks",
        _ => "the machine lacks what it needs",
    }
}

/// Ends this process as if the default action of `signal` had struck it.
pub fn die_of(signal: i32) -> ! {
    // SAFETY: restoring the default disposition installs no code.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: raise takes any number and only sends a signal to this thread.
    unsafe { libc::raise(signal) };
    // The signal is one that ends the process; a blocked or foreign one leaves this.
    // SAFETY: _exit takes any code and does not return.
    unsafe { libc::_exit(128 + signal) }
}

/// Ends this process as a program does that calls `exit`.
#[expect(clippy::exit, reason = "this is the fault that an injection asks for")]
pub fn exit(code: u8) -> ! {
    std::process::exit(code.into())
}

/// Stops this process until it is continued.
pub fn stop_self() {
    // SAFETY: raise takes any number and only sends a signal to this thread.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Waits until one of these is readable, at most so long.
pub fn wait_readable<'a>(fds: impl Iterator<Item = BorrowedFd<'a>>, at_most: Duration) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let at_most = Timespec {
        tv_sec: at_most.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: at_most.subsec_nanos().into(),
    };
    // An interrupted wait is a short one.
    let _interrupted = poll(&mut fds, Some(&at_most));
}

/// How often a wait looks at what no descriptor tells of.
pub const LOOK: Duration = Duration::from_millis(50);

/// The shortest period that anything here repeats at.
pub const TICK: Duration = Duration::from_millis(1);

/// Nanoseconds of the monotonic clock that all processes of this machine share.
#[must_use]
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// The processor time that this thread has used.
pub fn thread_cpu() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

/// [`now_ns`] as a duration since the clock's start.
#[must_use]
pub fn now() -> Duration {
    Duration::from_nanos(now_ns())
}

/// Many ranks need many descriptors; the soft limit is only a default.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // A limit that cannot be raised shows as an error where a descriptor is refused.
    let _as_it_was =
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
