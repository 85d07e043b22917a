//! Signals to the launcher, as readable descriptors.
//!
//! Invariants: a signal that arrives is seen by the loop, once or more; SIGUSR1 is a wish of the
//! process and not of a loop, so one that comes before a run, or during its twin, is still there when
//! the run begins. Deliberately absent: what follows.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::SigId;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1};

use crate::sys;

/// The signals that the launcher acts on.
const WATCHED: [i32; 7] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGUSR1];
/// Those among them that do not ask for the end.
const OTHERS: [i32; 3] = [SIGTSTP, SIGCONT, SIGUSR1];

/// Those among the watched signals that ask for the end.
pub fn wanted_signals() -> impl Iterator<Item = i32> {
    WATCHED.into_iter().filter(|signal| !OTHERS.contains(signal))
}

/// Whether SIGUSR1 came and nobody has taken it up. The first call has the process see it from then
/// on; without that it would end of it.
fn wish() -> &'static AtomicBool {
    static WISH: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    WISH.get_or_init(|| {
        let wish = Arc::new(AtomicBool::new(false));
        if !sys::is_ignored(SIGUSR1) {
            // It fails for signals that cannot be caught, which this one can.
            let _never = signal_hook::flag::register(SIGUSR1, Arc::clone(&wish));
        }
        wish
    })
}

/// Has this process see SIGUSR1 from now on.
pub(crate) fn await_wishes() {
    wish();
}

/// Whether SIGUSR1 came since the last call.
pub(crate) fn take_wish() -> bool {
    wish().swap(false, Ordering::SeqCst)
}

#[derive(Debug)]
pub(crate) struct Signals {
    pipes: Vec<(i32, UnixStream, SigId)>,
}

impl Signals {
    /// Registers all of them.
    pub(crate) fn register() -> io::Result<Self> {
        // Before the pipe, so that a byte in it finds the wish there.
        await_wishes();
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
        self.take().iter().any(|came| wanted_signals().any(|signal| signal == *came))
    }
}

/// Waits until a descriptor is readable (or has an error), `limit` has passed, or a signal asks for
/// the end, which is given. Ctrl-Z stops and the time stopped counts.
///
/// Where no descriptor is left to watch signals with, none is seen.
///
/// # Errors
/// What `poll` says.
pub fn wait_or_signal(fd: BorrowedFd<'_>, limit: Option<Duration>) -> io::Result<Option<i32>> {
    let mut signals = Signals::register().unwrap_or(Signals { pipes: Vec::new() });
    let deadline = limit.map(|limit| sys::now() + limit);
    loop {
        let left = deadline.map(|at| at.saturating_sub(sys::now()));
        let timeout = left.map(Timespec::try_from).and_then(Result::ok);
        let mut fds = vec![PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        fds.extend(signals.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = !fds[0].revents().is_empty();
        drop(fds);
        for signal in signals.take() {
            match signal {
                SIGTSTP => sys::stop_self(),
                SIGCONT | SIGUSR1 => {}
                signal => return Ok(Some(signal)),
            }
        }
        if ready || left.is_some_and(|left| left.is_zero()) {
            return Ok(None);
        }
    }
}

/// Signals that ask for the end, for whoever looks for them now and then.
#[derive(Debug)]
pub struct Watch(Signals);

impl Watch {
    /// From now on, until it is dropped, such a signal is seen and does not end the process.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn new() -> io::Result<Self> {
        Signals::register().map(Self)
    }

    /// The signal that asked for the end since the last call. Ctrl-Z stops.
    pub fn asked(&mut self) -> Option<i32> {
        let came = self.0.take();
        if came.contains(&SIGTSTP) {
            sys::stop_self();
        }
        came.into_iter().find(|signal| !OTHERS.contains(signal))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (_, _, id) in &self.pipes {
            signal_hook::low_level::unregister(*id);
        }
    }
}
